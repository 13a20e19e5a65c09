#!/usr/bin/env escript
%% SPDX-License-Identifier: Apache-2.0
%% What Erlang says of a chain: public_key:pkix_path_validation/3 and pkix_verify_hostname/3, with what ssl
%% adds to them, extendedKeyUsage, and pkix_crls_validate/3 as ssl calls it where CRLs are asked. It takes a path as it was sent and knows no time but the present.
%% The lines are those of line.h.

-mode(compile). % an interpreted script cannot name its functions

%% public_key.hrl is in another package.
-define(EXT_KEY_USAGE, {2, 5, 29, 37}).
-define(SERVER_AUTH, {1, 3, 6, 1, 5, 5, 7, 3, 1}).
-define(CLIENT_AUTH, {1, 3, 6, 1, 5, 5, 7, 3, 2}).

main([]) ->
    {ok, _} = application:ensure_all_started(public_key),
    io:setopts(standard_io, [binary]),
    loop().

loop() ->
    case io:get_line(standard_io, "") of
        Line when is_binary(Line) ->
            [Id | Words] = string:lexemes(Line, " \n"),
            Answer = try judge(Words) catch _:_ -> "no cannot be parsed" end,
            io:format("~s ~s~n", [Id, Answer]),
            loop();
        _ -> ok
    end.

judge([Peer, _Time, Name, Depth, _Partial, Trust, Chain, Crls]) ->
    [Leaf | Others] = certs(Chain),
    %% Without what is trusted, from the topmost certificate down.
    Path = lists:reverse([Leaf | [C || C <- Others, not lists:member(C, certs(Trust))]]),
    Options = [{verify_fun, {fun check/3, Peer}} |
               [{max_path_length, binary_to_integer(Depth)} || Depth =/= <<"-">>]],
    Anchors = [A || A <- certs(Trust),
                    public_key:pkix_is_issuer(hd(Path), A) orelse A =:= hd(Path)],
    case [R || A <- Anchors, R <- [validate(A, Path, Options)], R =/= ok] of
        _ when Anchors =:= [] -> "no unknown CA";
        Refusals when length(Refusals) =:= length(Anchors) ->
            io_lib:format("no ~0p", [hd(Refusals)]);
        _ -> crls(Crls, Path, certs(Trust), Name)
    end.

certs(<<"-">>) -> [];
certs(Word) -> [base64:decode(C) || C <- string:lexemes(Word, ",")].

validate(Anchor, [Anchor], _Options) -> ok;
validate(Anchor, Path, Options) ->
    case public_key:pkix_path_validation(Anchor, Path, Options) of
        {ok, _} -> ok;
        {error, Reason} -> Reason
    end.

check(_, {bad_cert, Reason}, _) -> {fail, Reason};
check(_, {extension, {'Extension', ?EXT_KEY_USAGE, _, Uses}}, Peer) ->
    Wanted = case Peer of <<"server">> -> ?SERVER_AUTH; _ -> ?CLIENT_AUTH end,
    case lists:member(Wanted, Uses) of
        true -> {valid, Peer};
        false -> {fail, invalid_ext_key_usage}
    end;
check(_, {extension, _}, Peer) -> {unknown, Peer};
check(_, valid, Peer) -> {valid, Peer};
check(_, valid_peer, Peer) -> {valid, Peer}.

%% Of every certificate of the path but the anchor.
crls(<<"-">>, Path, _Trust, Name) -> name(Name, lists:last(Path));
crls(Word, Path, Trust, Name) ->
    Crls = case Word of
               <<"none">> -> [];
               _ -> [{C, public_key:der_decode('CertificateList', C)} || C <- certs(Word)]
           end,
    Anchors = [A || A <- Trust, public_key:pkix_is_issuer(hd(Path), A)],
    %% Each as ssl names it: the trust anchor, and the path from there.
    Issuers = [{A, []} || A <- Trust] ++
              [{hd(Anchors), lists:sublist(Path, N)} || Anchors =/= [], N <- lists:seq(1, length(Path))],
    case [R || C <- Path, not lists:member(C, Trust), R <- [revoked(C, Crls, Issuers)], R =/= valid] of
        [] -> name(Name, lists:last(Path));
        [Reason | _] -> io_lib:format("no ~0p", [Reason])
    end.

%% By its distribution points, then by its issuer.
revoked(Der, Crls, Issuers) ->
    Cert = public_key:pkix_decode_cert(Der, otp),
    Options = [{issuer_fun, {fun(_Point, Crl, _Issuer, All) -> signer(Crl, All) end, Issuers}},
               {undetermined_details, true}],
    Same = [{public_key:pkix_dist_point(Cert), C} ||
               C = {D, _} <- Crls, public_key:pkix_crl_issuer(D) =:= public_key:pkix_normalize_name(issuer(Cert))],
    case [{P, C} || P <- public_key:pkix_dist_points(Cert), C <- Crls] of
        [] -> public_key:pkix_crls_validate(Cert, Same, Options);
        Points ->
            case public_key:pkix_crls_validate(Cert, Points, Options) of
                {bad_cert, {revocation_status_undetermined, _}} ->
                    public_key:pkix_crls_validate(Cert, Same, Options);
                Status -> Status
            end
    end.

issuer(Cert) -> element(5, element(2, Cert)). % 'OTPCertificate'.tbsCertificate, 'OTPTBSCertificate'.issuer

signer(Crl, Issuers) ->
    case [I || {Anchor, Path} = I <- Issuers, public_key:pkix_is_issuer(Crl, lists:last([Anchor | Path]))] of
        [{Anchor, Path} | _] -> {ok, public_key:pkix_decode_cert(Anchor, otp), Path};
        [] -> {error, issuer_not_found}
    end.

name(<<"-">>, _) -> "ok";
name(Name, Leaf) ->
    Text = binary_to_list(base64:decode(Name)),
    Id = case inet:parse_strict_address(Text) of
             {ok, Address} -> {ip, Address};
             _ -> {dns_id, Text}
         end,
    Match = [{match_fun, public_key:pkix_verify_hostname_match_fun(https)}],
    case public_key:pkix_verify_hostname(Leaf, [Id], Match) of
        true -> "ok";
        false -> "no hostname"
    end.
