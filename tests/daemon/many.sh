#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Many connections at once over two workers: all are answered, the broker keeps no descriptor and less
# than 1 KiB of each, and everything is back where it was at the end. Prints what a connection costs.
# Environment: SLUICE, SLUICED, WORKER, PEERS: the programs; SLUICE_TEST_LONG: 10,000 of them.
# shellcheck disable=SC2317 # the functions are called by the harness
set -euo pipefail
# shellcheck source=tests/interop/lib.sh
. "$(dirname "$0")/../interop/lib.sh"

build=$(dirname "$SLUICE")/..
SLUICED=${SLUICED:-$build/daemon/sluiced}
WORKER=${WORKER:-$build/examples/example-worker}
PEERS=${PEERS:-$build/tests/peers}
COUNT=1000
[ -z "${SLUICE_TEST_LONG:-}" ] || COUNT=10000
LIMIT=120

rss() { awk '/^VmRSS/ { print $2 }' "/proc/$1/status"; }
fds() { find "/proc/$1/fd" -mindepth 1 2>/dev/null | wc -l; }

# await_words FILE WORDS PID
await_words() {
  local i
  for ((i = 0; i < LIMIT * 20; i++)); do
    if grep -q -- "$2" "$1"; then return 0; fi
    kill -0 "$3" 2>/dev/null || break
    sleep 0.05
  done
  say "no '$2' in: $(tail -n 2 "$1" | tr '\n' ' ')"
  return 1
}

start_daemon() {
  port=$(free_port)
  cat >"$work/sluiced.conf" <<-END
	listeners:
	  - {name: web, address: "127.0.0.1:$port", profile: default, pool: web}
	profiles:
	  default: {certfile: $work/ec.pem, keyfile: $work/ec.key, handshake_timeout: 60000}
	pools:
	  web: {socket: $work/web.sock, wait: 60000}
	limits: {handshakers: 2, handshakes: 4096, per_source: 4096}
	log: {level: warning}
	admin: {socket: $work/admin.sock}
	END
  "$SLUICED" --config "$work/sluiced.conf" >"$work/sluiced.log" 2>&1 &
  daemon=$!
  pids+=("$daemon")
  await_listen "$port" "$daemon" || { say "$(cat "$work/sluiced.log")"; return 1; }
  workers=()
  for ((i = 0; i < 2; i++)); do
    "$WORKER" "$work/web.sock" 2>"$work/worker.$i" &
    workers+=("$!")
    pids+=("$!")
  done
}

# settled PID FDS: whether a process comes back to so many descriptors.
settled() {
  local i
  for ((i = 0; i < 200; i++)); do
    [ "$(fds "$1")" -gt "$2" ] || return 0
    sleep 0.05
  done
  say "$(cat "/proc/$1/comm"): $(fds "$1") descriptors, $2 before"
  return 1
}

crowd() {
  local before before_fds worker_fds client each result=0 taken fd
  start_daemon || return 1
  "$PEERS/crowd" "$port" "$work/ca.pem" 200 200 </dev/null >"$work/warm" 2>&1 ||
    { say "$(tail -n 1 "$work/warm")"; return 1; }
  sleep 0.5
  before=$(rss "$daemon")
  before_fds=$(fds "$daemon")
  worker_fds=$(fds "${workers[0]}")
  mkfifo "$work/hold"
  "$PEERS/crowd" "$port" "$work/ca.pem" "$COUNT" 500 <"$work/hold" >"$work/crowd" 2>&1 &
  client=$!
  pids+=("$client")
  exec {fd}>"$work/hold"
  await_words "$work/crowd" "echoed $COUNT" "$client" || result=1
  each=$((($(rss "$daemon") - before) * 1024 / COUNT))
  taken="$(fds "${workers[0]}") $(fds "${workers[1]}")"
  say "$COUNT connections: $each bytes of each in the broker, which has $(fds "$daemon") descriptors;" \
    "descriptors of the workers: $taken; memory of a worker: $(rss "${workers[0]}") KiB"
  [ "$each" -le 1024 ] || { say "more than 1 KiB"; result=1; }
  [ "$(fds "$daemon")" -le $((before_fds + 2)) ] || { say "the broker keeps descriptors"; result=1; }
  exec {fd}>&-
  wait "$client" || result=1
  settled "$daemon" "$before_fds" || result=1
  settled "${workers[0]}" "$worker_fds" || result=1
  stop "$daemon"
  return "$result"
}

prepare
ktap_plan 1
# test: many connections at once, handed to two workers
attempt "many connections at once, handed to two workers" crowd
exit "$ktap_failed"
