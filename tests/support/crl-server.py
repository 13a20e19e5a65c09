# SPDX-License-Identifier: Apache-2.0
# A server of CRLs that behaves and misbehaves, for tests/flow/fetch*.c: serves the files of a
# directory, and what the paths below say; at the same port, by UDP, a name server. Prints "port N", then each request's path.
# Called as: crl-server.py DIRECTORY
import gzip
import http.server
import os
import socket
import socketserver
import struct
import sys
import threading
import time


def tell(*words):
    os.write(1, (" ".join(words) + "\n").encode())  # a line at a time


class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        cond = "If-None-Match" in self.headers or "If-Modified-Since" in self.headers
        tell(self.path, "conditional" if cond else "")
        kind, _, rest = self.path[1:].partition("/")
        {"slow": self.slow, "endless": self.endless, "headers": self.headers_only,
         "redirect": self.redirect, "to": self.to, "gzip": self.gzipped, "tag": self.tagged,
         "garbage": self.garbage, "hang": self.hang, "short": self.short,
         "http0": self.http0}.get(kind, lambda rest: http.server.SimpleHTTPRequestHandler.do_GET(self))(rest)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send(body[::-1], [("X-Type", self.headers["Content-Type"])])

    def send(self, body, headers=()):
        self.send_response(200)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def file(self, name):
        with open(os.path.join(self.directory, name), "rb") as f:
            return f.read()

    def slow(self, rest):  # slow/MILLISECONDS/FILE
        ms, _, name = rest.partition("/")
        time.sleep(int(ms) / 1000)
        self.send(self.file(name))

    def endless(self, rest):
        self.send_response(200)
        self.end_headers()
        while True:
            self.wfile.write(b"x" * 65536)

    def headers_only(self, rest):
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            self.wfile.write(b"X-More: " + b"y" * 1000 + b"\r\n")

    def redirect(self, rest):  # redirect/N/PATH: N times, then to it
        n, _, path = rest.partition("/")
        self.leave(f"/redirect/{int(n) - 1}/{path}" if int(n) > 1 else "/" + path)

    def to(self, rest):  # to/URL
        self.leave(rest)

    def leave(self, location):
        self.send_response(302)
        self.send_header("Location", location)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def gzipped(self, rest):  # a CRL, in the second half a bomb: 64 MiB of zeros
        self.send(gzip.compress(self.file(rest) if rest else bytes(64 << 20)),
                  [("Content-Encoding", "gzip")])

    def tagged(self, rest):
        if self.headers["If-None-Match"] == '"one"':
            self.send_response(304)
            self.send_header("ETag", '"one"')
            self.end_headers()
        else:
            self.send(self.file(rest), [("ETag", '"one"')])

    def garbage(self, rest):
        self.send(b"<html>not here</html>")

    def hang(self, rest):
        time.sleep(3600)

    def short(self, rest):
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        self.wfile.write(b"only this")
        self.close_connection = True

    def http0(self, rest):
        self.wfile.write(b"this is no HTTP\n")
        self.close_connection = True


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True

    def handle_error(self, request, address):
        pass  # clients leave those that misbehave


NAMES = {"here.test": ["127.0.0.1"], "private.test": ["10.0.0.1", "127.0.0.1"],
         "metadata.test": ["169.254.169.254"], "empty.test": []}


class Names(socketserver.BaseRequestHandler):
    """A name server for the names above; slow.test has no answer, others do not exist."""

    def handle(self):
        query, sock = self.request
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        name, kind = ".".join(labels).lower(), query[at + 1:at + 3]
        if name == "slow.test":
            return
        addresses = NAMES.get(name, []) if kind == b"\0\1" else []
        records = b"".join(b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4" + socket.inet_aton(a) for a in addresses)
        sock.sendto(query[:2] + struct.pack("!HHHHH", 0x8180 if name in NAMES else 0x8183, 1,
                                            len(addresses), 0, 0) + query[12:at + 5] + records,
                    self.client_address)


os.chdir(sys.argv[1])
server = Server(("127.0.0.1", 0), lambda *args: Handler(*args, directory=sys.argv[1]))
names = socketserver.ThreadingUDPServer(("127.0.0.1", server.server_port), Names)
names.daemon_threads = True
threading.Thread(target=names.serve_forever, daemon=True).start()
tell("port", str(server.server_port))
server.serve_forever()
