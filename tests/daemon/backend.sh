#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# sluice-relay before servers without TLS: whoever they are and whatever becomes of them, clients get what
# was sent, or see that it is not all of it.
# Environment: as tests/daemon/relay-lib.sh
# shellcheck disable=SC2317,SC2154 # the functions are called by the harness; variables of relay-lib.sh
set -euo pipefail
SIZE=${SLUICE_INTEROP_SIZE:-3000000}
# shellcheck source=tests/daemon/relay-lib.sh
. "$(dirname "$0")/relay-lib.sh"
PYTHON=${PYTHON:-/usr/bin/python3} # which has what Debian packages
REQUESTS=200
[ -z "${SLUICE_TEST_LONG:-}" ] || { SIZE=10485760; REQUESTS=2000; }

# relay NAME OPTION...: a relay of the pool; its pid is $relay.
io=()
under=()
relay() {
  local name=$1
  shift
  : >"$work/$name.log"
  ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 "${under[@]}" "$RELAY" --pool "$work/app.sock" --workers "${workers:-1}" "${as[@]}" "${io[@]}" "$@" \
    >"$work/$name.log" 2>&1 &
  relay=$!
  pids+=("$relay")
  await_log "$work/$name.log" connecting
}

# over MODE [OPTION...] -- COMMAND...: with a server and a relay of their own, by both ways of moving data.
over() {
  local mode=$1 result=0 way ways=(uring epoll) options=() at server relay
  shift
  while [ "$1" != -- ]; do
    options+=("$1")
    shift
  done
  shift
  case "${SLUICE_TEST_LONG:-}:$1" in :key_updates | :slow_reader | :idle | :server_first) ways=(uring) ;; esac
  backend "$mode" "$mode" || return 1
  for way in "${ways[@]}"; do
    : >"$work/$mode.log"
    io=(--io "$way")
    relay relay --backend "127.0.0.1:$at" "${options[@]}" || { result=1; continue; }
    "$@" || { result=1; say "... by $way: $(tail -n 3 "$work/relay.log" | tr '\n' ' ')"; }
    kill -0 "$relay" || { say "the relay died: $(tail -n 5 "$work/relay.log")"; result=1; }
    end_relay
  done
  io=()
  stop "$server"
  return "$result"
}

end_relay() {
  kill "$relay" 2>/dev/null || true
  kill "$relay" 2>/dev/null || true
  wait "$relay" 2>/dev/null || true
}

http() {
  local relay server i wanted result=0
  at=$(free_port)
  head -c 50000 "$work/www/data" >"$work/www/page"
  wanted=$(sha256sum <"$work/www/page")
  # Its own queue is one of 5, which drops connections on a busy machine.
  python3 - "$at" "$work/www" >"$work/http.log" 2>&1 <<-'END' &
	import functools, http.server, sys
	http.server.ThreadingHTTPServer.request_queue_size = 1000
	handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[2])
	http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), handler).serve_forever()
	END
  server=$!
  pids+=("$server")
  await_listen "$at" "$server" && relay relay --backend "127.0.0.1:$at" || return 1
  curl -sS --max-time 60 --cacert "$work/ca.pem" -Z --parallel-max 20 -o "$work/page.#1" \
    "https://localhost:$listen/page?[1-$REQUESTS]" >"$work/curl.log" 2>&1 || { say "$(tail -n 2 "$work/curl.log")"; result=1; }
  for ((i = 1; i <= REQUESTS; i++)); do
    [ "$(sha256sum <"$work/page.$i")" = "$wanted" ] || { say "request $i: other bytes"; result=1; break; }
  done
  stop "$relay"
  stop "$server"
  return "$result"
}

# A client that is killed sends no close_notify: its server must not believe that this was all.
cut_off() {
  local client hold
  exec {hold}> >(exec "$SLUICE" connect "localhost:$listen" --cacert "$work/ca.pem" >"$work/out" 2>&1)
  client=$!
  echo hello >&"$hold"
  await_log "$work/count.log" accepted && sleep 0.3
  kill -KILL "$client"
  exec {hold}>&-
  await_log "$work/count.log" "^reset after 6$"
}

failed_with_alert() { # STATUS
  [ "$1" != 0 ] && grep -q internal_error "$work/out.err"
}

# What it sent before comes; then an alert, and no end in order.
server_dies() {
  local status=0
  (sleep 0.5; echo go) | connect >"$work/out" 2>"$work/out.err" || status=$?
  failed_with_alert "$status" || {
    say "status $status, $(stat -c %s "$work/out") bytes, $(tail -n 1 "$work/out.err")"
    return 1
  }
  [ "$(stat -c %s "$work/out")" = 100000 ] || { say "$(stat -c %s "$work/out") bytes came before"; return 1; }
}

served() { # OUT WHO
  connect <"$work/www/page" >"$work/$1" 2>"$work/$1.err" && same "$work/www/page" "$work/$1" "$2"
}

# One that is not there, then one that does not accept: the third is asked.
others_down() {
  local relay server gone full at servers=() result=0
  gone=$(free_port)
  backend full full || return 1
  full=$at
  servers+=("$server")
  backend echo echo || return 1
  servers+=("$server")
  relay relay --backend "127.0.0.1:$gone" --backend "127.0.0.1:$full" --backend "127.0.0.1:$at" --connect 300 || return 1
  for _ in 1 2 3; do
    connect <"$work/www/page" >"$work/out" 2>"$work/out.err" || result=1
    same "$work/www/page" "$work/out" "by the third" || result=1
  done
  await_log "$work/relay.log" "127.0.0.1:$gone: Connection refused" || result=1
  await_log "$work/relay.log" "127.0.0.1:$full: it did not answer in time" || result=1
  [ "$(grep -c 'did not answer' "$work/relay.log")" = 1 ] || { say "tried again at once"; result=1; }
  stop "$relay"
  stop "${servers[0]}"
  stop "${servers[1]}"
  return "$result"
}

nobody() {
  local relay status=0 result=0 gone
  gone=$(free_port)
  relay relay --backend "127.0.0.1:$gone" --retries 0 || return 1
  connect </dev/null >"$work/out" 2>"$work/out.err" || status=$?
  failed_with_alert "$status" || {
    say "status $status: $(tail -n 1 "$work/out.err")"
    result=1
  }
  await_log "$work/relay.log" "no backend could be reached" || result=1
  # It comes, and is found.
  "$PYTHON" "$here/backend-server.py" "$gone" echo "$work/late.log" &
  pids+=("$!")
  await_log "$work/late.log" listening
  served out "the late one" || result=1
  await_log "$work/relay.log" "it is back" || result=1
  stop "$relay"
  stop "$!" 2>/dev/null || true
  return "$result"
}

# A server that is being started again: its clients wait.
late() {
  local relay result=0 client
  at=$(free_port)
  relay relay --backend "127.0.0.1:$at" || return 1
  connect <"$work/www/page" >"$work/out" 2>"$work/out.err" &
  client=$!
  await_log "$work/relay.log" "Connection refused" || result=1
  "$PYTHON" "$here/backend-server.py" "$at" echo "$work/later.log" &
  pids+=("$!")
  wait "$client" || { say "the client: $(tail -n 1 "$work/out.err")"; result=1; }
  same "$work/www/page" "$work/out" "by one that came later" || result=1
  stop "$relay"
  stop "$!"
  return "$result"
}

# A client that reads 10 KB in a second: its server waits, the relay holds no more than a little, and others go on.
slow_reader() {
  local before after sent client
  before=$(awk '/^VmRSS/ { print $2 }' "/proc/$relay/status")
  : >"$work/flood.log"
  python3 - "$listen" "$work/ca.pem" <<-'END' &
	import socket, ssl, sys, time
	context = ssl.create_default_context(cafile=sys.argv[2])
	context.verify_flags &= ~ssl.VERIFY_X509_STRICT # the CA is a short one
	raw = socket.socket()
	raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
	raw.connect(("127.0.0.1", int(sys.argv[1])))
	conn = context.wrap_socket(raw, server_hostname="localhost")
	while conn.recv(1000):
	    time.sleep(0.1)
	END
  client=$!
  pids+=("$client")
  sleep 1.2
  sent=$(grep -c sent "$work/flood.log")
  after=$(awk '/^VmRSS/ { print $2 }' "/proc/$relay/status")
  stop "$client"
  if [ "$sent" = 0 ] || [ "$sent" -ge 190 ]; then
    say "the server has sent $sent of 200 pieces"
    return 1
  fi
  [ $((after - before)) -lt "$MEMORY_KB" ] || { say "the relay grew from $before to $after KB"; return 1; }
}

idle() {
  local hold before
  before=$(grep -c "nothing moved for too long" "$work/sluiced.log" || true)
  exec {hold}> >(connect >"$work/out" 2>"$work/out.err")
  await_log "$work/sluiced.log" "nothing moved for too long" "$((before + 1))" || return 1
  exec {hold}>&-
}

local_backend() {
  local relay server result=0
  backend echo echo "unix:$work/echo.sock" || return 1
  chmod 777 "$work/echo.sock"
  relay relay --backend "unix:$work/echo.sock" || return 1
  echo_all || result=1
  stop "$relay"
  stop "$server"
  return "$result"
}

# What a parser of another author makes of the header, with what follows it: header VERSION PYTHON-CONDITION
header() {
  local relay server result=0
  backend proxy proxy && relay relay --backend "127.0.0.1:$at" --send-proxy "$1" || return 1
  timeout "$LIMIT" "$SLUICE" connect "localhost:$listen" --cacert "$work/ca.pem" <"$work/www/page" >"$work/out" 2>"$work/out.err" || result=1
  same "$work/www/page" "$work/out" "behind the header" || result=1
  await_log "$work/proxy.log" '^{' && python3 - "$work/proxy.log" "$listen" "$2" <<-'END' || result=1
	import json, sys
	header = next(json.loads(line) for line in open(sys.argv[1]) if line.startswith("{"))
	tlvs, listen = header["tlvs"], int(sys.argv[2])
	if not (header["valid"] and header["src"] == header["dst"] == "127.0.0.1" and header["src_port"] > 1023
	        and header["dst_port"] == listen and eval(sys.argv[3])):
	    sys.exit(f"# {header}")
	END
  stop "$relay"
  stop "$server"
  return "$result"
}

# Two servers have their share each.
share() {
  local relay server first at other result=0 n
  backend one echo && first=$server && other=$at && backend two echo || return 1
  relay relay --backend "127.0.0.1:$other" --backend "127.0.0.1:$at" || return 1
  many 40 || result=1
  for n in one two; do
    [ "$(grep -c accepted "$work/$n.log")" = 20 ] || { say "$n has $(grep -c accepted "$work/$n.log") of 40"; result=1; }
  done
  stop "$relay"
  stop "$server"
  stop "$first"
  return "$result"
}

# SIGTERM: what is open goes on to its end, new ones go to another relay.
drains() {
  local relay server first result=0 hold client
  backend echo echo && relay first --backend "127.0.0.1:$at" || return 1
  first=$relay
  exec {hold}> >(connect >"$work/out" 2>"$work/out.err")
  client=$!
  echo one >&"$hold"
  await_size "$work/out" 4 "$client" || { say "no echo"; return 1; }
  kill "$first"
  await_log "$work/first.log" ending || return 1
  relay second --backend "127.0.0.1:$at" || return 1
  served out2 "by the second" || result=1
  cat "$work/www/page" >&"$hold"
  exec {hold}>&-
  wait "$client" || { say "the client failed"; result=1; }
  wait "$first" || { say "the relay's status is $?"; result=1; }
  cmp -s <(echo one && cat "$work/www/page") "$work/out" || { say "other bytes"; result=1; }
  stop "$relay"
  stop "$server"
  return "$result"
}

# Without the process that connects a relay ends, and loses nothing that it has.
connector_killed() {
  local relay server first result=0 hold client second connector
  backend echo echo && relay first --backend "127.0.0.1:$at" || return 1
  first=$relay
  exec {hold}> >(connect >"$work/out" 2>"$work/out.err")
  client=$!
  echo one >&"$hold"
  await_size "$work/out" 4 "$client" || { say "no echo"; return 1; }
  connector=$(grep -lsE "^PPid:[[:space:]]+$first\$" /proc/[0-9]*/status)
  connector=${connector#/proc/}
  kill -KILL "${connector%/status}"
  connect <"$work/www/page" >"$work/out2" 2>"$work/out2.err" &
  second=$!
  await_log "$work/first.log" "process that connects is gone" || return 1
  relay second --backend "127.0.0.1:$at" || return 1
  wait "$second" || { say "the second client failed: $(tail -n 1 "$work/out2.err")"; result=1; }
  same "$work/www/page" "$work/out2" "by the second" || result=1
  cat "$work/www/page" >&"$hold"
  exec {hold}>&-
  wait "$client" || { say "the client failed"; result=1; }
  ! wait "$first" || { say "the relay's status is 0"; result=1; }
  cmp -s <(echo one && cat "$work/www/page") "$work/out" || { say "other bytes"; result=1; }
  stop "$relay"
  stop "$server"
  return "$result"
}

# 60 descriptors are for 9 connections: the others wait with the daemon, and come when these have ended.
few_files() {
  local relay server result=0 i
  backend echo echo || return 1
  under=(prlimit --nofile=60)
  relay relay --backend "127.0.0.1:$at" || result=1
  under=()
  local clients=()
  for ((i = 0; i < 30; i++)); do
    connect <"$work/www/page" >"$work/few.$i" 2>"$work/few.$i.err" &
    clients+=("$!")
  done
  for ((i = 0; i < 30; i++)); do
    wait "${clients[i]}" || { say "client $i: $(tail -n 1 "$work/few.$i.err")"; result=1; }
    same "$work/www/page" "$work/few.$i" "client $i" || result=1
  done
  stop "$relay"
  stop "$server"
  return "$result"
}

# Descriptors in flight are counted for a user: with more of them than the relay's limit, which are not its own,
# connections wait, and go back to the daemon, until there are less.
files_in_flight() {
  local relay server result=0 client holder
  backend echo echo || return 1
  python3 "$here/in-flight.py" 200 >"$work/flight.log" &
  holder=$!
  pids+=("$holder")
  await_log "$work/flight.log" "in flight" || return 1
  under=(prlimit --nofile=60)
  relay relay --backend "127.0.0.1:$at" --wait 300 || result=1
  under=()
  connect <"$work/www/page" >"$work/flight" 2>"$work/flight.err" &
  client=$!
  await_log "$work/relay.log" "Too many references: cannot splice; connections wait" || result=1
  await_log "$work/relay.log" "attached again" || result=1
  stop "$holder"
  wait "$client" || { say "the client: $(tail -n 1 "$work/flight.err")"; result=1; }
  same "$work/www/page" "$work/flight" "when there were less" || result=1
  stop "$relay"
  stop "$server"
  return "$result"
}

# What cannot be meant is refused at the start.
options() {
  local wrong
  for wrong in "localhost" "127.0.0.1:99999" "unix:relative" "[::1:80" "::1:80"; do
    ! timeout 20 "$RELAY" --pool "$work/app.sock" "${as[@]}" --backend "$wrong" >"$work/out" 2>&1 || { say "took $wrong"; return 1; }
    grep -qF "backend $wrong: " "$work/out" || { say "$wrong: $(head -n 1 "$work/out")"; return 1; }
  done
  ! timeout 5 "$RELAY" --pool "$work/app.sock" "${as[@]}" --backend 127.0.0.1:80 --offer "$work/o.sock" >"$work/out" 2>&1
}

prepare
chmod 711 "$work" # of sockets that another user may connect to
start_daemon
head -c 50000 "$work/www/data" >"$work/www/page"
ktap_plan 21
attempt "$REQUESTS requests to an HTTP server" http
attempt "bytes go both ways" over echo -- echo_all
attempt "keys change on the way" over echo -- key_updates
attempt "a client ends its direction, and reads on" over count -- client_first
attempt "a server ends its direction, and reads on" over first -- server_first
attempt "a server sees that a client was cut off" over count -- cut_off
attempt "a client sees that its server was" over reset -- server_dies
attempt "one that is not there or does not accept is passed over" others_down
attempt "without a server the peer is told, and the log" nobody
attempt "clients wait for a server that starts" late
attempt "a slow reader costs no memory" over flood -- slow_reader
attempt "nothing moves for too long" over echo --idle 500 -- idle
attempt "a server at a local socket" local_backend
attempt "two servers have their share each" share
attempt "a PROXY header of version 1" header v1 'header["version"] == 1'
attempt "a PROXY header of version 2 tells of TLS" header v2 '(header["version"] == 2 and tlvs["AUTHORITY"] == "localhost"
  and tlvs["SSL"] is True and tlvs["SSL_VERSION"] == "TLSv1.3" and tlvs["SSL_CIPHER"].startswith("TLS_") and int(tlvs["UNIQUE_ID"]) > 0)'
attempt "SIGTERM lets connections end" drains
attempt "the process that connects is killed" connector_killed
attempt "more connections than descriptors" few_files
attempt "more descriptors of its user in flight than it may have" files_in_flight
attempt "options that make no sense" options
exit "$ktap_failed"
