#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A plain worker of sluiced: gets connections from sluice-relay and answers GET / with what is known
of them. Their TLS is made elsewhere; what arrives here is an ordinary socket.

    worker.py /run/sluice/plain.sock

docs/protocol.md describes the messages.
"""
import array
import socket
import struct
import sys
import threading

AT_ONCE = 256  # connections that we have room for

ATTACH, CREDIT, ACK, DRAIN, ENDED = 1, 2, 3, 4, 5
WELCOME, CONNECTION, REFUSED = 16, 17, 18

COUNT = 6
TEXTS = {2: "text", 41: "sni", 42: "alpn", 52: "listener", 53: "pool", 57: "host", 58: "local",
         59: "peer"}
NUMBERS = {1: "error", 6: "count", 32: "session", 35: "version", 36: "suite", 37: "group",
           39: "resumed", 43: "peer_verified", 46: "rx_path", 47: "tx_path", 54: "handshake_us"}
BYTES = {45: "peer_sha256"}


class Pool:
    """A worker's end of the protocol: one message is one datagram."""

    def __init__(self, path):
        self.channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.channel.connect(path)
        self.lock = threading.Lock()
        try:
            self.send(ATTACH)
        except BrokenPipeError:
            pass  # a refusal is there already
        kind, _, facts, _ = self.receive()
        if kind == REFUSED:
            raise PermissionError(facts.get("text", "refused"))
        if kind != WELCOME:
            raise ConnectionError("this is no pool")

    def send(self, kind, number=0, **attributes):
        """Sends a message: a head of eight bytes, then attributes of a type, a length, a value."""
        message = struct.pack("<BBHI", 1, kind, 0, number)
        if "count" in attributes:
            message += struct.pack("<HHQ", COUNT, 8, attributes["count"])
        with self.lock:
            self.channel.send(message)

    def receive(self):
        """Returns the next message: its type, its number, what it says, its descriptors."""
        room = socket.CMSG_SPACE(4 * array.array("i").itemsize)
        message, control, _, _ = self.channel.recvmsg(65536, room, socket.MSG_CMSG_CLOEXEC)
        if not message:
            return None, 0, {}, []
        descriptors = array.array("i")
        for level, kind, data in control:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                descriptors.frombytes(data[:len(data) - len(data) % descriptors.itemsize])
        version, kind, zero, number = struct.unpack_from("<BBHI", message)
        if version != 1 or zero:
            raise ConnectionError("another version")
        return kind, number, facts_of(message[8:]), list(descriptors)

    def connections(self):
        """Yields sockets and what is known of them, until the relay is gone."""
        while True:
            kind, number, facts, descriptors = self.receive()
            if kind is None:
                return
            if kind == CONNECTION:
                self.send(ACK, number)
                yield socket.socket(fileno=descriptors[0]), facts
            elif kind == ENDED:  # not in order: its socket says so too
                print(f"session {facts.get('session')}: {facts.get('text')}", file=sys.stderr)


def facts_of(attributes):
    """Unknown attributes are passed over: a later version has more."""
    facts, at = {}, 0
    while at < len(attributes):
        kind, length = struct.unpack_from("<HH", attributes, at)
        value = attributes[at + 4:at + 4 + length]
        at += 4 + length
        if kind in NUMBERS:
            facts[NUMBERS[kind]] = int.from_bytes(value, "little")
        elif kind in TEXTS:
            facts[TEXTS[kind]] = value.decode(errors="replace")
        elif kind in BYTES:
            facts[BYTES[kind]] = value.hex()
    return facts


def answer(conn, facts):
    """One request, one response."""
    head = b""
    while b"\r\n\r\n" not in head and len(head) < 65536:
        more = conn.recv(4096)
        if not more:
            return
        head += more
    if head.startswith(b"GET / "):
        status = "200 OK"
        body = "".join(f"{name}: {value}\n" for name, value in facts.items())
    else:
        status, body = "404 Not Found", "only / is here\n"
    data = body.encode()
    conn.sendall(f"HTTP/1.0 {status}\r\nContent-Type: text/plain; charset=utf-8\r\n"
                 f"Content-Length: {len(data)}\r\n\r\n".encode() + data)


def serve(pool, conn, facts):
    """A connection of its own thread; its end makes room for another."""
    try:
        with conn:
            answer(conn, facts)
    except OSError as error:
        print(f"session {facts.get('session')}: {error}", file=sys.stderr)
    try:
        pool.send(CREDIT, count=1)
    except OSError:
        pass  # the relay is gone


def main():
    pool = Pool(sys.argv[1])
    pool.send(CREDIT, count=AT_ONCE)
    for conn, facts in pool.connections():
        threading.Thread(target=serve, args=(pool, conn, facts), daemon=True).start()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: worker.py SOCKET")
    main()
