#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# A client that keeps TLS connections to a server that echoes. Each line of standard input sends a word on those that
# are open, and tells how many of them answered and how many are gone; at its end all are ended in order.
# Usage: hold.py PORT CA-FILE COUNT
import socket, ssl, sys, threading

port, ca, count = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
context = ssl.create_default_context(cafile=ca)
context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # the CA is a short one
conns = []


def answers(conn):
    try:
        conn.sendall(b"word\n")
        got = b""
        while len(got) < 5:
            data = conn.recv(5 - len(got))
            if not data:
                return False
            got += data
        return got == b"word\n"
    except OSError:
        return False


def who_answer():
    """In a thread each: OpenSSL keeps the errors of one connection for the next call of its thread."""
    found = []
    for conn in conns:
        thread = threading.Thread(target=lambda: answers(conn) and found.append(conn))
        thread.start()
        thread.join()
    return found


for _ in range(count):
    raw = socket.create_connection(("127.0.0.1", port), timeout=20)
    conns.append(context.wrap_socket(raw, server_hostname="localhost"))
print("open", flush=True)
while sys.stdin.readline():
    before = len(conns)
    conns = who_answer()
    print(f"{len(conns)} answered {before - len(conns)} gone", flush=True)
for conn in conns:
    conn.unwrap().close()
print("ended", flush=True)
