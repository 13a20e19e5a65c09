#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Crowds that mean no good: peers that say a byte a second, or nothing, or too much; workers that attach
# without end; administrators that ask without end. Each costs the daemon's processes a bounded amount of
# memory, which is measured, and a good client beside it is served, in a bounded time.
# Environment: as tests/daemon/lib.sh; SLUICE_TEST_LONG: 5,000 slow peers, and all of 16 MB in all ways.
# shellcheck disable=SC2317,SC2154 # the functions are called by the harness; variables of lib.sh
set -euo pipefail
# shellcheck source=tests/daemon/lib.sh
. "$(dirname "$0")/lib.sh"

SLUICECTL=${SLUICECTL:-$build/tools/sluicectl}
SLOW=500
GOOD=200
KNOCKS=2000
HELD=1100    # more than a pool takes
TIMEOUT=2000 # the good ones are there with the others
if [ -n "${SLUICE_TEST_LONG:-}" ]; then
  SLOW=5000
  GOOD=1000
  KNOCKS=10000
  HELD=2000
  TIMEOUT=5000
fi
SOURCES=50
PER_SOURCE=110
P99_MS=2000 # of the good ones
EACH=16384  # bytes of memory for a handshake that does not go on

starts() {
  port=$(free_port)
  cat >"$work/sluiced.conf" <<-END
	listeners:
	  - {name: main, address: "127.0.0.1:$port", profile: main, pool: app, routes: [{alpn: other, pool: other}]}
	profiles:
	  main: {certfile: $work/ec.pem, keyfile: $work/ec.key, handshake_timeout: $TIMEOUT, alpn_preferred_protocols: [other]}
	pools:
	  app: {socket: $work/app.sock}
	  other: {socket: $work/other.sock}
	limits: {handshakers: 2, handshakes: 8000, per_source: $PER_SOURCE}
	log: {level: warning}
	admin: {socket: $work/admin.sock}
	END
  start_daemon_quietly && start_worker app answer app && answers 'worker=*' ask localhost &&
    "$PEERS/storm" "$port" "$work/ca.pem" 500 32 1000 >/dev/null # so that memory is what it is under load
}

# Its log has nothing but warnings.
start_daemon_quietly() {
  "$SLUICED" --config "$work/sluiced.conf" >"$work/sluiced.log" 2>&1 &
  daemon=$!
  pids+=("$daemon")
  await 20 is_listening "$port" || { say "$(tail -n 3 "$work/sluiced.log")"; return 1; }
}

# all_memory: KiB of all processes of the daemon.
all_memory() {
  local pid sum=0
  for pid in "$daemon" $(keeper; handshakers); do sum=$((sum + $(resident "$pid"))); done
  echo "$sum"
}

processes() {
  keeper
  handshakers | sort
}

# good COUNT [P99]: clients beside whatever there is; all are served, 99 of 100 within so many milliseconds.
good() {
  local p99 limit=${2:-$P99_MS}
  "$PEERS/storm" "$port" "$work/ca.pem" "$1" 32 500 >"$work/good" 2>&1 || {
    say "good ones failed: $(head -n 3 "$work/good"); $(tail -n 1 "$work/good")"
    return 1
  }
  p99=$(sed -n 's/.* p99_ms=\([0-9]*\).*/\1/p' "$work/good")
  say "beside: $(sed 's/ seconds.* p50/ p50/' "$work/good")"
  [ "$p99" -le "$limit" ] || { say "they wait too long"; return 1; }
}

# mob slow|silent: so many at once; memory of each, the good ones beside, and the deadline.
mob() {
  local before mob each result=0 last
  before=$(all_memory)
  "$PEERS/mob" "$port" "$1" "$SLOW" "$SOURCES" >"$work/mob" 2>&1 &
  mob=$!
  pids+=("$mob")
  await 20 grep -qs '^open' "$work/mob" || { say "$(cat "$work/mob")"; return 1; }
  sleep 1 # until some has come of all
  each=$((($(all_memory) - before) * 1024 / SLOW))
  good "$GOOD" || result=1
  wait "$mob" || { say "not all were cut"; result=1; }
  last=$(sed -n 's/.*last_ms=//p' "$work/mob")
  say "$SLOW $1 ones: $each bytes of memory each; $(tail -n 1 "$work/mob")"
  [ "$each" -le "$EACH" ] || { say "more than $EACH bytes each"; result=1; }
  [ "${last:-99999}" -le $((TIMEOUT + 1500)) ] || { say "cut too late"; result=1; }
  grep -q "^cut $SLOW " "$work/mob" || result=1
  return "$result"
}

# Peers of one address get their share of handshakes under way, and another address all that it wants.
one_source() {
  local mob result=0
  "$PEERS/mob" "$port" silent $((4 * PER_SOURCE)) 1 >"$work/mob" 2>&1 &
  mob=$!
  pids+=("$mob")
  await 20 grep -qs '^open' "$work/mob" || return 1
  sleep 0.3
  "$SLUICECTL" --socket "$work/admin.sock" --json status >"$work/status"
  good 100 || result=1
  wait "$mob" || result=1
  grep -oE '"handshakes": *[0-9]+' "$work/status" | grep -qE "[^0-9]$PER_SOURCE\$" || {
    say "under way: $(grep -oE '"handshakes": *[0-9]+' "$work/status"), of $PER_SOURCE"
    result=1
  }
  return "$result"
}

# large HOW ALERT BYTES: cut with this alert, after the socket took at most so many bytes.
large() {
  local out sent
  out=$("$PEERS/mob" "$port" "$1")
  sent=${out#sent=}
  say "$1: $out"
  [ "${out##*alert=}" = "$2" ] || { say "not alert $2"; return 1; }
  [ "${sent%% *}" -le "$3" ] || { say "cut after $3 bytes or later"; return 1; }
}

# What a socket takes before anybody reads it is the kernel's: it takes some MB on loopback.
too_large() {
  local before after result=0
  before=$(all_memory)
  large claim 47 8000000 || result=1  # illegal_parameter
  large crumbs 50 8000000 || result=1 # decode_error: it is whole, and nonsense
  large hellos -2 8000000 || result=1 # its alert is encrypted
  after=$(all_memory)
  [ $((after - before)) -le 1024 ] || { say "$((after - before)) KiB more"; result=1; }
  good 50 || result=1
  return "$result"
}

attaches() {
  local liar before held result=0
  before=$(all_memory)
  "$PEERS/liar" "$work/other.sock" knocks "$KNOCKS" >"$work/liar" 2>&1 &
  liar=$!
  good 200 || result=1
  wait "$liar" || result=1
  say "$(cat "$work/liar"): $(($(all_memory) - before)) KiB"
  mkfifo "$work/liar.in"
  exec {held}<>"$work/liar.in"
  "$PEERS/liar" "$work/other.sock" crowd "$HELD" <"$work/liar.in" {held}>&- >"$work/liar" 2>&1 &
  liar=$!
  pids+=("$liar")
  good 200 || result=1
  await 30 grep -qs attached "$work/liar" || { say "they do not come to an end"; result=1; }
  say "of $HELD: $(cat "$work/liar"): $(($(all_memory) - before)) KiB, $(count_files "$daemon") descriptors"
  [ $(($(all_memory) - before)) -le 4096 ] || { say "more than 4 MiB"; result=1; }
  [ "$(cat "$work/liar")" = "1024 attached" ] || { say "not as many as a pool takes"; result=1; }
  good 100 || result=1
  kill "$liar"
  exec {held}>&-
  wait "$liar" || true
  await 10 eval "[ \$(count_files '$daemon') -lt 100 ]" || { say "$(count_files "$daemon") descriptors"; result=1; }
  # There is room for another again.
  start_worker other answer other || result=1
  return "$result"
}

administrators() {
  local flood before result=0
  before=$(all_memory)
  python3 - "$work/admin.sock" >"$work/flood" 2>&1 <<-'END' &
	import select, socket, sys, time

	def client():
	    s = socket.socket(socket.AF_UNIX)
	    s.connect(sys.argv[1])
	    s.setblocking(False)
	    return s

	stalled = [client() for i in range(20)]
	asking = [client() for i in range(20)]
	until, answered = time.monotonic() + 2.5, 0
	while time.monotonic() < until:
	    for s in select.select(asking, stalled + asking, [], 0.1)[1]:
	        try:
	            s.send(b'{"verb": "stats"}\n' * 50)
	        except OSError:
	            pass
	    for s in select.select(asking, [], [], 0)[0]:
	        try:
	            answered += len(s.recv(1 << 16))
	        except OSError:
	            pass
	print(f"{answered} bytes answered")
	END
  flood=$!
  sleep 0.5
  good 400 500 || result=1
  say "$(($(all_memory) - before)) KiB for 40 administrators"
  [ $(($(all_memory) - before)) -le 16384 ] || { say "more than 16 MiB"; result=1; }
  wait "$flood" || { say "$(tail -n 1 "$work/flood")"; result=1; }
  say "$(cat "$work/flood")"
  grep -q '^[1-9]' "$work/flood" || result=1
  return "$result"
}

unharmed() {
  [ "$(processes)" = "$before_all" ] || { say "processes were lost: $(grep -E "hangs|ended by" "$work/sluiced.log" | head -n 3)"; return 1; }
  answers 'worker=*' ask localhost
}

prepare_daemon
ktap_plan 8
attempt "the daemon starts" starts
before_all=$(processes || true)
attempt "peers that say a byte a second" mob slow
attempt "peers that say their hello and nothing more" mob silent
attempt "peers of one address, and one of another" one_source
attempt "a hello of 16 MB" too_large
attempt "workers that attach without end" attaches
attempt "administrators that ask without end, and that read nothing" administrators
attempt "all processes are those of the beginning" unharmed
exit "$ktap_failed"
