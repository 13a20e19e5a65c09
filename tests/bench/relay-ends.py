#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Both ends of what tests/bench/relay measures.

relay-ends.py far pair|tcp|unix WHERE    a plain worker at a relay's socket, or a server at a port or path
relay-ends.py bulk PORT CA UP DOWN       4 connections, so many bytes each way in each
relay-ends.py words PORT CA COUNT        200 connections, each with a word of 100 bytes on its way at a time

A connection begins with two numbers: how many bytes its far end is to take, and how many to send, at once;
without any it sends back what comes. The last two print what went through the relay: bytes, or words.
"""
import socket
import ssl
import struct
import sys
import threading
from pathlib import Path

CHUNK = 1 << 18


def exactly(conn, n):
    data = b""
    while len(data) < n:
        more = conn.recv(n - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def take(conn, n):
    buf = bytearray(CHUNK)
    while n > 0:
        got = conn.recv_into(buf, min(CHUNK, n))
        if not got:
            raise EOFError
        n -= got


def give(conn, n):
    data = bytes(CHUNK)
    while n > 0:
        conn.sendall(data[: min(CHUNK, n)])
        n -= CHUNK


def both(conn, to_take, to_give):
    other = threading.Thread(target=give, args=(conn, to_give))
    other.start()
    take(conn, to_take)
    other.join()


def serve(conn):
    try:
        to_take, to_give = struct.unpack("!QQ", exactly(conn, 16))
        if to_take or to_give:
            both(conn, to_take, to_give)
        while data := conn.recv(CHUNK):
            conn.sendall(data)
    except (EOFError, OSError):
        pass
    conn.close()


def connections(kind, where):
    if kind == "pair":
        sys.dont_write_bytecode = True
        sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
        import worker

        pool = worker.Pool(where)
        pool.send(worker.CREDIT, count=1000)
        for conn, _ in pool.connections():
            yield conn
        return
    server = socket.create_server(("127.0.0.1", int(where)), backlog=1000) if kind == "tcp" else socket.socket(socket.AF_UNIX)
    if kind == "unix":
        server.bind(where)
        server.listen(1000)
    while True:
        yield server.accept()[0]


def far(kind, where):
    for conn in connections(kind, where):
        threading.Thread(target=serve, args=(conn,), daemon=True).start()


def connect(port, ca):
    context = ssl.create_default_context(cafile=ca)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # the CA is a short one
    raw = socket.create_connection(("127.0.0.1", int(port)), timeout=60)
    return context.wrap_socket(raw, server_hostname="localhost")


def bulk_one(port, ca, up, down):
    conn = connect(port, ca)
    conn.sendall(struct.pack("!QQ", up, down))
    both(conn, down, up)
    conn.unwrap().close() # what was sent has come


def bulk(port, ca, up, down):
    threads = [threading.Thread(target=bulk_one, args=(port, ca, int(up), int(down))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(4 * (int(up) + int(down)))


def words(port, ca, count):
    conns = [connect(port, ca) for _ in range(200)]
    for conn in conns:
        conn.sendall(bytes(16))
    for _ in range(int(count)):
        for conn in conns:
            conn.sendall(b"x" * 100)
        for conn in conns:
            exactly(conn, 100)
    for conn in conns:
        conn.unwrap().close()
    print(2 * len(conns) * int(count))


{"far": far, "bulk": bulk, "words": words}[sys.argv[1]](*sys.argv[2:])
