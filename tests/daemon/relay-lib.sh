# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154,SC2317
#
# Common ground of the scripts that test sluice-relay: a daemon, a relay, plain workers, clients. Sourced.
# Environment: SLUICE, SLUICED, RELAY: the programs.

# shellcheck source=tests/interop/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../interop/lib.sh"

build=$(cd "$(dirname "$SLUICE")/.." && pwd)
SLUICED=${SLUICED:-$build/daemon/sluiced}
RELAY=${RELAY:-$build/daemon/sluice-relay}
here=$(cd "$(dirname "$0")" && pwd)
MEMORY_KB=${SLUICE_RELAY_MEMORY_KB:-8192} # of a slow reader's cost; AddressSanitizer: quarantine_size_mb=1

# --- the processes

as=() # root becomes another
[ "$(id -u)" != 0 ] || as=(--as nobody)

# await_log FILE PATTERN [COUNT]
await_log() {
  local i
  for ((i = 0; i < LIMIT * 50; i++)); do
    [ -e "$1" ] && [ "$(grep -c -- "$2" "$1" || true)" -ge "${3:-1}" ] && return 0
    sleep 0.02
  done
  say "no '$2' in $1: $(tail -n 3 "$1" | tr '\n' ' ')"
  return 1
}

start_daemon() {
  listen=$(free_port)
  more=$((listen + 1))
  while is_listening "$more"; do more=$((more + 1)); done
  cat >"$work/sluiced.conf" <<-END
	listeners:
	  - name: https
	    address: "127.0.0.1:$listen"
	    profile: web
	    pool: app
	  - {name: more, address: "127.0.0.1:$more", profile: web, pool: app}
	profiles:
	  web:
	    alpn_preferred_protocols: [http/1.1]
	    certfile: $work/ec.pem
	    keyfile: $work/ec.key
	    versions: [tlsv1.3, tlsv1.2]
	    key_update_at: 1000000
	pools:
	  app:
	    socket: $work/app.sock
	    users: [$relay_user]
	    wait: 30000
	limits:
	  handshakers: 2
	  per_source: 100000
	admin:
	  socket: $work/admin.sock
	END
  "$SLUICED" -c "$work/sluiced.conf" >"$work/sluiced.log" 2>&1 &
  pids+=("$!")
  await_listen "$listen" "$!"
}

start_relay() { # NAME OPTION...
  local name=$1
  shift
  # The leak sanitizer needs another process and ptrace, which a confined one cannot have.
  ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 "$RELAY" --pool "$work/app.sock" \
    --offer "$work/$name.sock" "${as[@]}" "$@" >"$work/$name.log" 2>&1 &
  relay=$!
  pids+=("$relay")
  await_log "$work/$name.log" offering
}

start_worker() { # RELAY MODE
  : >"$work/$2.log"
  python3 "$here/echo-worker.py" "$work/$1.sock" "$2" "$work/$2.log" >"$work/$2.err" 2>&1 &
  worker=$!
  pids+=("$worker")
  await_log "$work/$2.log" attached
}

# with_worker MODE COMMAND...: with a relay and a plain worker of their own. $io: options of the relay.
io=()
with_worker() {
  local relay worker mode=$1 result=0
  shift
  start_relay relay "${io[@]}" && start_worker relay "$mode" || return 1
  "$@" || result=1
  kill -0 "$relay" || { say "the relay died: $(tail -n 5 "$work/relay.log")"; result=1; }
  stop "$worker"
  ! is_child "$relay" || kill -KILL "$relay" 2>/dev/null || true
  stop "$relay" 2>/dev/null
  [ "$result" = 0 ] || say "relay: $(tail -n 3 "$work/relay.log" | tr '\n' ' ')"
  return "$result"
}

connect() { # OPTION...
  timeout "$LIMIT" "$SLUICE" connect "localhost:$listen" --cacert "$work/ca.pem" "$@"
}

fetch() { # OPTION...
  curl -sS --max-time "$LIMIT" --cacert "$work/ca.pem" "$@" "https://localhost:$listen/"
}

# --- what clients do

echo_all() {
  local version result=0
  for version in 1.3 1.2; do
    connect "--tls$version" <"$work/www/data" >"$work/out" 2>"$work/out.err" || result=1
    same "$work/www/data" "$work/out" "TLS $version" || result=1
  done
  return "$result"
}

# Both sides change keys often, the relay by asking the daemon where the kernel has them.
key_updates() {
  connect --tls1.3 --key-update-every 300000 <"$work/www/data" >"$work/out" 2>"$work/out.err" || return 1
  same "$work/www/data" "$work/out" "with new keys"
}

# many N: connections, all open at once, each with a word of its own.
many() {
  python3 - "$listen" "$work/ca.pem" "$1" <<-'END'
	import socket, ssl, sys
	context = ssl.create_default_context(cafile=sys.argv[2])
	context.verify_flags &= ~ssl.VERIFY_X509_STRICT # the CA is a short one
	conns = []
	for i in range(int(sys.argv[3])):
	    raw = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=20)
	    conns.append(context.wrap_socket(raw, server_hostname="localhost"))
	for i, conn in enumerate(conns):
	    conn.sendall(b"%d\n" % i * 1000)
	for i, conn in enumerate(conns):
	    want, got = b"%d\n" % i * 1000, b""
	    while len(got) < len(want):
	        got += conn.recv(65536)
	    if got != want:
	        sys.exit(f"# connection {i}: other bytes")
	for conn in conns:
	    conn.unwrap().close()
	END
}

# peer_ends_first: a client that sends $work/www/data only after the other end has said hello and closed.
peer_ends_first() {
  python3 - "$listen" "$work/ca.pem" "$work/www/data" <<-'END'
	import socket, ssl, sys
	context = ssl.create_default_context(cafile=sys.argv[2])
	context.verify_flags &= ~ssl.VERIFY_X509_STRICT # the CA is a short one
	raw = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=20)
	conn = context.wrap_socket(raw, server_hostname="localhost", suppress_ragged_eofs=False)
	got = b""
	while data := conn.recv(1000):
	    got += data
	if got != b"hello\n":
	    sys.exit(f"# got {got}")
	conn.sendall(open(sys.argv[3], "rb").read())
	conn.unwrap()
	END
}

# --- servers without TLS behind a relay

# backend NAME MODE [PORT]: one of them, or at an address of backend-server.py; its port is $at, its pid $server.
backend() {
  at=${3:-$(free_port)}
  : >"$work/$1.log"
  "${PYTHON:-python3}" "$here/backend-server.py" "$at" "$2" "$work/$1.log" 2>"$work/$1.err" &
  server=$!
  pids+=("$server")
  await_log "$work/$1.log" listening
}

# client_first, server_first: which end of a connection to a server of that mode ends its direction first; $SIZE bytes come.
client_first() {
  connect <"$work/www/data" >"$work/out" 2>"$work/out.err" || { say "$(tail -n 1 "$work/out.err")"; return 1; }
  [ "$(cat "$work/out")" = "ended after $SIZE" ] || { say "said $(cat "$work/out")"; return 1; }
}

server_first() {
  peer_ends_first || return 1
  await_log "$work/first.log" "^ended after $SIZE$"
}
