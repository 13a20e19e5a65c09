#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# sluice-relay in bad weather: workers that go at any moment or break the protocol, more connections than
# descriptors, no io_uring. Nobody else notices, and nothing is left behind.
# shellcheck disable=SC2317,SC2154 # the functions are called by the harness; variables of relay-lib.sh
set -euo pipefail
# shellcheck source=tests/daemon/relay-lib.sh
. "$(dirname "$0")/relay-lib.sh"

files() {
  find "/proc/$relay/fd" -mindepth 1 | wc -l
}

files_are() {
  local i
  for ((i = 0; i < 100; i++)); do
    [ "$(files)" != "$1" ] || return 0
    sleep 0.05
  done
  say "the relay has $(files) descriptors, not $1"
  return 1
}

# counted COMMAND...: leaves the relay with the descriptors that it had.
counted() {
  local before
  before=$(files)
  "$@" && files_are "$before"
}

# 72 connections whose worker goes, at 36 moments: each ends, one way or the other.
quits() {
  python3 - "$listen" "$work/ca.pem" <<-'END'
	import socket, ssl, sys, threading
	context = ssl.create_default_context(cafile=sys.argv[2])
	context.verify_flags &= ~ssl.VERIFY_X509_STRICT # the CA is a short one
	ended = []
	def client():
	    raw = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=10)
	    try:
	        with context.wrap_socket(raw, server_hostname="localhost") as conn:
	            def send():
	                try:
	                    conn.sendall(b"y" * 200000)
	                except OSError:
	                    pass
	            sender = threading.Thread(target=send)
	            sender.start()
	            while conn.recv(65536):
	                pass
	            sender.join()
	    except TimeoutError:
	        return
	    except OSError:
	        pass
	    ended.append(1)
	for _ in range(6):
	    clients = [threading.Thread(target=client) for _ in range(12)]
	    for thread in clients:
	        thread.start()
	    for thread in clients:
	        thread.join()
	if len(ended) != 72:
	    sys.exit(f"# {len(ended)} of 72 ended")
	END
}

# wrap WORDS: a program that runs the relay behind them.
wrap() {
  printf '#!/bin/sh\n%s "%s" "$@"\n' "$1" "$RELAY" >"$work/wrapped"
  chmod +x "$work/wrapped"
}

# With descriptors for a few, 40 clients are served one after the other.
few_files() {
  local relay worker result=0
  wrap 'ulimit -n 70; exec'
  RELAY=$work/wrapped start_relay relay && start_worker relay echo || return 1
  python3 - "$listen" "$work/ca.pem" <<-'END' || result=1
	import socket, ssl, sys, threading, time
	context = ssl.create_default_context(cafile=sys.argv[2])
	context.verify_flags &= ~ssl.VERIFY_X509_STRICT # the CA is a short one
	served = []
	def client():
	    raw = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=20)
	    with context.wrap_socket(raw, server_hostname="localhost") as conn:
	        conn.sendall(b"word")
	        if conn.recv(4) == b"word":
	            time.sleep(0.2)
	            served.append(1)
	clients = [threading.Thread(target=client) for _ in range(40)]
	for thread in clients:
	    thread.start()
	for thread in clients:
	    thread.join()
	if len(served) != 40:
	    sys.exit(f"# {len(served)} of 40 were served")
	END
  kill -0 "$relay" || result=1
  stop "$worker"
  stop "$relay"
  return "$result"
}

# Plain workers that break the protocol are dropped, one that floods its channel included; others notice nothing.
rude() {
  python3 - "$work/relay.sock" <<-'END' || return 1
	import socket, struct, sys
	def head(kind, number=0):
	    return struct.pack("<BBHI", 1, kind, 0, number)
	def credit(count):
	    return head(2) + struct.pack("<HHQ", 6, 8, count)
	lies = {
	    "another version": [b"\2" + head(1)[1:]],
	    "a short head": [b"\1\1"],
	    "no ATTACH": [credit(1)],
	    "ATTACH twice": [head(1), head(1)],
	    "no credit": [head(1), credit(0)],
	    "credits out of range": [head(1), credit(100000), credit(1)],
	    "ACK of nothing": [head(1), head(3, 7)],
	    "a daemon's message": [head(1), head(16)],
	    "too long": [head(1), b"\1\2" + bytes(65537)],
	    "a flood": [head(1)] + [credit(1)] * 100001,
	}
	for name, messages in lies.items():
	    channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
	    channel.settimeout(10)
	    channel.connect(sys.argv[1])
	    try:
	        for message in messages:
	            channel.send(message)
	        while channel.recv(1000):
	            pass
	    except TimeoutError:
	        sys.exit(f"# {name}: the channel stays")
	    except OSError:
	        pass
	END
  connect <"$work/www/text" >"$work/out" 2>"$work/out.err" && same "$work/www/text" "$work/out" "after all"
}

# Where a ring is forbidden data goes by epoll.
no_ring() {
  local worker result=0 relay
  wrap 'exec strace -D -qq -o /dev/null -e trace=io_uring_setup -e inject=io_uring_setup:error=EPERM'
  RELAY=$work/wrapped start_relay relay && start_worker relay echo || return 1
  grep -q 'no io_uring (Operation not permitted)' "$work/relay.log" || result=1
  grep -q 'by epoll' "$work/relay.log" || result=1
  [ "$result" = 0 ] || say "$(cat "$work/relay.log")"
  echo_all || result=1
  stop "$worker"
  stop "$relay"
  return "$result"
}

prepare
chmod 711 "$work" # of sockets that another user may connect to
start_daemon
ktap_plan 7
# test: 1,000 connections at once leave no descriptor
attempt "1,000 connections at once leave no descriptor" with_worker echo counted many 1000
# test: workers that go at any moment leave no descriptor
attempt "workers that go at any moment leave no descriptor" with_worker quit counted quits
# test: a relay with few descriptors serves all, one after the other
attempt "a relay with few descriptors serves all, one after the other" few_files
# test: plain workers that break the protocol harm nobody
attempt "plain workers that break the protocol harm nobody" with_worker echo rude
# test: without a ring data goes by epoll
if command -v strace >/dev/null; then
  attempt "without a ring data goes by epoll" no_ring
else
  skip "without a ring data goes by epoll" "strace is not installed"
fi
# The same by epoll, in what differs.
by_epoll() {
  local io=(--io epoll)
  with_worker "$@"
}

# test: by epoll: 10 MB there and back, with new keys
attempt "by epoll: 10 MB there and back, with new keys" by_epoll echo key_updates
# test: by epoll: workers that go at any moment leave no descriptor
attempt "by epoll: workers that go at any moment leave no descriptor" by_epoll quit counted quits
exit "$ktap_failed"
