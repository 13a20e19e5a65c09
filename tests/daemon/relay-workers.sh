#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# sluice-relay with several workers: the work is shared, one that dies takes its own connections with it and no
# others, and ends, checks and names are what an administrator expects of a service.
# Environment: as tests/daemon/relay-lib.sh
# shellcheck disable=SC2317,SC2154 # the functions are called by the harness; variables of relay-lib.sh
set -euo pipefail
SIZE=100000
# shellcheck source=tests/daemon/relay-lib.sh
. "$(dirname "$0")/relay-lib.sh"
PYTHON=${PYTHON:-/usr/bin/python3}
CONNECTIONS=24
[ -z "${SLUICE_TEST_LONG:-}" ] || CONNECTIONS=200

# relay OPTION...: its supervisor is $relay. $before: a command that starts it.
before=()
relay() {
  : >"$work/relay.log"
  ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 "${before[@]}" "$RELAY" --pool "$work/app.sock" "${as[@]}" "$@" \
    >"$work/relay.log" 2>&1 &
  relay=$!
  pids+=("$relay")
  await_log "$work/relay.log" connecting
}

stop_all() {
  local each
  for each in "$@"; do stop "$each"; done
}

# hold COUNT: that many connections, kept open; answered NUMBER GONE: what they say now; let_go ends them.
hold() {
  coproc HOLD { exec "$PYTHON" "$here/hold.py" "$listen" "$work/ca.pem" "$1" 2>"$work/hold.err"; }
  holder=$HOLD_PID
  pids+=("$holder")
  local line
  read -r -t 30 line <&"${HOLD[0]}" || line=
  [ "$line" = open ] || { say "hold: $(tail -n 1 "$work/hold.err")"; return 1; }
}

answered() {
  local line
  echo >&"${HOLD[1]}"
  read -r -t 30 line <&"${HOLD[0]}" || line="nothing"
  [[ $line = "$1 answered $2 gone" ]] || { say "expected $1 and $2, got: $line"; return 1; }
}

let_go() {
  local line input=${HOLD[1]}
  exec {input}>&-
  read -r -t 30 line <&"${HOLD[0]}" || line=
  [ "$line" = ended ] || { say "they did not end in order"; return 1; }
  wait "$holder" || true
}

children_of() {
  local file
  grep -lsE "^PPid:[[:space:]]+$1\$" /proc/[0-9]*/status | while read -r file; do
    file=${file#/proc/}
    echo "${file%/status}"
  done
}

# figures: SIGUSR1 has each worker tell; the numbers of connections since the start, one in a line.
figures() {
  kill -USR1 "$relay"
  await_log "$work/relay.log" "since the start" "$1" || return 1
  sed -n 's/.*since the start \([0-9]*\)$/\1/p' "$work/relay.log" | tail -n "$1"
}

# What is open at worker NUMBER, of the figures that were told last.
open_at() {
  sed -n "s/.*worker $1: connections: open \([0-9]*\),.*/\1/p" "$work/relay.log" | tail -n 1
}

# --- processes

spread() {
  local relay server result=0 n sum=0
  backend echo echo && relay --workers 3 --backend "127.0.0.1:$at" || return 1
  await_log "$work/relay.log" "3 workers" || result=1
  many "$CONNECTIONS" || result=1
  for n in $(figures 3); do
    sum=$((sum + n))
    [ "$n" -ge $((CONNECTIONS / 6)) ] || { say "a worker had $n of $CONNECTIONS"; result=1; }
  done
  [ "$sum" = "$CONNECTIONS" ] || { say "all had $sum of $CONNECTIONS"; result=1; }
  stop_all "$relay" "$server"
  return "$result"
}

pinned() {
  local relay server result=0 cpu child seen=
  cpu=$(awk '/^Cpus_allowed_list/ { split($2, a, /[-,]/); print a[1] }' /proc/self/status)
  backend echo echo && relay --workers 2 --cpus "$cpu" --backend "127.0.0.1:$at" || return 1
  for child in $(children_of "$relay"); do
    seen+=" $(awk '/^Cpus_allowed_list/ { print $2 }' "/proc/$child/status")"
  done
  [ "$seen" = " $cpu $cpu" ] || { say "they run on$seen"; result=1; }
  stop_all "$relay" "$server"
  return "$result"
}

# The supervisor has no privileges either; the others have few system calls besides.
confined() {
  local relay server result=0 worker pid
  backend echo echo && relay --workers 2 --backend "127.0.0.1:$at" || return 1
  for worker in $(children_of "$relay"); do
    for pid in "$worker" $(children_of "$worker"); do
      grep -q '^Seccomp:[[:space:]]*2$' "/proc/$pid/status" || { say "pid $pid has all system calls"; result=1; }
    done
  done
  for pid in "$relay" $(children_of "$relay"); do
    grep -q '^NoNewPrivs:[[:space:]]*1$' "/proc/$pid/status" || { say "pid $pid may have new privileges"; result=1; }
    grep -q '^CapEff:[[:space:]]*0*$' "/proc/$pid/status" || { say "pid $pid has capabilities"; result=1; }
    ! grep -qE '^Uid:.*[[:space:]]0([[:space:]]|$)' "/proc/$pid/status" || { say "pid $pid is root"; result=1; }
  done
  stop_all "$relay" "$server"
  return "$result"
}

# kill -KILL: its connections are lost, others answer, and another takes its place.
killed() {
  local relay server result=0 victim lost
  backend echo echo && relay --workers 3 --backend "127.0.0.1:$at" && hold 12 || return 1
  answered 12 0 && figures 3 >/dev/null || result=1
  victim=$(children_of "$relay" | head -n 1)
  kill -KILL "$victim"
  await_log "$work/relay.log" "pid $victim was killed by signal 9" || return 1
  await_log "$work/relay.log" "serves" || result=1
  lost=$(open_at "$(sed -n "s/.*worker \([0-9]*\): pid $victim was killed.*/\1/p" "$work/relay.log")")
  case $lost in [1-8]) ;; *) say "it had $lost of 12"; result=1 ;; esac
  answered $((12 - lost)) "$lost" || result=1
  let_go || result=1
  many 6 || result=1
  [ "$(children_of "$relay" | wc -l)" = 3 ] || { say "$(children_of "$relay" | wc -l) workers are left"; result=1; }
  stop_all "$relay" "$server"
  return "$result"
}

# A worker whose connector is gone lets its connections end, while another one serves already.
connector_killed() {
  local relay server result=0 worker
  backend echo echo && relay --workers 2 --backend "127.0.0.1:$at" && hold 6 || return 1
  answered 6 0 || result=1
  worker=$(children_of "$relay" | head -n 1)
  kill -KILL "$(children_of "$worker")"
  await_log "$work/relay.log" "the process that connects is gone" && await_log "$work/relay.log" "serves" || result=1
  answered 6 0 || result=1
  many 6 || result=1
  let_go || result=1
  await_log "$work/relay.log" "pid $worker ended with status 1" || result=1
  kill -0 "$relay" || { say "the supervisor is gone"; result=1; }
  stop_all "$relay" "$server"
  return "$result"
}

# Its log may go to a program that ends: what it writes then is lost, and nothing else.
reader_gone() {
  local relay server result=0 reader victim into
  backend echo echo || return 1
  exec {into}> >(exec cat >"$work/relay.log")
  reader=$!
  ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 "$RELAY" --pool "$work/app.sock" "${as[@]}" --workers 2 \
    --backend "127.0.0.1:$at" >/dev/null 2>&"$into" &
  relay=$!
  pids+=("$relay")
  exec {into}>&-
  await_log "$work/relay.log" connecting || return 1
  victim=$(children_of "$relay" | head -n 1)
  kill "$reader"
  wait "$reader" 2>/dev/null || true
  kill -KILL "$victim"
  for _ in {1..100}; do
    kill -0 "$victim" 2>/dev/null || [ "$(children_of "$relay" | wc -l)" != 2 ] || break
    sleep 0.05
  done
  kill -0 "$relay" 2>/dev/null || { say "the supervisor is gone"; result=1; }
  [ "$(children_of "$relay" | wc -l)" = 2 ] || { say "no other worker was started"; result=1; }
  many 4 || result=1
  stop_all "$relay" "$server"
  return "$result"
}

# SIGTERM: what is open has its time, nothing of it is left, and the status says that all is well.
drained() {
  local relay server result=0 status=0
  backend echo echo && relay --workers 3 --backend "127.0.0.1:$at" && hold 6 || return 1
  answered 6 0 || result=1 # none is on its way to a worker any more
  kill "$relay"
  await_log "$work/relay.log" "ending: " 3 || result=1
  answered 6 0 || result=1
  let_go || result=1
  wait "$relay" || status=$?
  [ "$status" = 0 ] || { say "status $status"; result=1; }
  [ -z "$(children_of "$relay")" ] || { say "there are workers left"; result=1; }
  stop "$server"
  return "$result"
}

drained_at_once() {
  local relay server result=0 status=0
  backend echo echo && relay --workers 2 --backend "127.0.0.1:$at" && hold 4 || return 1
  answered 4 0 || result=1
  kill "$relay"
  await_log "$work/relay.log" "ending: " 2 || result=1
  kill "$relay"
  wait "$relay" || status=$?
  [ "$status" = 0 ] || { say "status $status"; result=1; }
  answered 0 4 || result=1
  stop_all "$holder" "$server"
  return "$result"
}

# Without a supervisor nobody would start workers again: they end with what they have.
supervisor_killed() {
  local relay server result=0 workers
  backend echo echo && relay --workers 2 --backend "127.0.0.1:$at" && hold 4 || return 1
  answered 4 0 || result=1
  workers=$(children_of "$relay")
  kill -KILL "$relay"
  wait "$relay" 2>/dev/null || true
  await_log "$work/relay.log" "the supervisor is gone" 2 || result=1
  answered 4 0 || result=1
  let_go || result=1
  # shellcheck disable=SC2086 # several
  gone() { ! kill -0 $workers 2>/dev/null; }
  for _ in {1..200}; do gone && break; sleep 0.05; done
  gone || { say "workers are left"; result=1; }
  stop "$server"
  return "$result"
}

no_start() {
  local status=0
  timeout 20 "$RELAY" --pool "$work/none.sock" --workers 2 "${as[@]}" --backend 127.0.0.1:80 >"$work/out" 2>&1 || status=$?
  grep -q "none.sock" "$work/out" || status="none"
  [ "$status" = 1 ] || { say "status $status: $(head -n 2 "$work/out")"; return 1; }
}

# --- backends

fetched() { # PORT: that server answers
  local got
  got=$(fetch --http1.1)
  [ "$got" = "$1" ] || { say "not the server at $1: $got"; return 1; }
}

# One that answers 503 is left alone until it is well; a backup serves where there is no other.
checks() {
  local relay result=0 first second third servers=() i
  backend one http && first=$at && servers+=("$server") && backend two http && second=$at && servers+=("$server") &&
    backend three http && third=$at && servers+=("$server") || return 1
  echo 503 >"$work/one.log.status"
  relay --workers 2 --backend "127.0.0.1:$first" --backend "127.0.0.1:$second" --backup "127.0.0.1:$third" \
    --check http:/health?x=1 --check-every 100 --rise 2 --fall 2 --rest 0 || return 1
  await_log "$work/relay.log" "$first: check: HTTP status 503, 2 in a row" 2 || result=1
  for i in {1..4}; do fetched "$second" || result=1; done
  echo 500 >"$work/two.log.status"
  await_log "$work/relay.log" "$second: check: HTTP status 500, 2 in a row" 2 || result=1
  for i in {1..4}; do fetched "$third" || result=1; done
  echo 301 >"$work/one.log.status"
  await_log "$work/relay.log" "$first: check: it is well again" 2 || result=1
  for i in {1..4}; do fetched "$first" || result=1; done
  grep -q "GET /health?x=1 HTTP/1.1|Host: 127.0.0.1:$first|" "$work/one.log" || { say "$(tail -n 1 "$work/one.log")"; result=1; }
  kill -USR1 "$relay"
  await_log "$work/relay.log" "$second: failing, .* checks good [0-9]* bad [1-9]" || result=1
  await_log "$work/relay.log" "$third: up backup, " || result=1
  stop_all "$relay" "${servers[@]}"
  return "$result"
}

# The first route that fits is taken, what fits none goes to the backends before all routes; a group that is down does
# not have others serve its clients.
routes() {
  local relay server result=0 servers=() name all by_name by_protocol by_listener
  for name in all by_name by_protocol by_listener; do
    backend "$name" http || return 1
    servers+=("$server")
    local -n port=$name
    port=$at
  done
  relay --workers 2 --wait 500 --backend "127.0.0.1:$all" --route "sni=*.A.test" --backend "127.0.0.1:$by_name" \
    --route "alpn=http/1.1,sni=localhost" --backend "127.0.0.1:$by_protocol" \
    --route "listener=more" --backend "127.0.0.1:$by_listener" || return 1
  to() { # NAME PORT OPTION...
    local name=$1 port=$2
    shift 2
    curl -sSk --max-time "$LIMIT" --connect-to "$name:$port:127.0.0.1:$port" "$@" "https://$name:$port/"
  }
  [ "$(to one.a.test "$listen" --no-alpn)" = "$by_name" ] || { say "not by its name"; result=1; }
  [ "$(to a.test "$listen" --no-alpn)" = "$all" ] || { say "a wildcard is for one label"; result=1; }
  [ "$(to two.one.a.test "$listen" --no-alpn)" = "$all" ] || { say "a wildcard is for one label only"; result=1; }
  [ "$(to localhost "$listen" --http1.1)" = "$by_protocol" ] || { say "not by its protocol"; result=1; }
  [ "$(to localhost "$listen" --no-alpn)" = "$all" ] || { say "a protocol that was not agreed on"; result=1; }
  [ "$(to localhost "$more" --no-alpn)" = "$by_listener" ] || { say "not by its listener"; result=1; }
  stop "${servers[1]}"
  ! to one.a.test "$listen" --no-alpn >"$work/out" 2>&1 || { say "another group served it"; result=1; }
  stop_all "$relay" "${servers[@]}"
  return "$result"
}

# Nobody is for it: there is nothing to wait for.
no_route() {
  local relay server result=0 start
  backend echo echo && relay --workers 1 --route sni=never.test --backend "127.0.0.1:$at" || return 1
  start=$(date +%s%N)
  ! connect </dev/null >"$work/out" 2>&1 || { say "it was served"; result=1; }
  start=$((($(date +%s%N) - start) / 1000000))
  [ "$start" -lt 2000 ] || { say "refused after $start ms"; result=1; }
  await_log "$work/relay.log" "no backend could be reached" || result=1
  stop_all "$relay" "$server"
  return "$result"
}

# All are failing: any is better than none. Nobody listens at the one, the other says nothing.
last_resort() {
  local relay server result=0 gone
  gone=$(free_port)
  backend echo echo || return 1
  relay --workers 1 --backend "127.0.0.1:$gone" --backend "127.0.0.1:$at" --check http:/ --check-every 100 \
    --check-timeout 100 --fall 1 || return 1
  await_log "$work/relay.log" "$gone: check: Connection refused, 1 in a row" || result=1
  await_log "$work/relay.log" "$at: check: it d" || result=1
  many 2 || result=1
  stop_all "$relay" "$server"
  return "$result"
}

# A server that wants a PROXY header has one with each check, of a connection that serves nobody.
check_header() {
  local relay server result=0
  backend proxy proxy && relay --workers 1 --backend "127.0.0.1:$at" --send-proxy "v$1" --check tcp --check-every 100 || return 1
  await_log "$work/proxy.log" "\"valid\": true.*\"command\": $2" 2 || result=1
  ! grep -q "failed\|\"valid\": false" "$work/proxy.log" || { say "$(grep "failed\|false" "$work/proxy.log" | head -n 1)"; result=1; }
  stop_all "$relay" "$server"
  return "$result"
}

# Names are looked up at SIGHUP: what is open goes on where it is, until they change a second time: then it has as
# long as at an end. Who has no address now keeps what it had.
names() {
  local relay server result=0 servers
  backend old echo && servers=("$server") || return 1
  "$PYTHON" "$here/backend-server.py" "$at" echo "$work/new.log" 127.0.0.2 2>"$work/new.err" &
  servers+=("$!")
  pids+=("$!")
  await_log "$work/new.log" listening || return 1
  echo "127.0.0.1 backend.test" >"$work/hosts"
  # shellcheck disable=SC2016 # for the inner shell
  before=(unshare -m sh -c 'mount --bind "$0" /etc/hosts && exec "$@"' "$work/hosts")
  relay --workers 2 --backend "backend.test:$at" --drain 300 || result=1
  before=()
  hold 4 && answered 4 0 || result=1
  echo "127.0.0.2 backend.test" >"$work/hosts"
  kill -HUP "$relay"
  await_log "$work/relay.log" "backend backend.test:$at (127.0.0.2) is new" && await_log "$work/relay.log" "ending: " 2 || result=1
  many 6 || result=1
  [ "$(grep -c accepted "$work/old.log") $(grep -c accepted "$work/new.log")" = "4 6" ] || { say "the old address and the new one have $(grep -c accepted "$work/old.log") and $(grep -c accepted "$work/new.log")"; result=1; }
  sleep 0.5
  answered 4 0 || result=1
  echo "127.0.0.1 backend.test" >"$work/hosts"
  kill -HUP "$relay"
  await_log "$work/relay.log" "backend backend.test:$at (127.0.0.1) is new" && await_log "$work/relay.log" "ending: " 4 || result=1
  sleep 0.5
  answered 0 4 || result=1
  stop "$holder"
  : >"$work/hosts"
  kill -HUP "$relay"
  await_log "$work/relay.log" "backend backend.test:$at: .*; its addresses stay" || result=1
  many 2 || result=1
  stop_all "$relay" "${servers[@]}"
  return "$result"
}

# A name server that does not answer: what is read of it is read by a process that has little, and who wants names
# looked up meanwhile has them looked up again.
slow_names() {
  local relay server result=0 pid='' hole
  backend slow echo || return 1
  echo "127.0.0.1 backend.test" >"$work/hosts"
  printf 'nameserver 127.0.0.8\noptions timeout:1 attempts:2\n' >"$work/resolv.conf"
  "$PYTHON" -c 'import signal, socket; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(("127.0.0.8", 53)); signal.pause()' &
  hole=$!
  pids+=("$hole")
  # shellcheck disable=SC2016 # for the inner shell
  before=(unshare -m sh -c 'mount --bind "$0/hosts" /etc/hosts && mount --bind "$0/resolv.conf" /etc/resolv.conf && exec "$@"' "$work")
  relay --workers 2 --backend "backend.test:$at" --backend 127.0.0.3:1 || result=1
  before=()
  : >"$work/hosts"
  kill -HUP "$relay"
  for _ in {1..200}; do
    pid=$(children_of "$relay" | while read -r pid; do grep -lx sluice-resolve "/proc/$pid/comm"; done) && break
    sleep 0.01
  done
  sleep 0.1
  grep -q '^Seccomp:[[:space:]]*2$' "${pid%comm}status" || { say "it has all system calls"; result=1; }
  echo "127.0.0.2 backend.test" >"$work/hosts"
  kill -HUP "$relay"
  await_log "$work/relay.log" "backend backend.test:$at: .*; its addresses stay" || result=1
  await_log "$work/relay.log" "backend backend.test:$at (127.0.0.2) is new" || result=1
  grep -q "2 addresses for 2, new workers" "$work/relay.log" || { say "an address that is no name is not kept"; result=1; }
  stop_all "$relay" "$server" "$hole"
  return "$result"
}

tuned() {
  local relay server result=0 side
  backend echo echo && relay --workers 1 --backend "127.0.0.1:$at" --keepalive 1000,5,3 --user-timeout 30000 && hold 1 || return 1
  answered 1 0 || result=1
  for side in "sport = :$listen" "dport = :$at"; do
    for _ in {1..100}; do # what is sent has another timer until it is acknowledged
      ss -Htno state established "( $side )" | grep -q "keepalive,16min" && continue 2
      sleep 0.05
    done
    say "$side: $(ss -Htno state established "( $side )")"
    result=1
  done
  let_go || result=1
  stop_all "$relay" "$server"
  return "$result"
}

options() {
  local wrong
  for wrong in "--workers 0" "--workers 65" "--cpus 3-1" "--cpus 1,,2" "--check http:x" "--check udp" "--rise 0" "--keepalive 1,2" \
    "--keepalive 1,2,3,4" "--route sni=a.test" "--route x=y --backend 127.0.0.1:80" "--route sni=a*.test --backend 127.0.0.1:80" "--check tcp --check-every 0" "--resolve -1"; do
    # shellcheck disable=SC2086 # several words
    ! timeout 20 "$RELAY" --pool "$work/app.sock" "${as[@]}" --backend 127.0.0.1:80 $wrong >"$work/out" 2>&1 || { say "took $wrong"; return 1; }
    [ "$(wc -l <"$work/out")" = 1 ] || { say "$wrong: $(head -n 1 "$work/out")"; return 1; }
  done
  ! timeout 20 "$RELAY" --pool "$work/app.sock" "${as[@]}" --offer "$work/o.sock" --workers 2 >"$work/out" 2>&1 &&
    grep -q "attach to one process" "$work/out"
}

prepare
chmod 711 "$work" # of sockets that another user may connect to
start_daemon
ktap_plan 20
attempt "workers share what comes" spread
attempt "workers run where they are told" pinned
attempt "neither workers nor their supervisor have privileges" confined
attempt "a worker that is killed takes no others' connections" killed
attempt "the reader of its log may go" reader_gone
attempt "a worker without its connector is replaced" connector_killed
attempt "SIGTERM lets connections of all workers end" drained
attempt "at the second one they end" drained_at_once
attempt "without their supervisor workers end when they are done" supervisor_killed
attempt "a start that fails says so" no_start
attempt "a backend is checked, and a backup stands in" checks
attempt "backends by name, protocol and listener" routes
attempt "what fits no route is refused at once" no_route
attempt "backends that fail are a last resort" last_resort
attempt "a check has a PROXY header of version 1" check_header 1 '\(null\|"\)'
attempt "a check has a PROXY header of version 2" check_header 2 '.*'
if unshare -m true 2>/dev/null; then
  attempt "names are looked up again" names
  attempt "a slow name server has nobody wait" slow_names
else
  for name in "names are looked up again" "a slow name server has nobody wait"; do
    skip "$name" "no mount namespace, in which /etc/hosts is the test's own"
  done
fi
attempt "keep-alive on both sides" tuned
attempt "options that make no sense" options
exit "$ktap_failed"
