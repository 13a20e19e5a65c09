#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The service of new keys: how long an answer takes, and that a worker which asks without end gets them at
# the rate that the daemon allows, while another's answers and handshakes still come at once.
# On the user path, where sessions have no keys at the daemon, answers are refusals.
# Environment: as tests/daemon/lib.sh; SLUICE_TEST_LONG: 100,000 at once.
# shellcheck disable=SC2317,SC2154 # the functions are called by the harness; variables of lib.sh
set -euo pipefail
# shellcheck source=tests/daemon/lib.sh
. "$(dirname "$0")/lib.sh"

SLUICECTL=${SLUICECTL:-$build/tools/sluicectl}
ALLOWED=1000 # in a second: REKEY_RATE, and REKEY_BURST at once
BURST=2000
COUNT=6000
[ -z "${SLUICE_TEST_LONG:-}" ] || COUNT=100000

starts() {
  port=$(free_port)
  cat >"$work/sluiced.conf" <<-END
	listeners:
	  - name: main
	    address: "127.0.0.1:$port"
	    profile: main
	    pool: app
	    routes: [{alpn: measured, pool: measured}, {alpn: greedy, pool: greedy}]
	profiles:
	  main: {certfile: $work/ec.pem, keyfile: $work/ec.key, alpn_preferred_protocols: [app, measured, greedy]}
	pools:
	  app: {socket: $work/app.sock}
	  measured: {socket: $work/measured.sock}
	  greedy: {socket: $work/greedy.sock}
	limits: {handshakers: 2, per_source: 1000}
	admin: {socket: $work/admin.sock}
	END
  start_daemon && start_worker app answer app && answers 'worker=*' ask localhost
}

# asks NAME POOL COUNT [STORM]: begins a worker and gives it a connection. Its pid is $asking.
asks() {
  local name=$1 pool=$2
  shift 2
  "$PEERS/rekeys" "$work/$pool.sock" "$@" >"$work/$name.out" 2>&1 &
  asking=$!
  pids+=("$asking")
  await 10 grep -qs attached "$work/$name.out" || return 1
  mkfifo "$work/$name.in"
  openssl s_client -connect "127.0.0.1:$port" -servername localhost -alpn "$pool" -quiet \
    <>"$work/$name.in" >"$work/$name.peer" 2>&1 &
  pids+=("$!")
}

figure() { # FILE NAME
  sed -n "s/.*\<$2=\([0-9.]*\).*/\1/p" "$work/$1.out"
}

served() {
  asks quiet measured 500 || return 1
  wait "$asking" || { say "$(cat "$work/quiet.out")"; return 1; }
  say "alone: $(tail -n 1 "$work/quiet.out")"
  if [ "$(path_of TLS_AES_128_GCM_SHA256 auto)" = kernel ]; then
    [ "$(figure quiet given)" = 500 ]
  else
    [ "$(figure quiet refused)" = 500 ]
  fi
}

# An answer waits for at most a few other messages, so nothing near a tick of 50 ms.
bounded() {
  local greedy result=0 slowest least
  asks greedy greedy "$COUNT" storm || return 1
  greedy=$asking
  asks beside measured 500 || return 1
  "$PEERS/storm" "$port" "$work/ca.pem" 500 16 200 >"$work/storm.out" 2>&1 || result=1
  wait "$asking" || { say "$(cat "$work/beside.out")"; result=1; }
  kill -0 "$greedy" || { say "the storm was over"; result=1; }
  wait "$greedy" || { say "$(cat "$work/greedy.out")"; result=1; }
  say "beside: $(tail -n 1 "$work/beside.out")"
  say "storm of $COUNT: $(tail -n 1 "$work/greedy.out")"
  say "handshakes beside: $(tail -n 1 "$work/storm.out")"
  slowest=$(figure beside p99_us)
  [ "${slowest:-1000000}" -le 20000 ] || { say "an answer takes too long"; result=1; }
  least=$(((COUNT - BURST) / ALLOWED))
  awk -v s="$(figure greedy seconds)" -v least="$least" 'BEGIN { exit s + 0.2 < least }' || {
    say "it got them faster than is allowed"
    result=1
  }
  "$SLUICECTL" --socket "$work/admin.sock" --tsv stats | grep -qE 'rekeys_slowed[[:space:]][1-9]' ||
    { say "nothing is counted"; result=1; }
  log_has 'asks for new keys too often' || { say "nothing is logged"; result=1; }
  return "$result"
}

prepare_daemon
"$SLUICE" probe >"$work/probe"
ktap_plan 3
attempt "the daemon starts" starts
if [ "$(path_of TLS_AES_128_GCM_SHA256 auto)" = user ] ||
  grep -q 'new keys when receiving (KeyUpdate) *yes' "$work/probe"; then
  attempt "new keys are asked for, one after the other" served
  median=$(figure quiet median_us)
  if [ "${median:-0}" -gt 500 ]; then # an emulated machine
    skip "a worker that asks without end makes nobody else wait" "this machine is slower than the rate"
  else
    attempt "a worker that asks without end makes nobody else wait" bounded
  fi
else
  skip "new keys are asked for, one after the other" "this kernel cannot change keys"
  skip "a worker that asks without end makes nobody else wait" "this kernel cannot change keys"
fi
exit "$ktap_failed"
