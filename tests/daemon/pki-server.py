# SPDX-License-Identifier: Apache-2.0
# What a CA has on the web, for tests/daemon/fetch.sh: GET gives a file of DIRECTORY with an ETag, POST an OCSP
# response by openssl(1) and the CA's index. The file DIRECTORY/mode says how it behaves: good, garbage, error,
# slow, older. Every request is a line: its path and the status.
# Called as: pki-server.py PORT DIRECTORY
import hashlib
import http.server
import os
import subprocess
import sys
import threading
import time

port, home = int(sys.argv[1]), sys.argv[2]
os.chdir(home)
lock = threading.Lock()  # of the files below


def read(name):
    with open(name, "rb") as f:
        return f.read()


def respond(request):
    with open("request.der", "wb") as f:
        f.write(request)
    subprocess.run(["openssl", "ocsp", "-index", "index.txt", "-CA", "ca.pem", "-rsigner", "ca.pem", "-rkey", "ca.key",
                    "-reqin", "request.der", "-respout", "response.der", "-nmin", "60"], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return read("response.der")


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def answer(self, make):
        mode = read("mode").decode().strip()
        if mode == "slow":
            time.sleep(5)
        status, body = 200, b"<html>not here</html>"
        if mode == "error":
            status = 503
        elif mode != "garbage":
            body = make()
        tag = '"' + hashlib.sha256(body).hexdigest() + '"'
        if self.headers["If-None-Match"] == tag:
            status, body = 304, b""
        os.write(1, f"{self.command} {self.path} {status}\n".encode())
        self.send_response(status)
        self.send_header("ETag", tag)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer(lambda: read(self.path[1:]))

    def do_POST(self):
        request = self.rfile.read(int(self.headers["Content-Length"]))
        with lock:
            body = respond(request)
        self.answer(lambda: body)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request, address):
        pass  # who has no patience leaves


server = Server(("127.0.0.1", port), Handler)
os.write(1, b"serves\n")
server.serve_forever()
