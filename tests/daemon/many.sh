#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Many connections at once over two workers: all are answered, the broker keeps no descriptor and less
# than 1 KiB of each, and everything is back where it was at the end. Prints what a connection costs.
# Environment: as tests/daemon/lib.sh; WORKER: the program; SLUICE_TEST_LONG: 10,000 of them.
# shellcheck disable=SC2317,SC2154 # the functions are called by the harness; variables of lib.sh
set -euo pipefail
# shellcheck source=tests/daemon/lib.sh
. "$(dirname "$0")/lib.sh"

WORKER=${WORKER:-$build/examples/example-worker}
COUNT=1000
[ -z "${SLUICE_TEST_LONG:-}" ] || COUNT=10000
LIMIT=120

start_all() {
  local i
  port=$(free_port)
  cat >"$work/sluiced.conf" <<-END
	listeners:
	  - {name: web, address: "127.0.0.1:$port", profile: default, pool: web}
	profiles:
	  default: {certfile: $work/ec.pem, keyfile: $work/ec.key, handshake_timeout: 60000}
	pools:
	  web: {socket: $work/web.sock, wait: 60000}
	limits: {handshakers: 2, handshakes: 4096, per_source: 4096}
	admin: {socket: $work/admin.sock}
	END
  start_daemon || return 1
  workers=()
  for ((i = 0; i < 2; i++)); do
    "$WORKER" "$work/web.sock" 2>"$work/worker.$i" &
    workers+=("$!")
    pids+=("$!")
  done
}

# settled PID FILES: whether a process comes back to so many descriptors.
has_at_most() { # PID FILES
  [ "$(count_files "$1")" -le "$2" ]
}
settled() {
  await 10 has_at_most "$1" "$2" && return
  say "$(cat "/proc/$1/comm"): $(count_files "$1") descriptors, $2 before"
  return 1
}

crowd() {
  local before before_fds worker_fds client each result=0 taken fd
  start_all || return 1
  "$PEERS/crowd" "$port" "$work/ca.pem" 200 200 </dev/null >"$work/warm" 2>&1 ||
    { say "$(tail -n 1 "$work/warm")"; return 1; }
  sleep 0.5
  before=$(resident "$daemon")
  before_fds=$(count_files "$daemon")
  worker_fds=$(count_files "${workers[0]}")
  mkfifo "$work/hold"
  "$PEERS/crowd" "$port" "$work/ca.pem" "$COUNT" 500 <"$work/hold" >"$work/crowd" 2>&1 &
  client=$!
  pids+=("$client")
  exec {fd}>"$work/hold"
  await "$LIMIT" grep -q "^echoed $COUNT" "$work/crowd" || {
    say "$(tail -n 1 "$work/crowd")"
    result=1
  }
  each=$((($(resident "$daemon") - before) * 1024 / COUNT))
  taken="$(count_files "${workers[0]}") $(count_files "${workers[1]}")"
  say "$COUNT connections: $each bytes of each in the broker, which has $(count_files "$daemon") descriptors;" \
    "descriptors of the workers: $taken; memory of a worker: $(resident "${workers[0]}") KiB"
  [ "$each" -le 1024 ] || { say "more than 1 KiB"; result=1; }
  [ "$(count_files "$daemon")" -le $((before_fds + 2)) ] || { say "the broker keeps descriptors"; result=1; }
  exec {fd}>&-
  wait "$client" || result=1
  settled "$daemon" "$before_fds" || result=1
  settled "${workers[0]}" "$worker_fds" || result=1
  stop "$daemon"
  return "$result"
}

prepare_daemon
ktap_plan 1
# test: many connections at once, handed to two workers
attempt "many connections at once, handed to two workers" crowd
exit "$ktap_failed"
