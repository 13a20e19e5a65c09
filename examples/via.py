#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A TLS client without a TLS library: sluiced makes the handshake and verifies the peer, the kernel makes
the records. GETs / of a host and prints the answer.

    via.py /run/sluice/tls.sock PROFILE HOST PORT

docs/protocol.md, "A program at a service", describes the messages."""
import os
import socket
import struct
import sys

ATTACH, UPGRADE, REKEY, CLIENT = 1, 6, 32, 1
ERROR, TEXT, NAME, SESSION, ROLE, EARLY, HOST, DIRECTION, PLAIN = 1, 2, 7, 32, 34, 51, 57, 60, 68
SOL_TLS, SET_RECORD_TYPE = 282, 1  # linux/tls.h
ALERT, HANDSHAKE, DATA, CLOSE_NOTIFY, KEY_UPDATE = 21, 22, 23, 0, 24


def ask(channel, kind, attributes, fd=None):
    """Sends a message; returns the answer: its attributes, its descriptors."""
    message = struct.pack("<BBHI", 1, kind, 0, 1)
    for number, value in attributes.items():
        value = value.encode() if isinstance(value, str) else struct.pack("<Q", value)
        message += struct.pack("<HH", number, len(value)) + value
    socket.send_fds(channel, [message], [] if fd is None else [fd])
    answer, fds, _, _ = socket.recv_fds(channel, 65536, 4, socket.MSG_CMSG_CLOEXEC)
    if len(answer) < 8 or answer[0] != 1:
        raise ConnectionError("the daemon is gone, or speaks another version")
    facts, at = {}, 8
    while at < len(answer):
        number, length = struct.unpack_from("<HH", answer, at)
        facts[number] = answer[at + 4:at + 4 + length]
        at += 4 + length
    if ERROR in facts or TEXT in facts:  # the second alone: REFUSED
        raise PermissionError(facts.get(TEXT, facts.get(ERROR)).decode(errors="replace"))
    return facts, fds


class Tls:
    """A connected socket of which the daemon makes TLS, and whose records the kernel makes."""

    def __init__(self, path, profile, sock, host):
        self.service = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.service.connect(path)
        self.keys = socket.socket(fileno=ask(self.service, ATTACH, {})[1][0])
        facts, fds = ask(self.service, UPGRADE,
                         {ROLE: CLIENT, NAME: profile, HOST: host, PLAIN: 1}, sock.fileno())
        os.close(fds[0])  # it is the socket that we have
        self.sock, self.early = sock, facts.get(EARLY, b"")
        for each in self.keys, sock:  # as they come they do not wait
            each.setblocking(True)
        self.session = int.from_bytes(facts[SESSION], "little")

    def recv(self):
        """Returns data, or nothing when the peer has ended in order."""
        data, self.early, kind = self.early, b"", DATA
        while not data or kind != DATA:
            data, control, _, _ = self.sock.recvmsg(16384, 64)
            kind = control[0][2][0] if control else DATA
            if not data:
                raise ConnectionError("cut off: no close_notify came")
            if kind == ALERT and data[1] != CLOSE_NOTIFY:
                raise ConnectionError(f"alert {data[1]}")
            if kind == ALERT:
                return b""
            while kind == HANDSHAKE and data:  # tickets are passed over
                if data[0] == KEY_UPDATE:
                    self.new_keys(0)
                if data[0] == KEY_UPDATE and data[4]:  # RFC 8446, 4.6.3: it asks for ours too
                    self.send(bytes([KEY_UPDATE, 0, 0, 1, 0]), HANDSHAKE)
                    self.new_keys(1)
                data = data[4 + int.from_bytes(data[1:4], "big"):]
        return data

    def new_keys(self, direction):
        ask(self.keys, REKEY, {SESSION: self.session, DIRECTION: direction}, self.sock.fileno())

    def send(self, data, kind=DATA):
        control = [] if kind == DATA else [(SOL_TLS, SET_RECORD_TYPE, bytes([kind]))]
        self.sock.sendmsg([data], control)

    def close(self):
        self.send(bytes([1, CLOSE_NOTIFY]), ALERT)
        self.sock.close()


def main(path, profile, host, port):
    tls = Tls(path, profile, socket.create_connection((host, port)), host)
    tls.send(f"GET / HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
    while data := tls.recv():
        sys.stdout.buffer.write(data)
    tls.close()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:5])
    except (OSError, TypeError) as error:
        sys.exit(f"via.py: {error}")
