#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A peer of sluiced that begins in its own way, for tests/daemon/accept.sh:

greet.py ask PORT CA HEADER [HOW]   TLS behind a header; prints the answer to a line
greet.py cuts PORT CA HEADER N      the same, in two pieces cut behind each of the first N bytes (0: of all)
greet.py raw PORT HEADER TEXT       the header and a text; prints what comes back
greet.py time PORT HEADER PIECE     the header (or what is before its first '+'), then PIECE once more every
                                    100 ms; prints the tenths of a second until the connection ends
greet.py hold PORT HEADER N         N connections with a header and no hello; prints how many are left open
                                    after half a second, then waits for its input's end
greet.py flood PORT N               N connections, each from another address of 127.0.0.0/8
greet.py burst PORT HEADER N TEXT   N connections, one after the other; prints how many got an answer

HOW is whole (one segment, the default), bytes (one byte at a time) or behind (the header alone first).
HEADER is a name of HEADERS below, or with `@` a text that Python reads as bytes; `none` is none. A leading
`IP!` connects from that address.
"""
import ast
import socket
import ssl
import struct
import sys
import time

TIMEOUT = 20
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def tlv(kind, value):
    return struct.pack("!BH", kind, len(value)) + value


def v2(family, source, destination, rest=b"", command=0x21, ports=(56324, 443)):
    kind = socket.AF_INET if family == 0x11 else socket.AF_INET6
    block = (socket.inet_pton(kind, source) + socket.inet_pton(kind, destination) +
             struct.pack("!HH", *ports) + rest)
    return SIGNATURE + struct.pack("!BBH", command, family, len(block)) + block


# As HAProxy sends them with send-proxy-v2-ssl-cn and proxy-v2-options authority,crc32c,unique-id.
TLVS = (tlv(0x01, b"h2") + tlv(0x02, b"localhost") + tlv(0x03, b"\x12\x34\x56\x78") +
        tlv(0x05, b"7f000001:dc04") + tlv(0x04, b"") +
        tlv(0x20, b"\x01\0\0\0\0" + tlv(0x21, b"TLSv1.3") + tlv(0x22, b"client.test")))

HEADERS = {
    "none": b"",
    "v1": b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n",
    "v1-ipv6": b"PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n",
    "v1-other": b"PROXY TCP4 192.0.2.77 198.51.100.2 56324 443\r\n",
    "v1-unknown": b"PROXY UNKNOWN\r\n",
    "v2": v2(0x11, "192.0.2.1", "198.51.100.2"),
    "v2-ipv6": v2(0x21, "2001:db8::1", "2001:db8::2"),
    "v2-tlvs": v2(0x11, "192.0.2.1", "198.51.100.2", TLVS),
    "v2-local": SIGNATURE + b"\x20\0\0\0",
    "v2-unix": SIGNATURE + b"\x21\x31\0\xd8" + bytes(216),
    "v2-huge": SIGNATURE + b"\x21\x11\xff\xff" + bytes(4096),
}


def header_of(name):
    """Returns the address to connect from, or None, and the bytes."""
    source = None
    if "!" in name:
        source, name = name.split("!", 1)
    if name.startswith("@"):
        return source, ast.literal_eval("b'" + name[1:] + "'")
    return source, HEADERS[name]


def connect(port, source=None):
    conn = socket.create_connection(("127.0.0.1", int(port)), TIMEOUT,
                                    (source, 0) if source else None)
    conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return conn


def send(conn, data, how):
    if how == "bytes":
        for i in range(len(data)):
            conn.sendall(data[i:i + 1])
            if i % 50 == 0:
                time.sleep(0.01)  # so that some are read alone
    else:
        conn.sendall(data)


class Client:
    """TLS over a socket of which the first bytes are sent as we like."""

    def __init__(self, ca):
        context = ssl.create_default_context(cafile=ca)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        self.hello = self.outgoing.read()

    def run(self, conn, call, *args):
        while True:
            try:
                result = call(*args)
                conn.sendall(self.outgoing.read())
                return result
            except ssl.SSLWantReadError:
                conn.sendall(self.outgoing.read())
                data = conn.recv(65536)
                if not data:
                    raise ConnectionError("the daemon ended the connection") from None
                self.incoming.write(data)

    def ask(self, conn):
        self.run(conn, self.tls.do_handshake)
        self.run(conn, self.tls.write, b"hello\n")
        text = b""
        while b"worker=" not in text or not text.endswith(b"\n"):
            text += self.run(conn, self.tls.read, 4096)
        return text.decode().splitlines()[-1]


def ask(port, ca, name, how="whole"):
    source, header = header_of(name)
    client = Client(ca)
    with connect(port, source) as conn:
        if how == "behind":
            conn.sendall(header)
            time.sleep(0.1)
            conn.sendall(client.hello)
        else:
            send(conn, header + client.hello, how)
        print(client.ask(conn))


def cuts(port, ca, name, count):
    source, header = header_of(name)
    total = len(header + Client(ca).hello)
    for cut in range(1, int(count) or total):
        client = Client(ca)
        data = header + client.hello
        with connect(port, source) as conn:
            conn.sendall(data[:cut])
            time.sleep(0.002)
            conn.sendall(data[cut:])
            answer = client.ask(conn)
        if "peer=192.0.2.1:56324 " not in answer:
            sys.exit(f"cut at {cut}: {answer}")
    print(f"{int(count) or total} cuts")


def rest_of(conn):
    text = b""
    try:
        while data := conn.recv(65536):
            text += data
    except ConnectionResetError:
        pass
    return text


def raw(port, name, text):
    source, header = header_of(name)
    with connect(port, source) as conn:
        try:
            conn.sendall(header + ast.literal_eval("b'" + text + "'"))
        except (BrokenPipeError, ConnectionResetError):
            pass
        print(rest_of(conn).decode(errors="replace").strip() or "nothing")


def time_until_end(port, name, piece):
    source, header = header_of(name)
    piece = ast.literal_eval("b'" + piece + "'")
    conn = connect(port, source)
    conn.settimeout(0.1)
    begin = time.monotonic()
    conn.sendall(header)
    while time.monotonic() - begin < TIMEOUT:
        try:
            if not conn.recv(4096):
                break
        except socket.timeout:
            pass
        except ConnectionResetError:
            break
        try:
            conn.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            break
    print(round((time.monotonic() - begin) * 10))


def is_open(conn):
    conn.setblocking(False)
    try:
        return bool(conn.recv(1))
    except BlockingIOError:
        return True
    except ConnectionResetError:
        return False


def hold(port, name, count):
    source, header = header_of(name)
    conns = []
    for _ in range(int(count)):
        conns.append(connect(port, source))
        conns[-1].sendall(header)
    time.sleep(0.5)
    print(sum(map(is_open, conns)), flush=True)
    sys.stdin.read()


def flood(port, count):
    for i in range(int(count)):
        address = f"127.{100 + i // 62500}.{i // 250 % 250}.{1 + i % 250}"
        with connect(port, address) as conn:
            conn.sendall(b"x")


def burst(port, name, count, text):
    source, header = header_of(name)
    got = 0
    for _ in range(int(count)):
        with connect(port, source) as conn:
            try:
                conn.sendall(header + ast.literal_eval("b'" + text + "'"))
            except (BrokenPipeError, ConnectionResetError):
                continue
            got += bool(rest_of(conn))
    print(got)


COMMANDS = {"ask": ask, "cuts": cuts, "raw": raw, "time": time_until_end, "hold": hold,
            "flood": flood, "burst": burst}

if __name__ == "__main__":
    try:
        COMMANDS[sys.argv[1]](*sys.argv[2:])
    except (OSError, ssl.SSLError) as error:
        print(f"failed: {error}")
