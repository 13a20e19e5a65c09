#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A plain worker for tests: echo-worker.py SOCKET MODE [LOG]. Modes:

echo   sends back what comes, and ends when the peer has ended
first  says "hello", ends its direction, then reads on; logs how much came and how it ended
last   reads until the peer's end, then sends the number of bytes
hold   never acknowledges
stuck  acknowledges, writes to LOG, and never reads
slow   reads 64 KiB every 5 ms, and sends their number at the end
abort  reads one byte, sends 1 MB, and closes with the rest unread
flood  sends 20 MB and closes
quit   reads some bytes, sends some, and goes: of each connection other numbers, and another way
late   echoes, but looks at its channel only after a second
drain  echoes one connection, after MSG_DRAIN
"""
import itertools
import select
import socket
import sys
import threading
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))
import worker  # noqa: E402

LOG = open(sys.argv[3], "a", buffering=1) if len(sys.argv) > 3 else sys.stdout


def log(text):
    LOG.write(text + "\n")
    LOG.flush()


def echo(conn):
    while data := conn.recv(65536):
        conn.sendall(data)
    conn.shutdown(socket.SHUT_WR)


def ended_how(conn):
    """A stream that ended in order leaves our direction open; one that failed is closed."""
    poll = select.poll()
    poll.register(conn, 0)
    return "failed" if poll.poll(0) else "ended"


def count(conn, pause=0):
    n = 0
    try:
        while data := conn.recv(65536):
            n += len(data)
            time.sleep(pause)
    except ConnectionResetError:
        return n, "failed"
    return n, ended_how(conn)


def first(conn):
    conn.sendall(b"hello\n")
    conn.shutdown(socket.SHUT_WR)
    log(f"got {count(conn)[0]}")


def last(conn):
    n, how = count(conn)
    log(f"{how} after {n}")
    conn.sendall(f"{n}\n".encode())


def slow(conn):
    conn.sendall(f"{count(conn, 0.005)[0]}\n".encode())


def stuck(conn):
    log("stuck")
    time.sleep(3600)


def abort(conn):
    conn.recv(1)
    conn.sendall(b"x" * 1000000)


def flood(conn):
    log("flood")
    conn.sendall(b"x" * 20000000)


QUITS = itertools.count()


def quit(conn):
    n = next(QUITS)
    left = (0, 1, 16384, 100000)[n % 4]
    while left > 0 and (data := conn.recv(left)):
        left -= len(data)
    conn.sendall(b"x" * (0, 1, 300000)[n // 4 % 3])
    if n // 12 % 3 == 1:
        conn.shutdown(socket.SHUT_RDWR)
    elif n // 12 % 3 == 2:
        conn.shutdown(socket.SHUT_RD)


def run(function, pool, conn):
    try:
        with conn:
            function(conn)
    except OSError as error:
        log(f"error {error.errno}")
    try:
        pool.send(worker.CREDIT, count=1)
    except OSError:
        pass


def hold(pool):
    kept = []
    while True:
        kind, number, _, descriptors = pool.receive()
        if kind is None:
            return
        if kind == worker.CONNECTION:
            kept += descriptors
            log(f"holding {number}")


def main():
    pool = worker.Pool(sys.argv[1])
    mode = sys.argv[2]
    pool.send(worker.CREDIT, count=2 if mode == "drain" else 1000)
    log("attached")
    if mode == "hold":
        hold(pool)
        return
    if mode == "late":
        time.sleep(1)
    function = {"drain": echo, "late": echo}.get(mode) or globals()[mode]
    for conn, _ in pool.connections():
        if mode == "drain":
            pool.send(worker.DRAIN)
        threading.Thread(target=run, args=(function, pool, conn), daemon=True).start()


main()
