#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# sluice-relay moving bulk by splice: what goes through a pipe arrives whole, in order and with its end, whatever
# comes between the records; nobody's slowness costs memory; without pipes it goes on by a copy. On the user path
# nothing is spliced, and everything else holds.
# Environment: as tests/daemon/relay-lib.sh; SLUICE_SPLICE_WAYS: of --io (splice; with SLUICE_TEST_LONG uring-splice too)
# shellcheck disable=SC2317,SC2154 # the functions are called by the harness; variables of relay-lib.sh
set -euo pipefail
SIZE=${SLUICE_INTEROP_SIZE:-6000000}
# shellcheck source=tests/daemon/relay-lib.sh
. "$(dirname "$0")/relay-lib.sh"
read -ra ways <<<"${SLUICE_SPLICE_WAYS:-splice}"
[ -z "${SLUICE_TEST_LONG:-}" ] || ways=(splice uring-splice)

end_relay() {
  kill "$relay" 2>/dev/null || true
  sleep 0.1
  kill "$relay" 2>/dev/null || true
  wait "$relay" 2>/dev/null || true
}

spliced() {
  sed -n 's/.*relay: \([0-9]*\) bytes went by splice/\1/p' "$work/relay.log" | tail -n 1
}

# over MODE LEAST MOST COMMAND...: with a server and a relay of their own, each way; so many bytes went by splice
# where the kernel has the records.
under=()
over() {
  local mode=$1 least=$2 most=$3 result=0 way at server relay n
  shift 3
  backend "$mode" "$mode" || return 1
  for way in "${ways[@]}"; do
    : >"$work/$mode.log"
    ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 "${under[@]}" "$RELAY" --pool "$work/app.sock" "${as[@]}" --io "$way" \
      --workers 1 --backend "127.0.0.1:$at" >"$work/relay.log" 2>&1 &
    relay=$!
    pids+=("$relay")
    await_log "$work/relay.log" connecting || { result=1; continue; }
    "$@" || { result=1; say "... by $way"; }
    kill -0 "$relay" || { say "the relay died: $(tail -n 5 "$work/relay.log")"; result=1; }
    end_relay
    n=$(spliced)
    [ "$path" = kernel ] || least=0
    if [ "${n:-0}" -lt "$least" ] || [ "${n:-0}" -gt "$most" ]; then
      say "by $way: ${n:-0} bytes went by splice, not $least to $most"
      result=1
    fi
  done
  stop "$server"
  return "$result"
}

both_ways() {
  local version status=0
  for version in 1.3 1.2; do
    connect "--tls$version" <"$work/www/data" >"$work/out" 2>"$work/out.err" || { say "$(tail -n 1 "$work/out.err")"; status=1; }
    same "$work/www/data" "$work/out" "TLS $version" || status=1
  done
  return "$status"
}

# OpenSSL changes its keys in the middle of what it sends, and asks for ours; the relay has its own changed as well.
new_keys() {
  key_updates || return 1
  "$build/tests/peers/openssl" client "$listen" "$work/ca.pem" - "$SIZE" 1000000 >"$work/out" 2>&1 ||
    { say "OpenSSL: $(tail -n 1 "$work/out")"; return 1; }
}

words_between() {
  python3 - "$listen" "$work/ca.pem" <<-'END'
	import socket, ssl, sys, threading
	context = ssl.create_default_context(cafile=sys.argv[2])
	context.verify_flags &= ~ssl.VERIFY_X509_STRICT # the CA is a short one
	conn = context.wrap_socket(socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=20),
	                           server_hostname="localhost")
	def there_and_back(data):
	    sender = threading.Thread(target=conn.sendall, args=(data,))
	    sender.start()
	    got = bytearray()
	    while len(got) < len(data):
	        got += conn.recv(65536)
	    sender.join()
	    if got != data:
	        sys.exit(f"# other bytes, of {len(data)}")
	for i in range(20):
	    there_and_back(bytes((i + j) % 251 for j in range(1009)) * 400)
	    for word in (b"a", b"word", b"x" * 1000, b"y" * 5000):
	        there_and_back(word)
	END
}

# The client is killed in the middle: its server must not believe that this was all.
cut_off() {
  local client hold
  : >"$work/count.log"
  exec {hold}> >(exec "$SLUICE" connect "localhost:$listen" --cacert "$work/ca.pem" >"$work/out" 2>&1)
  client=$!
  # shellcheck disable=SC2261 # two descriptors
  (while cat "$work/www/data"; do :; done) >&"$hold" 2>/dev/null &
  pids+=("$!")
  await_log "$work/count.log" accepted && sleep 0.7
  kill -KILL "$client"
  exec {hold}>&-
  await_log "$work/count.log" "^reset after [1-9][0-9]*$"
}

# Behind bulk comes what is no record, and in another connection one that is not authentic: an alert says so at once.
broken_records() {
  : >"$work/count.log"
  python3 - "$listen" "$work/ca.pem" <<-'END' || return 1
	import os, socket, ssl, sys
	context = ssl.create_default_context(cafile=sys.argv[2])
	context.verify_flags &= ~ssl.VERIFY_X509_STRICT # the CA is a short one
	for version, alert in ((5, "unexpected message"), (3, "bad record mac")):
	    raw = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=10)
	    wire = os.dup(raw.fileno())
	    conn = context.wrap_socket(raw, server_hostname="localhost")
	    conn.sendall(bytes(3000000))
	    os.write(wire, bytes((23, 3, version, 0, 64)) + bytes(64))
	    try:
	        said = repr(conn.recv(100))
	    except (ssl.SSLError, OSError) as error:
	        said = repr(error)
	    if alert not in said.replace("_", " ").lower():
	        sys.exit(f"# version 3.{version}: no {alert} but {said}")
	END
  await_log "$work/count.log" "^reset after [1-9]" 2
}

# The server resets in the middle of what it sends: an alert, and no end in order.
server_dies() {
  local status=0
  connect </dev/null >"$work/out" 2>"$work/out.err" || status=$?
  [ "$status" != 0 ] && grep -q internal_error "$work/out.err" && [ "$(stat -c %s "$work/out")" -gt 1000000 ] && return
  say "status $status, $(stat -c %s "$work/out") bytes, $(tail -n 1 "$work/out.err")"
  return 1
}

# Clients that take 10 KB a second: nobody keeps for them what they do not take.
slow_clients() {
  local before after
  before=$(awk '/^VmRSS/ { print $2 }' "/proc/$relay/status")
  python3 - "$listen" "$work/ca.pem" "$work/slow" <<-'END' &
	import socket, ssl, sys, time
	context = ssl.create_default_context(cafile=sys.argv[2])
	context.verify_flags &= ~ssl.VERIFY_X509_STRICT # the CA is a short one
	conns = []
	for i in range(10):
	    raw = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=20)
	    conns.append(context.wrap_socket(raw, server_hostname="localhost"))
	n = 0
	for i in range(20):
	    for conn in conns:
	        n += len(conn.recv(1000))
	    time.sleep(0.1)
	print(n, file=open(sys.argv[3], "w"))
	time.sleep(2)
	END
  await_log "$work/slow" "^[1-9][0-9]*$" || return 1
  after=$(awk '/^VmRSS/ { print $2 }' "/proc/$relay/status")
  rm -f "$work/slow"
  [ "$(grep -c '^sent$' "$work/flood.log")" -lt 1500 ] || { say "all was taken from the servers"; return 1; }
  [ $((after - before)) -lt "$MEMORY_KB" ] && return
  say "the relay grew from $before to $after KB"
  return 1
}

# An idle connection has no pipe: bulk, and then nothing.
idle_has_none() {
  local i n hold
  for i in 1 2 3; do
    exec {hold}> >(connect >"$work/idle.$i" 2>/dev/null)
    holds+=("$hold")
    cat "$work/www/data" >&"$hold"
    await_size "$work/idle.$i" "$SIZE" "$!" || { say "no echo"; return 1; }
  done
  # What is kept for the next is one for each direction that was busy at once.
  n=$(find "/proc/$relay/fd" -lname 'pipe:*' 2>/dev/null | wc -l)
  for hold in "${holds[@]}"; do exec {hold}>&-; done
  [ "$n" -le 6 ] && return
  say "$n ends of pipes for 3 idle connections"
  return 1
}

# 8 at once, where there are pipes for 6 of their 16 directions
many_bulk() {
  local i client clients=() result=0
  head -c 1000000 "$work/www/data" >"$work/www/less"
  for ((i = 0; i < 8; i++)); do
    connect <"$work/www/less" >"$work/many.$i" 2>"$work/out.err" &
    clients+=("$!")
  done
  for client in "${clients[@]}"; do wait "$client" || { say "a client failed: $(tail -n 1 "$work/out.err")"; result=1; }; done
  for ((i = 0; i < 8; i++)); do same "$work/www/less" "$work/many.$i" "client $i" || result=1; done
  return "$result"
}

# pipe(7): the share of a user that has no privilege
SOFT=/proc/sys/fs/pipe-user-pages-soft
without_pipes() {
  local before result=0
  before=$(cat "$SOFT")
  echo 1 >"$SOFT"
  over echo 0 0 both_ways || result=1
  echo "$before" >"$SOFT"
  return "$result"
}

# try NAME COMMAND...: where there is something to splice, or for --long
try() {
  if [ "$path" = kernel ] || [ -n "${SLUICE_TEST_LONG:-}" ]; then
    attempt "$@"
  else
    skip "$1" "nothing is spliced on the user path"
  fi
}

prepare
chmod 711 "$work" # of sockets that another user may connect to
start_daemon
path=$(path_of TLS_AES_128_GCM_SHA256 auto)
say "path: $path"
ktap_plan 12
ALL=99999999999
# test: MBs go through pipes both ways, TLS 1.3 and 1.2
attempt "MBs go through pipes both ways, TLS 1.3 and 1.2" over echo "$SIZE" "$ALL" both_ways
# test: keys change in the middle of a spliced stream
attempt "keys change in the middle of a spliced stream" over echo 1000000 "$ALL" new_keys
# test: words between bulk keep their place
try "words between bulk keep their place" over echo 100000 "$ALL" words_between
# test: a client ends its spliced direction and reads on
try "a client ends its spliced direction and reads on" over count 1000000 "$ALL" client_first
# test: a server ends its direction and takes a spliced one
try "a server ends its direction and takes a spliced one" over first 1000000 "$ALL" server_first
# test: a spliced stream that is cut off is no end in order
try "a spliced stream that is cut off is no end in order" over count 100000 "$ALL" cut_off
# test: a broken record behind a spliced stream is answered with its alert
try "a broken record behind a spliced stream is answered with its alert" over count 100000 "$ALL" broken_records
# test: a server that dies in the middle is no end in order
try "a server that dies in the middle is no end in order" over burst 100000 "$ALL" server_dies
# test: slow readers of a spliced stream cost no memory
try "slow readers of a spliced stream cost no memory" over flood 0 "$ALL" slow_clients
# test: an idle connection has no pipe
holds=()
try "an idle connection has no pipe" over echo 0 "$ALL" idle_has_none
# test: few descriptors, few pipes: the others go on by a copy
under=(prlimit --nofile=96:96)
try "few descriptors, few pipes: the others go on by a copy" over echo 100000 "$ALL" many_bulk
under=()
# test: without memory for pipes it goes on by a copy
if [ "$path" = kernel ] && [ -w "$SOFT" ] && [ "$(id -u)" = 0 ]; then
  attempt "without memory for pipes it goes on by a copy" without_pipes
else
  skip "without memory for pipes it goes on by a copy" "needs the kernel path, and to be root of a machine of its own"
fi
exit "$ktap_failed"
