#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# sluicectl trace: every event of a session that is followed, in order, with its time; nothing of others;
# and clients that follow and do not read.
# Environment: as tests/daemon/lib.sh; WORKER: the program.
# shellcheck disable=SC2317,SC2154 # the functions are called by the harness; variables of lib.sh
set -euo pipefail
# shellcheck source=tests/daemon/lib.sh
. "$(dirname "$0")/lib.sh"

WORKER=${WORKER:-$build/examples/example-worker}
LIMIT=20

configure() {
  port=$(free_port)
  cat >"$work/sluiced.conf" <<-END
	listeners:
	  - {name: web, address: "127.0.0.1:$port", profile: default, pool: web}
	profiles:
	  default:
	    certfile: $work/ec.pem
	    keyfile: $work/ec.key
	    alpn_preferred_protocols: [h2, http/1.1]
	    hosts:
	      - {names: [rsa.test], certfile: $work/rsa.pem, keyfile: $work/rsa.key}
	pools:
	  web: {socket: $work/web.sock}
	limits: {handshakers: 2}
	admin: {socket: $work/admin.sock}
	END
}

ctl() {
  "$build/tools/sluicectl" --socket "$work/admin.sock" "$@"
}

tracers() { # how many clients the daemon has, by what it holds open
  count_files "$daemon"
}

# follow ARGUMENT...: a trace in the background, into $work/trace; it has begun.
follow() {
  local had
  had=$(tracers)
  "$build/tools/sluicectl" --socket "$work/admin.sock" trace "$@" >"$work/trace" 2>"$work/trace.err" &
  trace=$!
  pids+=("$trace")
  await 5 has_more_than "$had"
  ctl status >/dev/null # what was asked before is done
}

has_more_than() {
  [ "$(tracers)" -gt "$1" ]
}

told() {
  grep -q -- "$1" "$work/trace"
}

hello() { # S_CLIENT-OPTION...: a connection, and its end
  echo hello | timeout "$LIMIT" openssl s_client -connect "127.0.0.1:$port" -CAfile "$work/ca.pem" -quiet \
    -no_ign_eof "$@" >"$work/client.out" 2>&1 || true
}

# events: the names of the events of the first session in the trace, in one line; all of its rows are
# sound.
events() {
  python3 - "$work/trace" <<-'END'
	import json, sys
	rows = [json.loads(line) for line in open(sys.argv[1])]
	rows = [row for row in rows if row["session"] == rows[0]["session"]]
	assert all(a["us"] <= b["us"] for a, b in zip(rows, rows[1:])), "time goes back"
	assert rows[0]["us"] == 0 or rows[0]["event"] != "accepted"
	print(*[row["event"] for row in rows])
	END
}

expect() { # EVENTS
  local found
  found=$(events)
  [ "$found" = "$1" ] && return 0
  say "instead of '$1': '$found'"
  return 1
}

# --- what is told

whole() {
  local result=0 fact
  follow --listener web --json
  hello -servername localhost -alpn h2,http/1.1 -tls1_3
  await 5 told '"ended"' || result=1
  stop "$trace"
  expect "accepted given hello host sign-asked sign-answered established offered acknowledged ended" || result=1
  for fact in '"peer":"127.0.0.1:[0-9]+"' '"sni":"localhost"' '"alpn":"h2,http/1.1"' '"versions":"TLSv1.3"' \
    '"default":true' '"algorithm":"ecdsa_secp256r1_sha256"' '"signed":true' '"version":"TLSv1.3"' '"suite":"TLS_' \
    '"group":"[a-z0-9]' '"tx_path":"(kernel|user)"' '"worker_pid":'"$worker" '"rx_bytes":[1-9]'; do
    grep -qE -- "$fact" "$work/trace" || {
      say "no $fact in the trace"
      result=1
    }
  done
  if grep -qE 'hello$|PRIVATE|secret' "$work/trace"; then result=1; fi
  return "$result"
}

for_people() {
  local result=0
  follow --source 127.0.0.0/8
  hello -servername rsa.test
  await 5 told ' ended ' || result=1
  stop "$trace"
  grep -qE '^ +[0-9]+ +0 us  accepted +peer=127.0.0.1:' "$work/trace" || result=1
  grep -qE 'host +default=false key_sha256=[0-9a-f]{64}$' "$work/trace" || result=1
  grep -qE 'sign-asked +algorithm=rsa_pss_rsae_' "$work/trace" || result=1
  [ "$result" = 0 ] || say "$(cat "$work/trace")"
  return "$result"
}

alerts() {
  local result=0
  follow --listener web --json
  hello -servername localhost -tls1_2 -verify_return_error -CAfile "$work/alien.pem"
  await 5 told '"ended"' || result=1
  stop "$trace"
  expect "accepted given hello host sign-asked sign-answered alert-received ended" || result=1
  grep -q '"alert":"unknown_ca"' "$work/trace" || {
    say "$(grep alert "$work/trace" "$work/client.out")"
    result=1
  }
  follow --listener web --json
  hello -servername localhost -tls1_3 -ciphersuites TLS_AES_128_CCM_SHA256
  await 5 told '"ended"' || result=1
  stop "$trace"
  events | grep -qE 'alert-sent ended$' || {
    say "$(events)"
    result=1
  }
  grep -q '"alert":"handshake_failure"' "$work/trace" || result=1
  return "$result"
}

# A session that is there already; the trace ends with it.
one_session() {
  local result=0 id client hold
  mkfifo "$work/to-client"
  timeout "$LIMIT" openssl s_client -connect "127.0.0.1:$port" -quiet <"$work/to-client" >"$work/client.out" 2>&1 &
  client=$!
  pids+=("$client")
  exec {hold}>"$work/to-client"
  await 5 is_live || {
    say "no session: $(ctl sessions --tsv | tail -n +2); $(tail -n 1 "$work/client.out")"
    return 1
  }
  id=$(ctl sessions state=live --tsv | awk 'NR == 2 { print $1 }')
  follow "$id" --json
  ctl kill "$id" >/dev/null || result=1
  await 5 has_ended "$trace" || {
    say "the trace goes on"
    result=1
  }
  wait "$trace" || result=1
  expect "ended" || result=1
  grep -q '"reason":"ended by the administrator"' "$work/trace" || result=1
  exec {hold}>&-
  if ctl trace 99999 2>"$work/said" || ! grep -q 'no session 99999' "$work/said"; then result=1; fi
  return "$result"
}

is_live() {
  [ "$(ctl sessions state=live --tsv | wc -l)" -eq 2 ]
}

has_ended() {
  ! kill -0 "$1" 2>/dev/null
}

others_not() {
  local result=0
  follow --source 192.0.2.0/24 --json --for 1
  hello -servername localhost
  await 5 has_ended "$trace" || result=1
  wait "$trace" || result=1
  [ ! -s "$work/trace" ] || {
    say "$(head -n 1 "$work/trace")"
    result=1
  }
  return "$result"
}

hello_until() { # COMMAND...
  hello -servername localhost
  "$@"
}

# Whoever closes the pipe has seen enough.
closed_pipe() {
  local result=0
  (
    timeout 10 "$build/tools/sluicectl" --socket "$work/admin.sock" trace --listener web
    echo "status $?" >"$work/status"
  ) | head -n 1 >"$work/trace" &
  trace=$!
  pids+=("$trace")
  await 10 hello_until test -s "$work/status" || result=1
  grep -qx 'status 0' "$work/status" || {
    say "$(cat "$work/status" || true)"
    result=1
  }
  stop "$trace"
  return "$result"
}

# --- how many, and those that do not read

bounded() {
  local result=0 i all=()
  for ((i = 0; i < 8; i++)); do
    follow --listener web --json
    all+=("$trace")
  done
  if ctl trace --listener web 2>"$work/said" || ! grep -q '8 traces are running' "$work/said"; then
    say "the ninth: $(cat "$work/said")"
    result=1
  fi
  kill "${all[@]}"
  await 5 has_room || result=1
  return "$result"
}

has_room() {
  ctl trace --listener web --for 1 >/dev/null 2>&1
}

# It follows, and reads nothing: it is cut off, while another follows all.
stalled() {
  local result=0 i stalled
  python3 - "$work/admin.sock" >"$work/stalled" <<-'END' &
	import select, socket, sys, time
	s = socket.socket(socket.AF_UNIX)
	s.connect(sys.argv[1])
	s.sendall(b'{"request":"trace","filter":{"listener":"web"}}\n')
	start = time.monotonic()
	poll = select.poll()
	poll.register(s, 0)
	print("cut off" if poll.poll(60000) else "still there", flush=True)
	END
  stalled=$!
  pids+=("$stalled")
  follow --listener web --json
  for ((i = 0; i < 300; i++)); do hello -servername localhost; done
  wait "$stalled" || result=1
  grep -q 'cut off' "$work/stalled" || result=1
  [ "$(grep -c '"ended"' "$work/trace")" -eq 300 ] || result=1
  stop "$trace"
  return "$result"
}

prepare_daemon
configure
start_daemon
"$WORKER" "$work/web.sock" 2>"$work/worker.err" &
worker=$!
pids+=("$worker")
sleep 0.2
ktap_plan 8
# test: a trace has every event of a session, in order
attempt "a trace has every event of a session, in order" whole
# test: a trace for people has a line for each event
attempt "a trace for people has a line for each event" for_people
# test: a trace tells alerts of failed handshakes
attempt "a trace tells alerts of failed handshakes" alerts
# test: the trace of one session ends with it
attempt "the trace of one session ends with it" one_session
# test: who does not fit is not followed
attempt "who does not fit is not followed" others_not
# test: a trace ends with its pipe
attempt "a trace ends with its pipe" closed_pipe
# test: eight traces run at once, and the ninth is told so
attempt "eight traces run at once, and the ninth is told so" bounded
# test: a trace that is not read is cut off
if [ -n "${SLUICE_TEST_LONG:-}" ]; then
  attempt "a trace that is not read is cut off" stalled
else
  skip "a trace that is not read is cut off" "takes half a minute: SLUICE_TEST_LONG=1"
fi
kill -0 "$worker" || {
  say "the worker died: $(grep ERROR "$work/worker.err")"
  exit 1
}
exit "$ktap_failed"
