#!/usr/bin/env escript
%% SPDX-License-Identifier: Apache-2.0
%% What Erlang says of a chain: public_key:pkix_path_validation/3 and pkix_verify_hostname/3, with what ssl
%% adds to them, extendedKeyUsage. It takes a path as it was sent and knows no time but the present.
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

judge([Peer, _Time, Name, Depth, _Partial, Trust, Chain]) ->
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
        _ -> name(Name, Leaf)
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
