#!/usr/bin/env escript
%% SPDX-License-Identifier: Apache-2.0
%% A peer of Erlang's ssl that changes keys: arguments and behaviour as in peer.h.
-mode(compile).

main([Role, Port, Cert, Key, Bytes, Every]) ->
    {ok, _} = application:ensure_all_started(ssl),
    run(Role, list_to_integer(Port), Cert, Key, list_to_integer(Bytes), list_to_integer(Every));
main(_) ->
    io:format(standard_error, "usage: client PORT CA - BYTES EVERY | server PORT CERT KEY BYTES EVERY~n", []),
    halt(2).

run("client", Port, Ca, _, Bytes, Every) ->
    {ok, Socket} = ssl:connect({127, 0, 0, 1}, Port,
                               [{cacertfile, Ca}, {verify, verify_peer}, {versions, ['tlsv1.3']},
                                {server_name_indication, "localhost"} | common()]),
    Self = self(),
    spawn_link(fun() -> Self ! {updates, send_pattern(Socket, 0, Bytes, Every, 0)} end),
    compare(Socket, 0, Bytes),
    Updates = receive {updates, N} -> N end,
    finish(Socket, Bytes, Updates);
run("server", Port, Cert, Key, Bytes, Every) ->
    {ok, Listener} = ssl:listen(Port, [{ip, {127, 0, 0, 1}}, {certfile, Cert}, {keyfile, Key},
                                       {reuseaddr, true}, {versions, ['tlsv1.3']} | common()]),
    {ok, Accepted} = ssl:transport_accept(Listener),
    {ok, Socket} = ssl:handshake(Accepted),
    finish(Socket, Bytes, echo(Socket, 0, Bytes, Every, 0)).

common() ->
    [binary, {active, false}, {nodelay, true}].

finish(Socket, Bytes, Updates) ->
    io:format("sent ~p received ~p updates ~p~n", [Bytes, Bytes, Updates]),
    ok = ssl:close(Socket),
    halt(0).

%% Every tenth time the other end's keys, too.
update(Socket, Updates) ->
    How = case (Updates + 1) rem 10 of 0 -> read_write; _ -> write end,
    ok = ssl:update_keys(Socket, How),
    Updates + 1.

update_if_due(_, _, 0, Updates) -> Updates;
update_if_due(Socket, Sent, Every, Updates) when Sent div Every > Updates -> update(Socket, Updates);
update_if_due(_, _, _, Updates) -> Updates.

piece(From, Len) ->
    << <<(P * 167 + (P bsr 8) * 13 + (P bsr 16))>> || P <- lists:seq(From, From + Len - 1) >>.

send_pattern(_, Bytes, Bytes, _, Updates) -> Updates;
send_pattern(Socket, Sent, Bytes, Every, Updates0) ->
    Updates = update_if_due(Socket, Sent, Every, Updates0),
    Len = min(10000, Bytes - Sent),
    ok = ssl:send(Socket, piece(Sent, Len)),
    send_pattern(Socket, Sent + Len, Bytes, Every, Updates).

compare(_, Bytes, Bytes) -> ok;
compare(Socket, Got, Bytes) ->
    {ok, Data} = ssl:recv(Socket, 0, 30000),
    Data = piece(Got, byte_size(Data)),
    compare(Socket, Got + byte_size(Data), Bytes).

echo(_, Bytes, Bytes, _, Updates) -> Updates;
echo(Socket, Sent, Bytes, Every, Updates0) ->
    {ok, Data} = ssl:recv(Socket, 0, 30000),
    Updates = update_if_due(Socket, Sent, Every, Updates0),
    ok = ssl:send(Socket, Data),
    echo(Socket, Sent + byte_size(Data), Bytes, Every, Updates).
