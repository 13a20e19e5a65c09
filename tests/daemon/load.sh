#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Load, with every byte compared: many transfers at once, ends in either order, resets, readers that are slow, a
# server that dies, and connections that idle. Over sluice-relay with servers without TLS behind it, and over
# workers with the library.
# Environment: as tests/daemon/lib.sh; RELAY: the program; SLUICE_TEST_LONG: full size, half an
# hour, unless SLUICE_LOAD_SHORT is set too.
# shellcheck disable=SC2317,SC2154 # the functions are called by the harness; variables of lib.sh
set -euo pipefail
# shellcheck source=tests/daemon/lib.sh
. "$(dirname "$0")/lib.sh"

RELAY=${RELAY:-$build/daemon/sluice-relay}
# What 50 slow readers may cost: 64 KiB that was read and 64 KiB that is sealed of each, and the 4 MiB of
# buffers that a relay keeps. AddressSanitizer: 65536
GROWTH_KB=${SLUICE_LOAD_GROWTH_KB:-12288}
CONNECTIONS=24 BYTES=300000 CUT=12
SLOW=50 SLOW_SECONDS=0.3 GOOD=10
IDLE=150 IDLE_SECONDS=0.3
LIMIT=120
if [ -n "${SLUICE_TEST_LONG:-}" ] && [ -z "${SLUICE_LOAD_SHORT:-}" ]; then
  CONNECTIONS=200 BYTES=10000000 CUT=50
  SLOW_SECONDS=20 GOOD=100
  IDLE=10000 IDLE_SECONDS=600
  LIMIT=600
fi
ulimit -n 65536 2>/dev/null || ulimit -n "$(ulimit -H -n)"
max_files=$(ulimit -n)
as=()
[ "$(id -u)" != 0 ] || as=(--as nobody)

# --- the processes

configure() {
  port=$(free_port)
  cat >"$work/sluiced.conf" <<-END
	listeners:
	  - {name: web, address: "127.0.0.1:$port", profile: default, pool: app}
	profiles:
	  default: {certfile: $work/ec.pem, keyfile: $work/ec.key, handshake_timeout: 60000}
	pools:
	  app: {socket: $work/app.sock, users: [$relay_user], wait: 60000}
	limits: {handshakers: 2, handshakes: 4096, per_source: 40000}
	admin: {socket: $work/admin.sock}
	END
}

# server NAME: one of those that answer; its pid is $server.
server() {
  local where=$work/app.sock kind=worker
  if [ "$over" = relay ]; then
    kind=plain
    where=$(free_port)
    backends+=(--backend "127.0.0.1:$where")
  fi
  "$PEERS/load-server" "$kind" "$where" >"$work/$1.log" 2>"$work/$1.err" &
  server=$!
  pids+=("$server")
  await 10 grep -q '^ready' "$work/$1.log" || { say "$1: $(cat "$work/$1.err")"; return 1; }
}

# relay: before all servers that were started; sets $between, whose memory and descriptors are looked at.
relay() {
  between=("$daemon")
  [ "$over" = relay ] || return 0
  ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 "$RELAY" --pool "$work/app.sock" "${backends[@]}" "${as[@]}" \
    --workers 1 --idle 0 >"$work/relay.log" 2>&1 &
  relay=$!
  pids+=("$relay")
  between+=("$relay")
  await 10 grep -q 'connecting' "$work/relay.log" || { say "$(cat "$work/relay.log")"; return 1; }
}

finish() {
  local pid
  for pid in "$@"; do stop "$pid"; done
  [ "$over" != relay ] || stop "$relay"
}

# with N COMMAND...: a relay before N servers, or N workers
with() {
  local n=$1 i server servers=() backends=() between=() relay=0 result=0
  shift
  for ((i = 0; i < n; i++)); do
    server "server.$i" || return 1
    servers+=("$server")
  done
  relay || return 1
  "$@" || result=1
  [ "$over" != relay ] || kill -0 "$relay" || { say "the relay died: $(tail -n 3 "$work/relay.log")"; result=1; }
  kill -0 "$daemon" || { say "sluiced died: $(tail -n 3 "$work/sluiced.log")"; result=1; }
  finish "${servers[@]}"
  return "$result"
}

# --- clients

# client NAME CASE COUNT BYTES [PACE]: waits for it
client() {
  local name=$1
  shift
  timeout "$LIMIT" "$PEERS/load-client" "$port" "$work/ca.pem" "$@" >"$work/$name.out" 2>"$work/$name.err"
}

# ended NAME: the last line of a client
ended() {
  tail -n 1 "$work/$1.out"
}

# all_good NAME CASE COUNT BYTES
all_good() {
  client "$@" && [[ $(ended "$1") == "ok $3 failed 0 "* ]] && return
  say "$2: $(ended "$1"); $(grep -m 1 '^failed' "$work/$1.out") $(tail -n 1 "$work/$1.err")"
  return 1
}

# count PATTERN: lines of all servers
count() {
  cat "$work"/server.*.log | grep -c -- "$1" || true
}

forget() {
  local log
  for log in "$work"/server.*.log; do : >"$log"; done
}

has() { # COUNT PATTERN
  [ "$(count "$2")" = "$1" ]
}

# servers_say COUNT PATTERN
servers_say() {
  await 10 has "$1" "$2" && return
  say "servers say '$2' $(count "$2") times, not $1: $(cat "$work"/server.*.log | grep -m 2 '^cut')"
  return 1
}

# pss PID...: KB of these and their children
pss() {
  local each
  for each in "$@"; do
    echo "$each"
    cat "/proc/$each/task/"*/children 2>/dev/null
  done | tr ' ' '\n' | while read -r each; do
    awk '/^Pss:/ { print $2 }' "/proc/$each/smaps_rollup" 2>/dev/null
  done | awk '{ n += $1 } END { print n + 0 }'
}

descriptors() {
  local pid
  for pid in "$@"; do count_files "$pid"; done | paste -sd' '
}

no_more_than() { # DESCRIPTORS: as before, of each
  [ "$(descriptors "${between[@]}")" = "$1" ]
}

# --- the tests

exchanges() {
  all_good exchange exchange "$CONNECTIONS" "$BYTES" && servers_say "$CONNECTIONS" '^done'
}

half_closes() {
  all_good first client-first "$CONNECTIONS" "$BYTES" && servers_say "$CONNECTIONS" '^done' || return 1
  forget
  all_good first server-first "$CONNECTIONS" "$BYTES" && servers_say "$CONNECTIONS" '^done'
}

# reset by clients, by servers: the other side sees an error, and those beside them nothing
resets() {
  local beside result=0
  (all_good beside exchange "$CONNECTIONS" "$BYTES") &
  beside=$!
  client reset reset "$CUT" "$BYTES" || { say "reset: $(ended reset)"; result=1; }
  client drop drop "$CUT" "$BYTES" || true
  [[ $(ended drop) == "ok 0 failed $CUT short 0 wrong 0" ]] || { say "dropped: $(ended drop)"; result=1; }
  wait "$beside" || result=1
  servers_say "$CUT" '^dropped' && servers_say "$CUT" '^cut' && servers_say "$CONNECTIONS" '^done' || result=1
  return "$result"
}

# slow CASE: what is on its way for slow readers is bounded, and others do not wait for them.
slow() {
  local before after hold result=0 slow
  before=$(pss "${between[@]}")
  rm -f "$work/hold" "$work/crowd" "$work/slow.out"
  mkfifo "$work/hold"
  client slow "$1" "$SLOW" 0 10000 <"$work/hold" &
  slow=$!
  pids+=("$slow")
  exec {hold}>"$work/hold"
  await 30 grep -q "^connected $SLOW" "$work/slow.out" || { say "$(cat "$work/slow.out")"; result=1; }
  sleep "$SLOW_SECONDS"
  after=$(pss "${between[@]}")
  all_good good exchange "$GOOD" "$BYTES" || result=1
  say "$SLOW at 10 KB/s ($1): $((after - before)) KiB more than before"
  [ $((after - before)) -lt "$GROWTH_KB" ] || result=1
  exec {hold}>&-
  wait "$slow" || { say "$1: $(ended slow)"; result=1; }
  # A slow server reads for long what came before the reset.
  [ "$1" = slow-server ] || servers_say "$SLOW" '^cut' || result=1
  forget
  return "$result"
}

slow_readers() {
  slow slow-client && slow slow-server
}

# Whose server is killed sees an error and no end in order; all others get everything. The server is killed over
# unread bytes: without any the kernel ends its connections by FIN, which nobody can tell from an end.
server_killed() {
  local victim=${servers[0]} others client result=0
  client dies exchange 100 "$((BYTES * 3))" 600000 &
  client=$!
  pids+=("$client")
  await 30 grep -q '^connected 100' "$work/dies.out" || { say "$(ended dies)"; result=1; }
  await 10 has 100 '^begin' || { say "$(count '^begin') began"; result=1; }
  sleep 0.3
  kill -KILL "$victim"
  { wait "$victim"; } 2>/dev/null || true
  wait "$client" || true
  say "of 100 connections $(grep -c '^begin' "$work/server.0.log") were with the one that was killed: $(ended dies)"
  [[ $(ended dies) == *" short 0 wrong 0" ]] || result=1
  others=$(sed -n 's/^failed \([0-9]*\) .*/begin \1/p' "$work/dies.out" | sort >"$work/failed"
    grep '^begin' "$work/server.0.log" | sort | comm -13 - "$work/failed" | wc -l)
  [ "$others" = 0 ] || { say "$others of them were with another"; result=1; }
  [ -s "$work/failed" ] || { say "nobody noticed"; result=1; }
  all_good others exchange 50 "$BYTES" || result=1
  return "$result"
}

# They say a line, say nothing for long, say it again: nothing has grown, and at the end nothing is left.
idle() {
  local before after fds client hold result=0 n=$IDLE
  [ "$n" -lt $((max_files / 4)) ] || n=$((max_files / 4)) # a relay has three descriptors for one on its way
  "$PEERS/crowd" "$port" "$work/ca.pem" 50 25 </dev/null >"$work/warm" 2>&1 || { say "$(tail -n 1 "$work/warm")"; return 1; }
  await 10 has_none || result=1
  fds=$(descriptors "${between[@]}")
  rm -f "$work/hold" "$work/crowd" "$work/slow.out"
  mkfifo "$work/hold"
  "$PEERS/crowd" "$port" "$work/ca.pem" "$n" 50 <"$work/hold" >"$work/crowd" 2>&1 &
  client=$!
  pids+=("$client")
  exec {hold}>"$work/hold"
  await "$LIMIT" grep -q "^echoed $n" "$work/crowd" || { say "$(tail -n 1 "$work/crowd")"; result=1; }
  before=$(pss "${between[@]}")
  sleep "$IDLE_SECONDS"
  echo >&"$hold"
  await "$LIMIT" said_twice || true
  answered_again "$n" || { say "after it: $(tail -n 1 "$work/crowd")"; result=1; }
  after=$(pss "${between[@]}")
  say "$n connections, silent for $IDLE_SECONDS s: $before KiB before, $after KiB after"
  [ $((after - before)) -le $((1024 + before / 20)) ] || { say "it has grown"; result=1; }
  exec {hold}>&-
  wait "$client" || result=1
  await 20 no_more_than "$fds" || { say "descriptors: $(descriptors "${between[@]}"), before: $fds"; result=1; }
  return "$result"
}

said_twice() {
  [ "$(grep -c '^echoed' "$work/crowd")" = 2 ]
}

answered_again() { # COUNT
  [ "$(grep -c "^echoed $1" "$work/crowd")" = 2 ]
}

has_none() {
  ! "$build/tools/sluicectl" --socket "$work/admin.sock" sessions 2>/dev/null | grep -q LIVE
}

# with_echo COMMAND...: the server sends back what comes
with_echo() {
  local server between=() backends=() relay=0 result=0
  if [ "$over" = relay ]; then
    at=$(free_port)
    "$PEERS/load-server" echo "$at" >"$work/echo.log" 2>&1 &
    backends=(--backend "127.0.0.1:$at")
  else
    "$build/examples/example-worker" "$work/app.sock" >"$work/echo.log" 2>&1 &
  fi
  server=$!
  pids+=("$server")
  sleep 0.3
  relay || return 1
  [ "$over" = relay ] || between+=("$server")
  "$@" || result=1
  finish "$server"
  return "$result"
}

prepare_daemon
configure
start_daemon
ktap_plan 12
for over in relay worker; do
  case "$over" in relay) title="over sluice-relay" ;; *) title="over workers with the library" ;; esac
  # test: over sluice-relay: many transfers both ways at once
  # test: over workers with the library: many transfers both ways at once
  attempt "$title: many transfers both ways at once" with 2 exchanges
  # test: over sluice-relay: either end ends its direction first, and the other goes on
  # test: over workers with the library: either end ends its direction first, and the other goes on
  attempt "$title: either end ends its direction first, and the other goes on" with 2 half_closes
  # test: over sluice-relay: a reset is an error for the other end, and nobody else's
  # test: over workers with the library: a reset is an error for the other end, and nobody else's
  attempt "$title: a reset is an error for the other end, and nobody else's" with 2 resets
  # test: over sluice-relay: slow readers cost little memory and nobody's time
  # test: over workers with the library: slow readers cost little memory and nobody's time
  attempt "$title: slow readers cost little memory and nobody's time" with 2 slow_readers
  # test: over sluice-relay: a server that is killed costs what it had
  # test: over workers with the library: a server that is killed costs what it had
  attempt "$title: a server that is killed costs what it had" with 2 server_killed
  # test: over sluice-relay: idle connections are answered again, and nothing has grown
  # test: over workers with the library: idle connections are answered again, and nothing has grown
  attempt "$title: idle connections are answered again, and nothing has grown" with_echo idle
done
exit "$ktap_failed"
