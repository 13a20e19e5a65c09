#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The example of sluice/uring.h as a worker: it echoes over the kernel's records by io_uring, has keys changed by
# the daemon, and closes in order. Where the kernel has no TLS the user path is refused, and that is tested.
# Environment: as tests/daemon/lib.sh; WORKER: the program.
# shellcheck disable=SC2317,SC2154 # the functions are called by the harness; variables of lib.sh
set -euo pipefail
# shellcheck source=tests/daemon/lib.sh
. "$(dirname "$0")/lib.sh"

WORKER=${WORKER:-$build/examples/example-uring-server}
BYTES=2000000
EVERY=20000
LIMIT=60

start_all() {
  port=$(free_port)
  cat >"$work/sluiced.conf" <<-END
	listeners:
	  - {name: web, address: "127.0.0.1:$port", profile: default, pool: web}
	profiles:
	  default: {certfile: $work/ec.pem, keyfile: $work/ec.key}
	pools:
	  web: {socket: $work/web.sock}
	limits: {handshakers: 1}
	admin: {socket: $work/admin.sock}
	END
  start_daemon || return 1
  "$WORKER" "$work/web.sock" 2>"$work/worker.log" &
  worker=$!
  pids+=("$worker")
}

# client CASE: a connection of Python, which says what was wrong with it.
client() {
  timeout 20 python3 - "$port" "$work/ca.pem" "$1" <<-'END' || return 1
	import socket, ssl, struct, sys
	context = ssl.create_default_context(cafile=sys.argv[2])
	context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # the CA is made as simply as can be
	case = sys.argv[3]
	if case == "1.2":
	    context.maximum_version = ssl.TLSVersion.TLSv1_2
	raw = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=10)
	tls = context.wrap_socket(raw, server_hostname="localhost", suppress_ragged_eofs=False)
	if case == "refused":
	    try:
	        sys.exit(f"it was answered {tls.recv(5)}")
	    except (ssl.SSLEOFError, ConnectionResetError):
	        sys.exit(0)
	for text in (b"hello", b"x" * 100000):
	    tls.sendall(text)
	    echo = b""
	    while len(echo) < len(text):
	        echo += tls.recv(65536)
	    assert echo == text, "another echo"
	if case == "bad":  # a record that nobody has sealed is answered by an alert, encrypted
	    raw = socket.socket(fileno=tls.detach())
	    raw.settimeout(10)
	    raw.send(b"\x17\x03\x03\x00\x20" + bytes(32))
	    alert = raw.recv(100)
	    assert alert[:1] == b"\x17" and len(alert) == 5 + 2 + 17, alert
	elif case == "reset":
	    raw = socket.socket(fileno=tls.detach())
	    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
	else:
	    tls.unwrap()  # fails without the other side's close_notify
	END
}

# What comes is compared by the peer, which changes its keys and asks for ours.
changes() {
  local before rx tx
  before=("$(counter TlsRxRekeyOk)" "$(counter TlsTxRekeyOk)" "$(counter TlsDecryptError)")
  timeout "$LIMIT" "$PEERS/openssl" client "$port" "$work/ca.pem" - "$BYTES" "$EVERY" >"$work/peer.out" 2>&1 || {
    say "$(tail -n 3 "$work/peer.out" | tr '\n' ' '); $(tail -n 3 "$work/sluiced.log" "$work/worker.log")"
    return 1
  }
  rx=$(($(counter TlsRxRekeyOk) - before[0]))
  tx=$(($(counter TlsTxRekeyOk) - before[1]))
  say "$rx new keys received, $tx sent"
  [ "$rx" -ge $((BYTES / EVERY - 1)) ] && [ "$tx" -ge 1 ] &&
    [ "$(counter TlsDecryptError)" -eq "${before[2]}" ]
}

# A user-path connection is none of this worker's: it is closed, and the worker goes on.
refuses() {
  client refused && client refused && kill -0 "$worker"
}

# Whoever resets or sends nonsense harms nobody else.
survives() {
  local i
  for i in 1 2 3; do
    client bad || return 1
    client reset || return 1
  done
  client 1.3
}

has_new_keys() {
  grep -q 'new keys when receiving (KeyUpdate) *yes' "$work/probe"
}

prepare_daemon
"$SLUICE" probe >"$work/probe"
start_all
if [ "$(path_of TLS_AES_128_GCM_SHA256 auto)" = user ]; then
  ktap_plan 1
  # test: connections that the kernel does not encrypt are closed
  attempt "connections that the kernel does not encrypt are closed" refuses
  exit "$ktap_failed"
fi
ktap_plan 4
# test: TLS 1.3 is echoed, and close_notify answered
attempt "TLS 1.3 is echoed, and close_notify answered" client 1.3
# test: TLS 1.2 is echoed, and close_notify answered
attempt "TLS 1.2 is echoed, and close_notify answered" client 1.2
# test: a bad record gets its alert and harms nobody else
attempt "a bad record gets its alert and harms nobody else" survives
# test: keys change under checked traffic
if has_new_keys; then
  attempt "keys change under checked traffic" changes
else
  skip "keys change under checked traffic" "this kernel cannot change keys"
fi
exit "$ktap_failed"
