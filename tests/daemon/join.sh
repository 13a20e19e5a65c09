#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Two relays join plain programs of two machines by mutual TLS: client, relay, TLS, relay, server. Neither relay
# has a key, and whoever is not who he should be gets no byte through. Servers are chosen by the name asked for.
# Environment: as tests/daemon/relay-lib.sh
# shellcheck disable=SC2317,SC2154 # the functions are called by the harness; variables of relay-lib.sh
set -euo pipefail
SIZE=${SLUICE_INTEROP_SIZE:-3000000}
# shellcheck source=tests/daemon/relay-lib.sh
. "$(dirname "$0")/relay-lib.sh"
PYTHON=${PYTHON:-/usr/bin/python3} # which has what Debian packages

make_more() {
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=machine one" -keyout "$work/me.key" -out "$work/me.csr"
  openssl x509 -req -in "$work/me.csr" -CA "$work/ca.pem" -CAkey "$work/ca.key" -set_serial 77 -days 2 \
    -out "$work/me.pem" -extfile <(printf 'subjectAltName=DNS:one.test\n')
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=nobody's" \
    -addext subjectAltName=DNS:localhost -keyout "$work/alien.key" -out "$work/alien.pem"
}

# One daemon is both machines: a listener that wants certificates, and a service that shows one.
start_both() {
  listen=${listen:-$(free_port)}
  alien=$((listen + 1))
  while is_listening "$alien"; do alien=$((alien + 1)); done
  cat >"$work/sluiced.conf" <<-END
	listeners:
	  - name: mutual
	    address: "127.0.0.1:$listen"
	    profile: mutual
	    pool: app
	    routes:
	      - {sni: other.test, pool: other}
	  - {name: alien, address: "127.0.0.1:$alien", profile: alien, pool: app}
	profiles:
	  mutual:
	    certfile: $work/ec.pem
	    keyfile: $work/ec.key
	    cacertfile: $work/ca.pem
	    verify: verify_peer
	    fail_if_no_peer_cert: true
	  alien: {certfile: $work/alien.pem, keyfile: $work/alien.key}
	  outgoing: {role: client, cacertfile: $work/ca.pem, certfile: $work/me.pem, keyfile: $work/me.key}
	  nameless: {role: client, cacertfile: $work/ca.pem}
	pools:
	  app: {socket: $work/app.sock, users: [$relay_user], wait: 10000}
	  other: {socket: $work/other.sock, users: [$relay_user], wait: 10000}
	services:
	  tls: {socket: $work/tls.sock, profiles: [outgoing, nameless], users: [$relay_user], handshakes: 100}
	limits: {handshakers: 2, per_source: 100000}
	admin: {socket: $work/admin.sock}
	END
  "$SLUICED" -c "$work/sluiced.conf" >"$work/sluiced.log" 2>&1 &
  daemon=$!
  pids+=("$daemon")
  await_listen "$listen" "$!"
}

# server NAME MODE: its port is $at.
server() {
  at=$(free_port)
  : >"$work/$1.log"
  "$PYTHON" "$here/backend-server.py" "$at" "$2" "$work/$1.log" 2>"$work/$1.err" &
  pids+=("$!")
  await_log "$work/$1.log" listening
}

# relay NAME OPTION...: its pid is $relay.
relay() {
  local name=$1
  shift
  : >"$work/$name.log"
  ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 "$RELAY" --workers 1 "${as[@]}" "$@" >"$work/$name.log" 2>&1 &
  relay=$!
  pids+=("$relay")
  await_log "$work/$name.log" connecting
}

# joined NAME PORT PROFILE OPTION...: a relay from here to that port with TLS; where it listens is $here_port.
joined() {
  local name=$1 to=$2 profile=$3
  shift 3
  here_port=$(free_port)
  relay "$name" --listen "127.0.0.1:$here_port" --to "127.0.0.1:$to" --service "$work/tls.sock" --profile "$profile" "$@"
}

# plain PORT: what comes from standard input goes there, and what comes back to standard output, to its end.
plain() {
  timeout "$LIMIT" "$PYTHON" -c '
import os, socket, sys, threading
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=20)
def send():
    try:
        while data := sys.stdin.buffer.read1(65536):
            s.sendall(data)
    except OSError as error: # whoever asks first is told of a reset, and nobody else
        print(repr(error), file=sys.stderr)
        os._exit(1)
    s.shutdown(socket.SHUT_WR)
threading.Thread(target=send, daemon=True).start()
while data := s.recv(65536):
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()' "$1" 2>"$work/plain.err"
}

through() {
  plain "$here_port" <"$work/www/data" >"$work/out" || { say "$(tail -n 1 "$work/plain.err")"; return 1; }
  same "$work/www/data" "$work/out" "through both"
}

both_ways() {
  local io result=0
  for io in uring epoll; do
    joined "out-$io" "$listen" outgoing --host localhost --io "$io" || return 1
    through || { result=1; say "by $io: $(tail -n 2 "$work/out-$io.log")"; }
    stop "$relay"
  done
  return "$result"
}

# The server is told who the client is, of the certificate that sluiced showed for it.
who() {
  await_log "$work/far.log" '^{' && python3 - "$work/far.log" <<-'END'
	import json, sys
	header = next(json.loads(line) for line in open(sys.argv[1]) if line.startswith("{"))
	tlvs = header["tlvs"]
	if not (header["valid"] and tlvs["SSL_CN"] == "machine one" and tlvs["SSL_VERIFY"] == 0 and tlvs["SSL_CLIENT"] == 7):
	    sys.exit(f"# {header}")
	END
}

many_at_once() {
  joined out "$listen" outgoing --host localhost || return 1
  "$PYTHON" - "$here_port" <<-'END' || return 1
	import socket, sys
	conns = [socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=20) for _ in range(60)]
	for i, conn in enumerate(conns):
	    conn.sendall(b"%d\n" % i * 1000)
	for i, conn in enumerate(conns):
	    want, got = b"%d\n" % i * 1000, b""
	    while len(got) < len(want):
	        got += conn.recv(65536) or sys.exit(f"# connection {i} ended")
	    if got != want:
	        sys.exit(f"# connection {i}: other bytes")
	END
  stop "$relay"
}

# Several workers listen at one address, each at a socket of its own, which outlives it with who waits in it. Nobody
# else may listen there, whoever he is.
several_workers() {
  local result=0 supervisor n victim
  joined out "$listen" outgoing --host localhost --workers 3 || return 1
  supervisor=$relay
  [ "$(ss -Htln "sport = :$here_port" | wc -l)" = 3 ] || { say "$(ss -Htln "sport = :$here_port")"; result=1; }
  for n in {1..12}; do
    echo "word $n" | plain "$here_port" >"$work/out.$n" || result=1
    [ "$(cat "$work/out.$n")" = "word $n" ] || { say "$n: $(tail -n 1 "$work/plain.err")"; result=1; }
  done
  kill -USR1 "$supervisor"
  await_log "$work/out.log" "since the start [1-9]" 2 || result=1 # three, but for one in a hundred runs
  victim=$(grep -lsE "^PPid:[[:space:]]+$supervisor\$" /proc/[0-9]*/status | head -n 1)
  victim=${victim#/proc/}
  kill -KILL "${victim%/status}"
  for n in {1..12}; do
    echo "word $n" | plain "$here_port" >"$work/out.$n" || result=1
    [ "$(cat "$work/out.$n")" = "word $n" ] || { say "$n: $(tail -n 1 "$work/plain.err")"; result=1; }
  done
  ! timeout 20 "$RELAY" "${as[@]}" --listen "127.0.0.1:$here_port" --to "127.0.0.1:$listen" --service "$work/tls.sock" \
    --profile outgoing --workers 2 >"$work/second.log" 2>&1 || { say "another one listens there"; result=1; }
  grep -q "Address already in use" "$work/second.log" || { say "$(cat "$work/second.log")"; result=1; }
  stop "$supervisor"
  return "$result"
}

# One of several is told to end: who comes from now on does not wait for those that it has.
one_ends() {
  local result=0 victim
  joined out "$listen" outgoing --host localhost --workers 2 || return 1
  victim=$(grep -lsE "^PPid:[[:space:]]+$relay\$" /proc/[0-9]*/status | head -n 1)
  victim=${victim#/proc/}
  timeout "$LIMIT" "$PYTHON" - "$here_port" "${victim%/status}" <<-'END' || result=1
	import os, signal, socket, sys, time
	def connect():
	    conn = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=5)
	    conn.sendall(b"word\n")
	    if conn.recv(5) != b"word\n":
	        sys.exit("# no echo")
	    return conn
	held = [connect() for _ in range(12)]  # of both workers, but for one in two thousand runs
	os.kill(int(sys.argv[2]), signal.SIGTERM)
	time.sleep(0.5)
	held += [connect() for _ in range(12)]
	for conn in held:
	    conn.sendall(b"again")
	    if conn.recv(5) != b"again":
	        sys.exit("# one that was open is not")
	END
  stop "$relay"
  return "$result"
}

# refused NAME PORT PROFILE HOST PATTERN: the client is reset, the log says why, and no server saw anything.
refused() {
  local before after
  before=$(grep -c accepted "$work/far.log")
  joined "$1" "$2" "$3" --host "$4" || return 1
  ! echo secret | plain "$here_port" >"$work/out" || { say "the client saw an end in order"; return 1; }
  grep -q 'ConnectionResetError' "$work/plain.err" || { say "$(tail -n 1 "$work/plain.err")"; return 1; }
  await_log "$work/$1.log" "$5" || return 1
  after=$(grep -c accepted "$work/far.log")
  stop "$relay"
  [ "$before" = "$after" ] || { say "a server was connected to"; return 1; }
}

# A server that does not want us tells so behind the handshake (TLS 1.3): the client is reset all the same.
without_certificate() {
  local before
  before=$(grep -c accepted "$work/far.log")
  joined bare "$listen" nameless --host localhost || return 1
  ! echo secret | plain "$here_port" >"$work/out" || { say "the client saw an end in order"; return 1; }
  stop "$relay"
  [ "$before" = "$(grep -c accepted "$work/far.log")" ] || { say "a server was connected to"; return 1; }
}

# The same listener, another name: another server.
by_name() {
  local result=0
  server elsewhere count && relay elsewhere-relay --pool "$work/other.sock" --backend "127.0.0.1:$at" || return 1
  "$SLUICE" connect "127.0.0.1:$listen" --servername other.test --insecure --cert "$work/me.pem" --key "$work/me.key" \
    <"$work/www/data" >"$work/out" 2>"$work/out.err" || result=1
  [ "$(cat "$work/out")" = "ended after $SIZE" ] || { say "said $(cat "$work/out"): $(tail -n 1 "$work/out.err")"; result=1; }
  stop "$relay"
  return "$result"
}

# Connections outlive the daemon, and new ones are made when it is back.
daemon_restarts() {
  local result=0 hold client
  joined out "$listen" outgoing --host localhost || return 1
  exec {hold}> >(plain "$here_port" >"$work/out")
  client=$!
  echo one >&"$hold"
  await_size "$work/out" 4 "$client" || { say "no echo"; return 1; }
  stop "$daemon"
  await_log "$work/out.log" "daemon is gone" || return 1
  eval "start_both $hold>&-" || return 1 # or it would keep the client's input open
  await_log "$work/out.log" "attached again" || return 1
  cat "$work/www/page" >&"$hold"
  exec {hold}>&-
  wait "$client" || { say "the client failed: $(tail -n 1 "$work/plain.err"); $(tail -n 3 "$work/out.log" "$work/far-relay.log" | tr '\n' ' ')"; result=1; }
  cmp -s <(echo one && cat "$work/www/page") "$work/out" || { say "other bytes"; result=1; }
  return "$result"
}

prepare
make_more >"$work/more.log" 2>&1 || { cat "$work/more.log"; exit 1; }
head -c 50000 "$work/www/data" >"$work/www/page"
chmod 711 "$work"
start_both
server far proxy && relay far-relay --pool "$work/app.sock" --backend "127.0.0.1:$at" --send-proxy v2
ktap_plan 10
attempt "a plain client reaches a plain server by mutual TLS" both_ways
attempt "the server is told whom the client's certificate names" who
attempt "60 at once" many_at_once
attempt "several workers listen at one address" several_workers
attempt "one of several workers ends" one_ends
attempt "a server with a certificate of another CA is refused" refused alien "$alien" outgoing localhost "unknown_ca\|issuer\|SLUICE_E_VERIFY"
attempt "a server with another name is refused" refused name "$listen" outgoing other.test "SLUICE_E_HOSTNAME\|not for"
attempt "without a certificate nothing gets through" without_certificate
attempt "another name, another server" by_name
attempt "the daemon is restarted" daemon_restarts
exit "$ktap_failed"
