#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Programs at a service of sluiced that ask for what they cannot have: for tests/daemon/via.sh.

    via-abuse.py SOCKET WHAT PROFILE [PORT]

Ends with 1 and a line where the daemon's answer is not the one that is due.
"""
import os
import socket
import struct
import sys
import time

ATTACH, CREDIT, UPGRADE, UPGRADED = 1, 2, 6, 19
ERROR, TEXT, NAME, ROLE, ALPN, HOST, PLAIN = 1, 2, 7, 34, 42, 57, 68
CLIENT, SERVER = 1, 2
HANDSHAKE_TIMEOUT, INVALID, STATE, POLICY = 28, 70, 71, 75


def encode(kind, number, attributes):
    message = struct.pack("<BBHI", 1, kind, 0, number)
    for key, value in attributes.items():
        value = value.encode() if isinstance(value, str) else struct.pack("<Q", value)
        message += struct.pack("<HH", key, len(value)) + value
    return message


class Program:
    def __init__(self, path):
        self.channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.channel.settimeout(15)
        self.channel.connect(path)
        self.channel.send(encode(ATTACH, 0, {}))
        _, fds, _, _ = socket.recv_fds(self.channel, 4096, 4)
        self.keys = fds
        self.last = 0

    def send(self, message, fds):
        socket.send_fds(self.channel, [message], fds)

    def ask(self, attributes, fds):
        self.last += 1
        self.send(encode(UPGRADE, self.last, attributes), fds)
        return self.last

    def answer(self):
        """Returns the number of the request, the error, its text; None: the channel has ended."""
        try:
            message, fds, _, _ = socket.recv_fds(self.channel, 65536, 4)
        except ConnectionError:
            return None
        if not message:
            return None
        for fd in fds:
            os.close(fd)
        _, kind, _, number = struct.unpack_from("<BBHI", message)
        assert kind == UPGRADED, kind
        facts, at = {}, 8
        while at < len(message):
            key, length = struct.unpack_from("<HH", message, at)
            facts[key] = message[at + 4:at + 4 + length]
            at += 4 + length
        return number, int.from_bytes(facts.get(ERROR, b""), "little"), facts.get(TEXT, b"").decode()


def expect(program, error):
    answer = program.answer()
    if error is None:
        assert answer is None, f"an answer instead of the end: {answer}"
    else:
        assert answer and answer[1] == error and answer[2], f"{answer} instead of {error}"


class Silent:
    """A peer that says nothing."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))

    def connect(self):
        mine = socket.create_connection(self.listener.getsockname())
        return mine, self.listener.accept()[0]


def request(profile, **more):
    return {ROLE: CLIENT, NAME: profile, HOST: "localhost"} | more


def odd_socket(program, profile, fds, error=INVALID):
    program.ask(request(profile), fds)
    expect(program, error)


def udp():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect(("127.0.0.1", 9))
    return sock


def sockets(program, what, profile):
    mine, peer = Silent().connect()
    kinds = {
        "no-socket": lambda: [os.open("/dev/null", os.O_RDWR)],
        "no-descriptor": lambda: [],
        "two-descriptors": lambda: [mine.fileno(), mine.fileno()],
        "udp": lambda: [udp().detach()],
        "unix": lambda: [socket.socketpair()[0].detach()],
        "listening": lambda: [socket.create_server(("127.0.0.1", 0)).detach()],
        "unconnected": lambda: [socket.socket().detach()],
    }
    odd_socket(program, profile, kinds[what]())
    assert peer.fileno() >= 0


def twice(program, profile):
    mine, _peer = Silent().connect()
    program.ask(request(profile), [mine.fileno()])
    odd_socket(program, profile, [mine.fileno()], STATE)
    expect(program, HANDSHAKE_TIMEOUT)


def requests(program, what, profile):
    mine, _peer = Silent().connect()
    good = encode(UPGRADE, 1, request(profile))
    messages = {
        "no-role": (encode(UPGRADE, 1, {NAME: profile}), INVALID),
        "no-profile": (encode(UPGRADE, 1, {ROLE: CLIENT}), INVALID),
        "bad-host": (encode(UPGRADE, 1, request(profile) | {HOST: "a b\n"}), INVALID),
        "long-host": (encode(UPGRADE, 1, request(profile) | {HOST: "a" * 254}), INVALID),
        "server-host": (encode(UPGRADE, 1, request(profile) | {ROLE: SERVER}), INVALID),
        "cut-off": (good[:-1], INVALID),
        "oversized": (good + bytes(70000), None),
        "credit": (encode(CREDIT, 0, {}), None),
    }
    message, error = messages[what]
    program.send(message, [mine.fileno()])
    expect(program, error)


def share(program, profile):
    peer = Silent()
    pairs = [peer.connect() for _ in range(5)]
    for mine, _ in pairs:
        program.ask(request(profile), [mine.fileno()])
    errors = sorted(program.answer()[1] for _ in pairs)
    assert errors == [HANDSHAKE_TIMEOUT] * 3 + [POLICY] * 2, errors


def dies(program, path):
    mine, peer = Silent().connect()
    program.ask(request("outgoing"), [mine.fileno()])
    assert peer.recv(65536), "no ClientHello"
    program.channel.close()
    mine.close()
    begin = time.monotonic()
    peer.settimeout(8)
    while peer.recv(65536):
        pass
    assert time.monotonic() - begin < 5, "the handshake goes on without its program"


def deaf(program, profile):
    """Asks until the daemon does not listen any more; then all answers are there."""
    program.channel.setblocking(False)
    try:
        while program.last < 100000:
            program.ask({ROLE: CLIENT, NAME: "a" * 64}, [])
    except BlockingIOError:
        program.last -= 1
    assert program.last < 100000, "the daemon takes everything"
    program.channel.settimeout(15)
    numbers = [program.answer()[0] for _ in range(program.last)]
    assert numbers == list(range(1, program.last + 1)), "answers are missing"


def linger(program, profile):
    """close(2) of the last descriptor would wait an hour for a peer that reads nothing."""
    peer = Silent()
    ends = []
    for _ in range(4):
        mine, end = peer.connect()
        ends.append(end)
        mine.setblocking(False)
        try:
            while True:
                mine.send(bytes(65536))
        except BlockingIOError:
            pass
        program.ask(request(profile), [mine.fileno()])
        mine.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3600))
        mine.setblocking(True)
        mine.close()
    for _ in ends:
        expect(program, HANDSHAKE_TIMEOUT)
    time.sleep(0.5)
    for end in ends:
        end.close()


def plain(program, profile, port):
    mine = socket.create_connection(("127.0.0.1", port))
    program.ask(request(profile) | {PLAIN: 1}, [mine.fileno()])
    _, error, text = program.answer()
    print(f"{error} KTLS_UNAVAILABLE {text}" if error == 84 else f"{error} {text}")


def main():
    path, what, profile = sys.argv[1:4]
    program = Program(path)
    if what == "plain":
        plain(program, profile, int(sys.argv[4]))
    elif what in ("share", "twice", "deaf", "linger"):
        globals()[what](program, profile)
    elif what == "dies":
        dies(program, path)
    elif what in ("no-role", "no-profile", "bad-host", "long-host", "server-host", "cut-off",
                  "oversized", "credit"):
        requests(program, what, profile)
    else:
        sockets(program, what, profile)


if __name__ == "__main__":
    try:
        main()
    except AssertionError as error:
        sys.exit(f"# {sys.argv[2]}: {error}")
