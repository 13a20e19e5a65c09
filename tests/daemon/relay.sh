#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# sluice-relay between a daemon and plain workers: what clients send and get goes through unchanged,
# ends are passed on, nobody's slowness costs memory, and whoever dies takes no connection along that
# nobody has taken.
# shellcheck disable=SC2317 # the functions are called by the harness
set -euo pipefail
# shellcheck source=tests/daemon/relay-lib.sh
. "$(dirname "$0")/relay-lib.sh"

# --- tests

# example WORKER...: curl's GET is answered with what is known of its connection.
example() {
  local relay worker version i result=0
  start_relay relay || return 1
  "$@" "$work/relay.sock" 2>"$work/example.err" &
  worker=$!
  pids+=("$worker")
  for version in 1.3:772 1.2:771; do
    fetch --tlsv1.2 --tls-max "${version%:*}" >"$work/out" || result=1
    fetch --tlsv1.2 --tls-max "${version%:*}" -Z "https://localhost:$listen/?[1-60]" >/dev/null 2>&1 || result=1
    for i in "version: ${version#*:}" "sni: localhost" "listener: https" "pool: app" \
      "local: 127.0.0.1:$listen" "peer: 127.0.0.1:"; do
      grep -q "^$i" "$work/out" || { say "TLS $version: no '$i' in: $(tr '\n' ' ' <"$work/out")"; result=1; }
    done
  done
  stop "$worker"
  stop "$relay"
  return "$result"
}

# The worker ends first, the client goes on; the client ends first, the worker goes on.
worker_ends_first() {
  local size
  size=$(stat -c %s "$work/www/data")
  peer_ends_first || return 1
  await_log "$work/first.log" "^got $size$"
}

client_ends_first() {
  local size
  size=$(stat -c %s "$work/www/data")
  connect <"$work/www/data" >"$work/out" 2>"$work/out.err" || return 1
  [ "$(cat "$work/out")" = "$size" ] || { say "said $(cat "$work/out")"; return 1; }
  await_log "$work/last.log" "^ended after $size$"
}

# A client that is killed sends no close_notify: the worker must be able to see it.
truncated() {
  local client
  exec {hold}> >(exec "$SLUICE" connect "localhost:$listen" --cacert "$work/ca.pem" >"$work/out" 2>&1)
  client=$!
  echo hello >&"$hold"
  await_log "$work/sluiced.log" "." && sleep 0.5
  kill -KILL "$client"
  exec {hold}>&-
  await_log "$work/last.log" "^failed after 6$"
}

# A client that resets: with bytes unread, and SO_LINGER at zero.
reset() {
  python3 - "$listen" "$work/ca.pem" <<-'END' || return 1
	import socket, ssl, struct, sys
	context = ssl.create_default_context(cafile=sys.argv[2])
	context.verify_flags &= ~ssl.VERIFY_X509_STRICT # the CA is a short one
	for _ in range(20):
	    raw = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
	    conn = context.wrap_socket(raw, server_hostname="localhost")
	    conn.sendall(b"x" * 200000)
	    conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
	    conn.close()
	END
  sleep 0.5
  echo_all
}

# The worker closes over unread bytes: what it wrote arrives, and then an alert, not an end.
aborted() {
  local status=0
  head -c 3000000 "$work/www/data" | connect >"$work/out" 2>"$work/out.err" || status=$?
  [ "$status" != 0 ] || { say "the client saw an end in order"; return 1; }
  [ "$(stat -c %s "$work/out")" = 1000000 ] && grep -q internal_error "$work/out.err" && return
  say "$(stat -c %s "$work/out") bytes, $(tail -n 1 "$work/out.err")"
  return 1
}

resident() {
  awk '/^VmRSS/ { print $2 }' "/proc/$relay/status"
}

# Clients that send to a worker that does not read, and do not read what a worker sends.
slow_reader() {
  local before after busy i fds=() hold
  before=$(resident)
  for ((i = 0; i < 20; i++)); do
    exec {hold}> >(exec timeout 20 "$SLUICE" connect "localhost:$listen" --cacert "$work/ca.pem" >/dev/null 2>&1)
    pids+=("$!")
    fds+=("$hold")
    # shellcheck disable=SC2261 # two descriptors
    head -c 50000000 /dev/zero >&"$hold" 2>/dev/null &
    pids+=("$!")
  done
  await_log "$work/stuck.log" '^stuck$' 20 || return 1
  sleep 1
  busy=$(ticks)
  sleep 1
  busy=$(($(ticks) - busy))
  after=$(resident)
  for hold in "${fds[@]}"; do exec {hold}>&-; done
  [ "$busy" -le 10 ] || { say "the relay used $busy ticks of a second for nothing"; return 1; }
  [ $((after - before)) -lt "$MEMORY_KB" ] && return
  say "the relay grew from $before to $after KB"
  return 1
}

# Idle means idle: no descriptor that hung up keeps the loop busy.
ticks() {
  awk '{ print $14 + $15 }' "/proc/$relay/stat"
}

# Clients that do not read what a worker sends, and then do; some are gone meanwhile.
slow_client() {
  local before after busy
  before=$(resident)
  python3 - "$listen" "$work/ca.pem" "$work/go" >"$work/out" <<-'END' &
	import os, socket, ssl, struct, sys, time
	context = ssl.create_default_context(cafile=sys.argv[2])
	context.verify_flags &= ~ssl.VERIFY_X509_STRICT # the CA is a short one
	conns = []
	for i in range(20):
	    raw = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=20)
	    conns.append(context.wrap_socket(raw, server_hostname="localhost",
	                                     suppress_ragged_eofs=False))
	for conn in conns[:5]:
	    conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
	    conn.close()
	while not os.path.exists(sys.argv[3]):
	    time.sleep(0.05)
	for conn in conns[5:]:
	    n = 0
	    while data := conn.recv(65536):
	        n += len(data)
	    if n != 20000000:
	        sys.exit(f"# {n} bytes came")
	END
  await_log "$work/flood.log" '^flood$' 20 || return 1
  sleep 1
  busy=$(ticks)
  sleep 1
  busy=$(($(ticks) - busy))
  after=$(resident)
  touch "$work/go"
  wait $! || { cat "$work/out"; return 1; }
  [ "$busy" -le 10 ] || { say "the relay used $busy ticks of a second for nothing"; return 1; }
  [ $((after - before)) -lt "$MEMORY_KB" ] && return
  say "the relay grew from $before to $after KB"
  return 1
}

slow_worker() {
  local size
  size=$(stat -c %s "$work/www/data")
  connect <"$work/www/data" >"$work/out" 2>"$work/out.err" || return 1
  [ "$(cat "$work/out")" = "$size" ] || { say "said $(cat "$work/out") of $size"; return 1; }
}

# A worker whose channel is full keeps its credits: 400 connections come, if late.
behind() {
  python3 - "$work/app.sock" "$listen" "$work/ca.pem" "$here/../../examples" <<-'END'
	import os, socket, ssl, sys, time
	sys.dont_write_bytecode = True
	sys.path.insert(0, sys.argv[4])
	import worker
	pool = worker.Pool(sys.argv[1])
	pool.send(worker.CREDIT, count=1000)
	context = ssl.create_default_context(cafile=sys.argv[3])
	context.verify_flags &= ~ssl.VERIFY_X509_STRICT # the CA is a short one
	conns = []
	for i in range(400):
	    raw = socket.create_connection(("127.0.0.1", int(sys.argv[2])), timeout=20)
	    conns.append(context.wrap_socket(raw, server_hostname="localhost"))
	pool.channel.settimeout(5)
	for i in range(400):
	    try:
	        kind, number, _, descriptors = pool.receive()
	    except TimeoutError:
	        sys.exit(f"# {i} came")
	    pool.send(worker.ACK, number)
	    os.close(descriptors[0])
	END
}

# MSG_DRAIN: only what is on its way still comes; the rest goes to another.
drained() {
  local i worker
  connect <"$work/www/text" >"$work/out" 2>"$work/out.err" || return 1
  same "$work/www/text" "$work/out" "the one before" || return 1
  start_worker relay echo || return 1
  for i in 1 2 3; do
    connect <"$work/www/text" >"$work/out" 2>"$work/out.err" || return 1
    same "$work/www/text" "$work/out" "another" || return 1
  done
  stop "$worker"
}

# Connections that a plain worker did not acknowledge go to another when it is killed.
worker_killed() {
  local i client clients=() hold_worker=$worker worker
  for ((i = 0; i < 5; i++)); do
    connect <"$work/www/text" >"$work/out.$i" 2>"$work/out.err" &
    clients+=("$!")
  done
  await_log "$work/hold.log" '^holding' 5 || return 1
  start_worker relay echo || return 1
  kill -KILL "$hold_worker"
  for client in "${clients[@]}"; do wait "$client" || { say "a client failed"; return 1; }; done
  stop "$worker"
  for ((i = 0; i < 5; i++)); do
    same "$work/www/text" "$work/out.$i" "client $i" || return 1
  done
}

# The same when the relay itself is killed: the daemon gives them to another.
relay_killed() {
  local client relay first worker other
  start_relay relay && start_worker relay hold || return 1
  first=$relay
  other=$worker
  connect <"$work/www/text" >"$work/out" 2>"$work/out.err" &
  client=$!
  await_log "$work/hold.log" '^holding' || return 1
  start_relay another && start_worker another echo || return 1
  kill -KILL "$first"
  wait "$client" || { say "the client failed: $(tail -n 1 "$work/out.err")"; return 1; }
  stop "$other"
  stop "$first" 2>/dev/null
  stop "$worker"
  stop "$relay"
  same "$work/www/text" "$work/out" "after the relay was killed"
}

# Nobody takes a connection: it is not kept for ever.
nobody() {
  local relay worker status=0
  start_relay relay --wait 300 && start_worker relay hold || return 1
  connect </dev/null >"$work/out" 2>"$work/out.err" &
  await_log "$work/hold.log" '^holding' || return 1
  stop "$worker"
  wait $! || status=$?
  await_log "$work/sluiced.log" "no plain worker had room in time" || status=9
  stop "$relay"
  return "$status"
}

# SIGTERM: what is open goes on to its end, then the relay ends.
drains() {
  local client result=0
  exec {hold}> >(connect >"$work/out" 2>"$work/out.err")
  client=$!
  echo one >&"$hold"
  await_size "$work/out" 4 "$client" || { say "no echo"; return 1; }
  kill "$relay"
  await_log "$work/relay.log" ending || return 1
  sleep 0.2
  cat "$work/www/text" >&"$hold"
  exec {hold}>&-
  wait "$client" || { say "the client failed"; result=1; }
  wait "$relay" || { say "the relay's status is $?"; result=1; }
  cmp -s <(echo one && cat "$work/www/text") "$work/out" || { say "other bytes"; result=1; }
  return "$result"
}

with_draining_relay() {
  local relay worker result=0
  start_relay relay && start_worker relay echo || return 1
  drains || result=1
  stop "$worker"
  stop "$relay"
  return "$result"
}

# Others than root and --user are refused.
refused() {
  local relay result=0
  if [ "$(id -u)" != 0 ]; then return 0; fi
  start_relay relay --user 12345 || return 1
  chmod 755 "$work"
  python3 - "$work/relay.sock" <<-'END' || result=1
	import os, socket, struct, sys
	for uid, wanted in ((12345, 16), (12346, 18)):
	    if os.fork() == 0:
	        os.setresuid(uid, uid, uid)
	        channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
	        channel.connect(sys.argv[1])
	        try:
	            channel.send(struct.pack("<BBHI", 1, 1, 0, 0))
	        except BrokenPipeError:
	            pass
	        os._exit(channel.recv(1000)[1] != wanted)
	    if os.wait()[1]:
	        sys.exit(f"# user {uid}: another answer than {wanted}")
	END
  stop "$relay"
  return "$result"
}

prepare
chmod 711 "$work" # of sockets that another user may connect to
start_daemon
ktap_plan 20
# test: a plain worker in Python answers curl over TLS 1.3 and 1.2, and knows the connection
attempt "a plain worker in Python answers curl over TLS 1.3 and 1.2, and knows the connection" \
  example python3 "$here/../../examples/worker.py"
# test: a plain worker in Go does the same
if command -v go >/dev/null; then
  GO111MODULE=off go build -o "$work/go-worker" "$here/../../examples/worker.go"
  attempt "a plain worker in Go does the same" example "$work/go-worker"
else
  skip "a plain worker in Go does the same" "go is not installed"
fi
# test: 10 MB go through a plain worker and back
attempt "10 MB go through a plain worker and back" with_worker echo echo_all
# test: keys change on the way
attempt "keys change on the way" with_worker echo key_updates
# test: a plain worker ends its direction and reads on
attempt "a plain worker ends its direction and reads on" with_worker first worker_ends_first
# test: a client ends its direction and reads on
attempt "a client ends its direction and reads on" with_worker last client_ends_first
# test: a plain worker sees that a stream was cut off
attempt "a plain worker sees that a stream was cut off" with_worker last truncated
# test: a plain worker that closes over unread bytes is no end in order
attempt "a plain worker that closes over unread bytes is no end in order" with_worker abort aborted
# test: clients that reset harm nobody
attempt "clients that reset harm nobody" with_worker echo reset
# test: a worker that does not read costs no memory
attempt "a worker that does not read costs no memory" with_worker stuck slow_reader
# test: clients that do not read cost no memory and no time
attempt "clients that do not read cost no memory and no time" with_worker flood slow_client
# test: a worker that reads slowly gets everything
attempt "a worker that reads slowly gets everything" with_worker slow slow_worker
# test: 200 connections for a plain worker that is behind
attempt "200 connections for a plain worker that is behind" with_worker late many 200
# test: a worker that is behind keeps its credits
attempt "a worker that is behind keeps its credits" behind
# test: a plain worker that drains gets no more
attempt "a plain worker that drains gets no more" with_worker drain drained
# test: a plain worker killed with unacknowledged connections loses none
attempt "a plain worker killed with unacknowledged connections loses none" with_worker hold worker_killed
# test: a relay killed with an unacknowledged connection does not lose it
attempt "a relay killed with an unacknowledged connection does not lose it" relay_killed
# test: a connection that nobody takes ends
attempt "a connection that nobody takes ends" nobody
# test: SIGTERM lets connections end
attempt "SIGTERM lets connections end" with_draining_relay
# test: other users may not attach
attempt "other users may not attach" refused
exit "$ktap_failed"
