#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What workers are asked of connections that they have: new keys (sluicectl rekey) and a proper end
# (sluicectl kill), in an event loop, in threads that wait, in a relay; and workers that are older, or
# do not answer.
# Environment: as tests/daemon/lib.sh; WORKER, RELAY: the programs.
# shellcheck disable=SC2317,SC2154 # the functions are called by the harness; variables of lib.sh
set -euo pipefail
# shellcheck source=tests/daemon/lib.sh
. "$(dirname "$0")/lib.sh"

here=$(dirname "$0")
WORKER=${WORKER:-$build/examples/example-worker}
RELAY=${RELAY:-$build/daemon/sluice-relay}
BYTES=4000000
CHANGES=10
LIMIT=60
[ -z "${SLUICE_TEST_LONG:-}" ] || CHANGES=500

configure() {
  port=$(free_port)
  cat >"$work/sluiced.conf" <<-END
	listeners:
	  - {name: web, address: "127.0.0.1:$port", profile: default, pool: web}
	profiles:
	  default:
	    certfile: $work/ec.pem
	    keyfile: $work/ec.key
	pools:
	  web: {socket: $work/web.sock, users: [$relay_user]}
	limits: {handshakers: 2}
	admin: {socket: $work/admin.sock}
	END
}

ctl() {
  "$build/tools/sluicectl" --socket "$work/admin.sock" "$@"
}

# ends STATUS PATTERN COMMAND...: the status of sluicectl, and what it says on either output.
ends() {
  local wanted=$1 pattern=$2 status=0
  shift 2
  "$@" >"$work/said" 2>&1 || status=$?
  if [ "$status" -eq "$wanted" ] && grep -qE -- "$pattern" "$work/said"; then return 0; fi
  say "$*: status $status instead of $wanted, or no '$pattern': $(head -n 3 "$work/said" | tr '\n' ' ')"
  return 1
}

live() { # the number of the one live session
  ctl sessions state=live --tsv 2>/dev/null | awk 'NR == 2 { print $1 }'
}

is_live() {
  [ -n "$(live)" ]
}

nobody() {
  [ "$(ctl sessions --tsv | wc -l)" -eq 1 ]
}

# connect S_CLIENT-OPTION...: a client that says what it is told by &$hold, with all messages in
# client.out; its session is $id.
connect() {
  rm -f "$work/to-client"
  mkfifo "$work/to-client"
  timeout "$LIMIT" openssl s_client -connect "127.0.0.1:$port" -servername localhost -CAfile "$work/ca.pem" \
    -msg "$@" <"$work/to-client" >"$work/client.out" 2>&1 &
  client=$!
  pids+=("$client")
  exec {hold}>"$work/to-client"
  await 10 is_live || {
    say "no session: $(tail -n 2 "$work/client.out" "$work/sluiced.log")"
    return 1
  }
  id=$(live)
}

hears() {
  grep -qx -- "$1" "$work/client.out"
}

# echoes WORD: data goes both ways.
echoes() {
  echo "$1" >&"$hold"
  await 10 hears "$1" || {
    say "no echo of $1: $(tail -n 2 "$work/client.out")"
    return 1
  }
}

leave() {
  exec {hold}>&-
  stop "$client"
  await 10 nobody
}

updates() { # FROM: how many KeyUpdates the client saw; <<< from us
  grep -c "^$1 .*KeyUpdate" "$work/client.out" || true
}

lives() { # PID LOG...
  kill -0 "$1" 2>/dev/null && return 0
  shift
  say "it died: $(grep -h ERROR "$@" | head -n 2)"
  return 1
}

with_worker() { # COMMAND of a worker, then a function and its arguments
  local result=0
  "$WORKER" "$work/web.sock" 2>"$work/worker.err" &
  worker=$!
  pids+=("$worker")
  "$@" || result=1
  lives "$worker" "$work"/worker*.err || result=1
  stop "$worker"
  await 10 nobody || result=1
  return "$result"
}

with_threads() {
  local result=0
  start_worker web echo threads || return 1
  "$@" || result=1
  lives "$worker" "$work"/worker*.err || result=1
  stop "$worker"
  await 10 nobody || result=1
  return "$result"
}

with_relay() {
  local result=0 relay plain become=()
  [ "$(id -u)" != 0 ] || become=(--as nobody)
  "$RELAY" --pool "$work/web.sock" --offer "$work/plain.sock" "${become[@]}" 2>"$work/relay.log" &
  relay=$!
  pids+=("$relay")
  await 10 test -S "$work/plain.sock"
  python3 "$here/echo-worker.py" "$work/plain.sock" echo >"$work/plain.out" 2>&1 &
  plain=$!
  pids+=("$plain")
  "$@" || result=1
  lives "$relay" "$work/relay.log" || result=1
  stop "$plain"
  stop "$relay"
  await 10 nobody || result=1
  return "$result"
}

# --- new keys

new_keys() {
  local result=0
  connect -tls1_3 || return 1
  echoes one || result=1
  ends 0 "^ *$id +done +1 +0 " ctl rekey "$id" || result=1
  echoes two || result=1
  [ "$(updates '<<<')" -eq 1 ] || {
    say "the peer saw $(updates '<<<') KeyUpdates"
    result=1
  }
  ends 0 "^$id	done	2	0	" ctl rekey sni=localhost --both --tsv || result=1
  echoes three || result=1
  if [ "$(updates '<<<')" -ne 2 ] || [ "$(updates '>>>')" -ne 1 ]; then
    say "with --both the peer saw $(updates '<<<') and sent $(updates '>>>') KeyUpdates"
    result=1
  fi
  ends 0 '"tx_epoch":3' ctl rekey "$id" --json || result=1
  python3 -m json.tool "$work/said" >/dev/null || result=1
  grep -q '"rx_epoch":1' "$work/said" || {
    say "the peer's new keys are not counted: $(cat "$work/said")"
    result=1
  }
  echoes four || result=1
  leave
  return "$result"
}

# A peer checks every byte while keys change all the time, from both sides and from outside: as many
# exchanges as it takes for ten changes from outside.
exchange() {
  local peer
  timeout "$LIMIT" "$PEERS/openssl" client "$port" "$work/ca.pem" - "$BYTES" 20000 >"$work/peer.out" 2>&1 &
  peer=$!
  pids+=("$peer")
  while kill -0 "$peer" 2>/dev/null; do
    if ctl rekey state=live >>"$work/rekeys" 2>&1; then changed=$((changed + 1)); fi
  done
  wait "$peer"
}

under_traffic() {
  local i changed=0
  for ((i = 0; i < 100 && changed < CHANGES; i++)); do
    exchange || {
      say "$(tail -n 2 "$work/peer.out")"
      return 1
    }
  done
  [ "$changed" -ge "$CHANGES" ] || {
    say "only $changed of them: $(tail -n 3 "$work/rekeys")"
    return 1
  }
}

refuses() {
  local result=0
  ends 1 "no session" ctl rekey 99999 || result=1
  connect -tls1_2 || return 1
  ends 1 "refused .*TLS 1.2 has no new keys" ctl rekey "$id" || result=1
  echoes still || result=1
  leave
  return "$result"
}

# It is stopped: the daemon waits a bounded time for the answer, and not with others.
no_answer() {
  local result=0 started=$SECONDS asking
  connect -tls1_3 || return 1
  echoes one || result=1
  kill -STOP "$worker"
  ctl rekey "$id" >"$work/asking" 2>&1 &
  asking=$!
  pids+=("$asking")
  ends 0 serving timeout 1 "$build/tools/sluicectl" -s "$work/admin.sock" status || result=1
  if ctl rekey "$id" >"$work/said" 2>&1 || ! grep -q 'asked already' "$work/said"; then
    say "asked twice: $(cat "$work/said")"
    result=1
  fi
  if wait "$asking"; then result=1; fi
  grep -q 'timeout .*does not answer' "$work/asking" || {
    say "$(cat "$work/asking")"
    result=1
  }
  [ $((SECONDS - started)) -lt 8 ] || result=1
  kill -CONT "$worker"
  echoes two || result=1
  # The late answer is nobody's.
  ends 0 "done" ctl rekey "$id" || result=1
  leave
  return "$result"
}

# --- the end

ended_properly() {
  local result=0
  connect -tls1_3 || return 1
  echoes one || result=1
  ends 0 "ended: 1" ctl kill "$id" || result=1
  await 10 nobody || result=1
  await 10 grep -q '^<<< .*close_notify' "$work/client.out" || {
    say "no close_notify: $(tail -n 2 "$work/client.out")"
    result=1
  }
  await 5 log_has "session $id ended: reason=killed text=\"ended by the administrator\" " || {
    say "$(tail -n 1 "$work/sluiced.log")"
    result=1
  }
  exec {hold}>&-
  stop "$client"
  return "$result"
}

# destroys ID: the kernel ends the session's socket; where it cannot (CONFIG_INET_DIAG_DESTROY) that is
# told, and the client ends it.
destroys() {
  if ends 0 "ended: 1" ctl kill "$1" >/dev/null; then
    await 5 nobody
    return
  fi
  ends 1 "could not be: .*no CONFIG_INET_DIAG_DESTROY" ctl kill "$1" || return 1
  exec {hold}>&-
  stop "$client"
}

# A worker that does not run cannot close: the kernel does.
ended_by_force() {
  local result=0 started=$SECONDS
  connect -tls1_3 || return 1
  echoes one || result=1
  kill -STOP "$worker"
  destroys "$id" || result=1
  [ $((SECONDS - started)) -lt 6 ] || {
    say "it took $((SECONDS - started)) s"
    result=1
  }
  ! grep -q '^<<< .*close_notify' "$work/client.out" || result=1
  kill -CONT "$worker"
  exec {hold}>&- || true
  stop "$client"
  return "$result"
}

# --- an older worker: it never said what it knows, so it is asked nothing

older() {
  local result=0 old
  python3 - "$work/web.sock" <<-'END' &
	import array, socket, struct, sys
	s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
	s.connect(sys.argv[1])
	s.send(struct.pack("<BBHI", 1, 1, 0, 0))
	held, first = [], True
	while True:
	    data, ancillary, _, _ = s.recvmsg(65536, 4096)
	    if not data:
	        break
	    for level, kind, fds in ancillary:
	        held += array.array("i", fds)
	    _, kind, _, number = struct.unpack("<BBHI", data[:8])
	    if kind == 16:
	        s.send(struct.pack("<BBHIHHQ", 1, 2, 0, 0, 6, 8, 100))
	        s.send(struct.pack("<BBHI", 1, 7, 0, 77))  # UPDATED that nobody asked for
	    elif kind == 17:
	        s.send(struct.pack("<BBHI", 1, 3, 0, number))
	    else:
	        raise SystemExit("message %d" % kind)
	END
  old=$!
  pids+=("$old")
  connect -tls1_3 || return 1
  if can_rekey; then ends 1 "failed .*older" ctl rekey "$id" || result=1; fi
  destroys "$id" || result=1
  kill -0 "$old" || {
    say "the older worker was asked something"
    result=1
  }
  exec {hold}>&-
  stop "$client"
  stop "$old"
  return "$result"
}

can_rekey() {
  [ "$(path_of TLS_AES_128_GCM_SHA256 auto)" = user ] ||
    grep -q 'new keys when receiving (KeyUpdate) *yes' "$work/probe"
}

# rekeys NAME COMMAND...: where the kernel can.
rekeys() {
  if can_rekey; then
    attempt "$@"
  else
    skip "$1" "this kernel cannot change keys"
  fi
}

prepare_daemon
"$SLUICE" probe >"$work/probe"
configure
start_daemon
ktap_plan 11
# test: an event loop's session gets new keys
rekeys "an event loop's session gets new keys" with_worker new_keys
# test: the session of a thread that waits gets new keys
rekeys "the session of a thread that waits gets new keys" with_threads new_keys
# test: a relay's session gets new keys
rekeys "a relay's session gets new keys" with_relay new_keys
# test: new keys under traffic, beside a thread that uses the connection
rekeys "new keys under traffic, beside a thread that uses the connection" with_threads under_traffic
# test: TLS 1.2 has no new keys, and is told so
attempt "TLS 1.2 has no new keys, and is told so" with_worker refuses
# test: a worker that does not answer is not waited for
rekeys "a worker that does not answer is not waited for" with_worker no_answer
# test: an event loop's session ends with close_notify
attempt "an event loop's session ends with close_notify" with_worker ended_properly
# test: the session of a thread that waits ends with close_notify
attempt "the session of a thread that waits ends with close_notify" with_threads ended_properly
# test: a relay's session ends with close_notify
attempt "a relay's session ends with close_notify" with_relay ended_properly
# test: what a stopped worker has the kernel ends
attempt "what a stopped worker has the kernel ends" with_worker ended_by_force
# test: an older worker is asked nothing
attempt "an older worker is asked nothing" older
exit "$ktap_failed"
