#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What sluiced does when its parts die, lie, or are changed under it: nothing else may notice.
# Environment: as tests/daemon/lib.sh
# shellcheck disable=SC2317,SC2154 # the functions are called by the harness; variables of lib.sh
set -euo pipefail
trap '' PIPE # a connection that is gone is a failure, not our end
# shellcheck source=tests/daemon/lib.sh
. "$(dirname "$0")/lib.sh"

KILLS=15

configure() {
  port=$(free_port)
  cp "$work/ec.pem" "$work/served.pem"
  cp "$work/ec.key" "$work/served.key"
  cat >"$work/sluiced.conf" <<-END
	listeners:
	  - name: main
	    address: "127.0.0.1:$port"
	    profile: main
	    pool: app
	    routes:
	      - {alpn: echo, pool: echo}
	      - {alpn: late, pool: late}
	profiles:
	  main:
	    certfile: $work/served.pem
	    keyfile: $work/served.key
	    handshake_timeout: 2000
	    alpn_preferred_protocols: [app, echo, late]
	pools:
	  app: {socket: $work/app.sock, wait: 20000}
	  echo: {socket: $work/echo.sock, users: [65534], groups: [daemon]}
	  late: {socket: $work/late.sock, wait: 20000}
	limits: {handshakers: 3, per_source: 1000, penalty: 0, drain: 20000}
	admin: {socket: $work/admin.sock}
	END
}

works() {
  answers 'worker=*' ask localhost
}

slay() {
  { is_child "$1" && kill -9 "$1" && wait "$1"; } 2>/dev/null || true
}

# All of them are there, and can make handshakes.
whole() {
  [ "$(handshakers | wc -l)" = 3 ] && [ "$(keeper | wc -l)" = 1 ]
}

starts() {
  start_daemon && start_worker echo echo echo && start_worker app answer app && works
}

# --- a connection that is there all the time

open_echo() {
  : >"$work/echo.out"
  exec {echo_fd}> >(exec openssl s_client -connect "127.0.0.1:$port" -servername localhost -alpn echo \
    -CAfile "$work/ca.pem" -verify_return_error -quiet >"$work/echo.out" 2>"$work/echo.err")
  goes_on first
}

close_echo() {
  exec {echo_fd}>&-
}

goes_on() { # WORD
  echo "$1" >&"$echo_fd"
  await 10 grep -q "^$1\$" "$work/echo.out" || {
    say "the running connection does not go on: $(tail -n 1 "$work/echo.err")"
    return 1
  }
}

# --- load

start_load() { # THREADS
  rm -f "$work/load.in"
  mkfifo "$work/load.in"
  "$PEERS/hammer" "$port" "$work/ca.pem" 0 "$1" <"$work/load.in" >"$work/load.out" 2>"$work/load.err" &
  load=$!
  exec {load_fd}>"$work/load.in"
}

stop_load() { # MOST FAILURES, LEAST SUCCESSES
  local good bad
  exec {load_fd}>&-
  wait "$load" || true
  good=$(sed -n 's/good=\([0-9]*\) .*/\1/p' "$work/load.out")
  bad=$(sed -n 's/.* bad=\([0-9]*\) .*/\1/p' "$work/load.out")
  say "$(cat "$work/load.out")"
  [ "${bad:-1000}" -le "$1" ] && [ "${good:-0}" -ge "$2" ] && return 0
  say "at most $1 may fail; $(sort "$work/load.err" | uniq -c | sort -rn | head -n 3)"
  return 1
}

# --- workers

worker_dies() {
  local round hammer holder result=0
  slay "$app"
  for round in 1 2 3; do
    start_worker app hold "hold$round" || return 1
    holder=$worker
    "$PEERS/hammer" "$port" "$work/ca.pem" 20 20 >"$work/hammer.out" 2>"$work/hammer.err" &
    hammer=$!
    # All are on their way to a worker that takes none.
    sleep 1
    start_worker app answer "app$round" || return 1
    app=$worker
    slay "$holder"
    wait "$hammer" || {
      say "round $round: $(cat "$work/hammer.out") $(sort "$work/hammer.err" | uniq -c | head -n 3)"
      result=1
    }
    [ "$round" = 3 ] || slay "$app"
  done
  return "$result"
}

lie() {
  timeout 60 "$PEERS/liar" "$work/app.sock" "$1" "$(tail -n 1 "$work/worker-echo.out")" >"$work/liar.out" || {
    say "liar $1: status $?"
    return 1
  }
  goes_on "after-$1" && works
}

takes_and_goes() {
  local hammer result=0
  "$PEERS/liar" "$work/late.sock" midway >"$work/liar.out" &
  await 10 grep -q ready "$work/liar.out" || return 1
  "$PEERS/hammer" "$port" "$work/ca.pem" 1 1 alpn_advertised_protocols=late >"$work/hammer.out" 2>&1 &
  hammer=$!
  sleep 1
  start_worker late answer late || return 1
  wait "$hammer" || { say "$(cat "$work/hammer.out")"; result=1; }
  stop "$worker"
  return "$result"
}

# Who has acknowledged a connection may have used its keys: nobody else gets it, however the channel ends.
acknowledges_and_goes() {
  local hammer liar result=0
  "$PEERS/liar" "$work/late.sock" acked >"$work/liar.out" &
  liar=$!
  await 10 grep -q ready "$work/liar.out" || return 1
  "$PEERS/hammer" "$port" "$work/ca.pem" 2 2 alpn_advertised_protocols=late >"$work/hammer.out" 2>&1 &
  hammer=$!
  wait "$liar" || { say "the liar: status $?"; result=1; }
  kill -CONT "$daemon"
  start_worker late answer late || return 1
  wait "$hammer" || true
  grep -q '^good=1 bad=1 ' "$work/hammer.out" || { say "not one of two: $(tail -n 1 "$work/hammer.out")"; result=1; }
  stop "$worker"
  return "$result"
}

other_user() {
  local out
  # shellcheck disable=SC2024
  if out=$(setpriv --reuid=65534 --regid=65534 --clear-groups "$PEERS/worker" "$work/app.sock" answer x 2>&1); then
    say "a user who may not attach is let in"
    return 1
  fi
  [[ $out == *'may not attach'* ]] || { say "$out"; return 1; }
  setpriv --reuid=65534 --regid=65534 --clear-groups "$PEERS/worker" "$work/echo.sock" hold y \
    >"$work/other.out" 2>&1 &
  local pid=$!
  pids+=("$pid")
  await 10 grep -q attached "$work/other.out" || { say "$(cat "$work/other.out")"; return 1; }
  slay "$pid"
  # By a group that is not its first.
  setpriv --reuid=65533 --regid=65533 --groups="$(id -g daemon)" "$PEERS/worker" "$work/echo.sock" hold y \
    >"$work/other.out" 2>&1 &
  pid=$!
  pids+=("$pid")
  await 10 grep -q attached "$work/other.out" || { say "by its group: $(cat "$work/other.out")"; return 1; }
  slay "$pid"
}

# --- handshakers and the keeper

handshaker_dies() {
  local i pid crashes=0 killed=' '
  start_load 4
  while [ "$crashes" -lt "$KILLS" ]; do
    sleep 0.2
    pid=$(handshakers | shuf -n 1)
    if [ -n "$pid" ] && [[ $killed != *" $pid "* ]] && kill -9 "$pid"; then
      killed+="$pid "
      crashes=$((crashes + 1))
    fi
  done
  stop_load $((KILLS * 4)) 20 || return 1
  crashes=$(grep -c 'a handshaker .* ended by signal 9' "$work/sluiced.log")
  [ "$crashes" = "$KILLS" ] || { say "$crashes of $KILLS ends were counted"; return 1; }
  await 15 whole || { say "handshakers are missing: $(handshakers | wc -l) of 3"; return 1; }
  goes_on after-kills && works
}

# What it had said of them before it died counts, though the broker hears of its death first.
handshakers_finish_and_die() {
  local hammer pids_then result=0
  await 15 whole || return 1
  mapfile -t pids_then < <(handshakers)
  kill -STOP "${pids_then[@]}"
  "$PEERS/hammer" "$port" "$work/ca.pem" 20 20 >"$work/hammer.out" 2>"$work/hammer.err" &
  hammer=$!
  await 10 eval "[[ \$('${SLUICECTL:-$build/tools/sluicectl}' --socket '$work/admin.sock' --json status) == *'\"handshakes\":20,'* ]]" ||
    say "they do not get them"
  kill -STOP "$daemon"
  kill -CONT "${pids_then[@]}"
  sleep 0.5
  kill -9 "${pids_then[@]}"
  kill -CONT "$daemon"
  wait "$hammer" || { say "$(cat "$work/hammer.out") $(sort "$work/hammer.err" | uniq -c | head -n 3)"; result=1; }
  await 15 whole || { say "handshakers are missing: $(handshakers | wc -l) of 3"; result=1; }
  works || result=1
  return "$result"
}

# A handshake that hangs in it is given up by the broker, with the process, a second after it was due.
handshaker_stops() {
  local pid took
  pid=$(handshakers | head -n 1)
  [ -n "$pid" ] || return 1
  kill -STOP "$pid"
  start_load 6
  took=$(date +%s%3N)
  await 20 log_has "a handshaker (pid $pid) hangs" || say "the one that hangs is not found"
  took=$(($(date +%s%3N) - took))
  say "given up after $took ms, of which handshake_timeout is 2000"
  [ "$took" -le 3200 ] || { say "that is too late"; return 1; } # 200: looking, on a busy machine
  await 15 whole || say "it is not replaced"
  sleep 0.5
  stop_load 6 20 || return 1
  log_has "a handshaker (pid $pid) ended by signal 9" && goes_on after-stop && works
}

keeper_dies() {
  local before old
  before=$(handshakers | sort)
  old=$(keeper)
  start_load 4
  sleep 0.5
  kill -9 "$old"
  await 15 log_has 'a new keeper' || say "no new keeper"
  sleep 0.5
  stop_load 40 20 || return 1
  if [ "$(keeper)" = "$old" ] || ! whole; then
    say "no new keeper"
    return 1
  fi
  [ "$(handshakers | sort)" = "$before" ] || { say "handshakers were lost with it"; return 1; }
  goes_on after-keeper && works
}

has_keeper() {
  [ -n "$(keeper)" ]
}

keeper_dies_often() {
  local i
  for ((i = 0; i < 4; i++)); do
    await 15 has_keeper || return 1
    kill -9 "$(keeper)"
    sleep 0.3
  done
  await 20 whole && works && goes_on after-keepers
}

# --- certificates

served() {
  openssl s_client -connect "127.0.0.1:$port" -servername localhost </dev/null 2>/dev/null |
    openssl x509 -noout -fingerprint
}

# reload PEM KEY refused|taken
reload() {
  local refused reloaded
  cp "$1" "$work/served.pem"
  cp "$2" "$work/served.key"
  refused=$(grep -c 'stays as it was' "$work/sluiced.log" || true)
  reloaded=$(grep -c 'configuration is new' "$work/sluiced.log" || true)
  kill -HUP "$daemon"
  if [ "$3" = taken ]; then
    await 10 eval "[ \"\$(grep -c 'configuration is new' '$work/sluiced.log')\" -gt $reloaded ]"
  else
    await 10 eval "[ \"\$(grep -c 'stays as it was' '$work/sluiced.log')\" -gt $refused ]"
  fi || { say "reload with $(basename "$1"): not $3; $(tail -n 1 "$work/sluiced.log")"; return 1; }
}

reloads() {
  local first
  first=$(served)
  [ -n "$first" ] || return 1
  echo garbage >"$work/garbage.pem"
  reload "$work/garbage.pem" "$work/ec.key" refused &&
    reload "$work/new.pem" "$work/ec.key" refused &&
    reload "$work/new.pem" "$work/garbage.pem" refused &&
    reload /dev/null /dev/null refused || return 1
  [ "$(served)" = "$first" ] || { say "a refused reload changed the certificate"; return 1; }
  sed -i 's/^profiles:/profiles: [/' "$work/sluiced.conf"
  reload "$work/new.pem" "$work/new.key" refused || return 1
  sed -i 's/^profiles: \[/profiles:/' "$work/sluiced.conf"
  start_load 4
  reload "$work/new.pem" "$work/new.key" taken || return 1
  stop_load 0 1 || return 1
  [ "$(served)" != "$first" ] || { say "the new certificate is not served"; return 1; }
  goes_on after-reload && works
}

# --- descriptors

no_descriptors() {
  local before result=0 hammer n z
  before=$(keeper; handshakers | sort)
  # Fewer than would be needed at once: all are served, one after the other.
  for n in 48 64 256; do
    prlimit --pid "$daemon" --nofile="$n:"
    sleep 0.5 # until it knows
    "$PEERS/hammer" "$port" "$work/ca.pem" 200 100 >"$work/hammer.out" 2>"$work/hammer.err" || {
      say "$n: $(cat "$work/hammer.out") $(sort "$work/hammer.err" | uniq -c | head -n 3)"
      result=1
    }
  done
  # Fewer than it has: nobody is, but nobody is refused either.
  prlimit --pid "$daemon" --nofile=8:
  sleep 0.5
  "$PEERS/hammer" "$port" "$work/ca.pem" 20 20 >"$work/hammer.out" 2>"$work/hammer.err" &
  hammer=$!
  "$PEERS/worker" "$work/app.sock" hold z >"$work/z.out" 2>&1 & # must not make it turn in a circle
  z=$!
  sleep 2
  goes_on without-descriptors || result=1
  prlimit --pid "$daemon" --nofile="$many:"
  slay "$z"
  wait "$hammer" || { say "$(cat "$work/hammer.out")"; result=1; }
  [ "$(keeper; handshakers | sort)" = "$before" ] || { say "processes were lost"; result=1; }
  works || result=1
  return "$result"
}

idle_time() { # ticks of CPU
  awk '{ print $14 + $15 }' "/proc/$daemon/stat"
}

# 8 descriptors, and workers that knock: the loop must not turn in a circle.
no_circle() {
  local before share pid took
  prlimit --pid "$daemon" --nofile=8:
  "$PEERS/worker" "$work/app.sock" hold knocks >"$work/z.out" 2>&1 &
  pid=$!
  sleep 0.2
  before=$(idle_time)
  sleep 2
  share=$((($(idle_time) - before) * 100 / (2 * $(getconf CLK_TCK))))
  prlimit --pid "$daemon" --nofile="$many:"
  took=$(date +%s%3N)
  await 10 grep -q attached "$work/z.out" || { say "it does not attach later"; return 1; }
  took=$(($(date +%s%3N) - took))
  slay "$pid"
  say "without descriptors: $share % of a processor; with them, it goes on after $took ms"
  [ "$share" -lt 20 ] && [ "$took" -le 1000 ]
}

# --- the end

drains() {
  local hammer
  "$PEERS/hammer" "$port" "$work/ca.pem" 5 5 alpn_advertised_protocols=late >"$work/hammer.out" 2>&1 &
  hammer=$!
  sleep 1 # they wait for a worker
  kill -TERM "$daemon"
  await 10 eval "! is_listening $port" || { say "it goes on listening"; return 1; }
  kill -0 "$daemon" || { say "it does not wait"; return 1; }
  start_worker late answer last || return 1
  wait "$hammer" || { say "$(cat "$work/hammer.out")"; return 1; }
  await 10 eval "! kill -0 $daemon 2>/dev/null" || { say "the daemon does not end"; return 1; }
  wait "$daemon" || { say "its status is $?"; return 1; }
  goes_on after-the-end # what a worker has needs no daemon
}

ends_with_a_stopped_child() {
  start_daemon || return 1
  kill -STOP "$(handshakers | head -n 1)" "$(keeper)"
  kill -TERM "$daemon"
  await 10 eval "! kill -0 $daemon 2>/dev/null" || { say "the daemon does not end"; return 1; }
}

children_follow() {
  local pids_then
  start_daemon || return 1
  pids_then=$(keeper; handshakers)
  kill -9 "$daemon"
  await 10 eval "! kill -0 $(echo "$pids_then" | tr '\n' ' ') 2>/dev/null" || {
    say "processes are left without their daemon"
    return 1
  }
}

prepare_daemon
configure
lies=(version oversize early ack credits ended unknown keys descriptors attaches)
many=$(ulimit -Sn)
ktap_plan $((17 + ${#lies[@]}))
attempt "the daemon starts" starts
app=$worker
attempt "a connection is opened that stays" open_echo
attempt "a worker that dies loses no connection that it has not acknowledged" worker_dies
for lie in "${lies[@]}"; do
  attempt "a worker lies: $lie" lie "$lie"
done
attempt "a worker takes a connection and goes: another gets it" takes_and_goes
attempt "a worker acknowledges a connection and goes: nobody else gets it" acknowledges_and_goes
attempt "a user who may not attach is refused, one who may is not" other_user
attempt "a handshaker is killed under load every 200 ms" handshaker_dies
attempt "handshakers that finish and die lose nothing" handshakers_finish_and_die
attempt "a handshaker that is stopped is replaced" handshaker_stops
attempt "the keeper is killed under load" keeper_dies
attempt "the keeper is killed again and again" keeper_dies_often
attempt "certificates are changed, broken ones are refused" reloads
attempt "the broker has no descriptors left" no_descriptors
attempt "without descriptors the broker waits" no_circle
attempt "a daemon that ends serves whom it has accepted" drains
attempt "a daemon ends whose children are stopped" ends_with_a_stopped_child
attempt "children end with a daemon that is killed" children_follow
close_echo
exit "$ktap_failed"
