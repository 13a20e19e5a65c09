# SPDX-License-Identifier: Apache-2.0
"""The load: `sluice bench` for everything, `openssl s_time` besides for handshakes, idle connections."""
import http.client
import json
import re
import socket
import ssl
import subprocess

from .processes import Broken, Process, tail

SUITE = {"1.3": "TLS_AES_128_GCM_SHA256",
         "1.2": "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"}


class Client:
    """The same for all servers: its cores, its program, its limits."""

    def __init__(self, build, material, cores, timeout=60):
        self.build, self.material, self.cores, self.timeout = build, material, cores, timeout
        self.threads = max(1, min(3, len(cores)))
        self.command = None  # the last that was run

    def run(self, argv, seconds):
        self.command = " ".join(map(str, argv))
        log = self.material.work / "client.log"
        log.unlink(missing_ok=True)
        client = Process(argv, log, self.cores)
        try:
            return client.popen.wait(seconds), log
        except subprocess.TimeoutExpired:
            raise Broken(f"no end after {seconds} s: {self.command}: {tail(log)}") from None
        finally:
            client.stop()

    def bench(self, cell, port, *, count, connections=None):
        """Loads a server; the report of `sluice bench`, in which nothing may have failed."""
        out = self.material.work / "client.json"
        out.unlink(missing_ok=True)
        connections = connections or cell.connections
        argv = [self.build / "tools/sluice", "bench", f"127.0.0.1:{port}", "--mode", cell.kind,
                "--connections", connections, "--threads", min(self.threads, connections),
                "--servername", "localhost", "--cacert", self.material.ca, f"--tls{cell.tls}",
                "--ciphers", SUITE[cell.tls], "--groups", "x25519,secp256r1", "--record-path", "user",
                "--timeout", 1000 * self.timeout, "--json", out, "--quiet"]
        if cell.kind in ("request", "download"):
            argv += ["--path", cell.path, "--size", self.material.sizes[cell.file],
                     "--verify-body", self.material.sums[cell.file]]
        if cell.keep_alive:
            argv += ["--keep-alive"]
        argv += ["--count", count]
        status, log = self.run(argv, 10 * self.timeout)
        try:
            report = json.loads(out.read_text())
        except (OSError, ValueError):
            raise Broken(f"status {status}, no report: {self.command}: {tail(log)}") from None
        if status or report["errors"]["total"] or not report["operations"]["ok"]:
            errors = "; ".join(f"{e['count']} x {e['name']}: {e['text']}" for e in report["errors"]["kinds"])
            raise Broken(f"status {status}, {report['operations']['ok']} ok, {errors}: {self.command}: {tail(log)}")
        return report

    def fail(self):
        """A load of nobody: what a client does without one."""
        self.run([self.build / "tools/sluice", "bench", "127.0.0.1:1", "--count", self.threads, "--threads",
                  self.threads, "--connections", self.threads, "--record-path", "user", "--insecure", "--quiet"],
                 self.timeout)

    def s_time(self, cell, port, seconds):
        """Full handshakes by another library; how many, or Broken."""
        logs = [self.material.work / f"s_time.{i}" for i in range(2 * self.threads)]
        for log in logs:
            log.unlink(missing_ok=True)
        argv = ["openssl", "s_time", "-connect", f"127.0.0.1:{port}", "-new", "-time", max(1, round(seconds)),
                "-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256", "-CAfile", self.material.ca]
        self.command = " ".join(map(str, argv)) + f" ({len(logs)} processes)"
        clients = [Process(argv, log, self.cores) for log in logs]
        total, longest = 0, 0
        try:
            for client in clients:
                status = client.popen.wait(seconds + self.timeout)
                said = re.search(r"(\d+) connections in (\d+) real seconds", client.log.read_text())
                if status or not said:
                    raise Broken(f"status {status}: {self.command}: {tail(client.log)}")
                total += int(said[1])
                longest = max(longest, int(said[2]))
        except subprocess.TimeoutExpired:
            raise Broken(f"no end: {self.command}") from None
        finally:
            for client in clients:
                client.stop()
        return {"operations": total, "seconds": max(1, round(seconds))}

    def look(self, cell, port):
        """What another library finds: key type of the certificate and tickets of a full handshake."""
        argv = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", "localhost",
                "-CAfile", self.material.ca, "-verify_return_error", "-verify_hostname", "localhost",
                f"-tls{cell.tls.replace('.', '_')}", "-ign_eof"]
        argv = list(map(str, argv))
        try:
            run = subprocess.run(argv, input=b"GET /small HTTP/1.0\r\n\r\n", capture_output=True,
                                 timeout=self.timeout)
        except subprocess.TimeoutExpired:
            raise Broken(f"no end: {' '.join(argv)}") from None
        text = run.stdout.decode(errors="replace")
        if "Verify return code: 0 (ok)" not in text:
            raise Broken(f"{' '.join(argv)}: {run.stderr.decode(errors='replace').strip()[-300:]}")
        bits = re.search(r"Server public key is (\d+) bit", text)
        return {"key_bits": int(bits[1]) if bits else None,
                "tickets": text.count("Post-Handshake New Session Ticket arrived")}


class Idle:
    """Connections that have asked once, got the right answer, and wait."""

    def __init__(self, material, port, cell):
        self.connections = []
        context = ssl.create_default_context(cafile=material.ca)
        context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)  # the CA is a short one
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_3
        self.context, self.material, self.port, self.cell = context, material, port, cell

    def open(self, n):
        want = (self.material.www / self.cell.file).read_bytes()
        for i in range(n):
            try:
                self.open_one(want)
            except (OSError, http.client.HTTPException) as failure:
                raise Broken(f"connection {i + 1} of {n}: {failure!r}") from None

    def open_one(self, want):
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = http.client.HTTPConnection("localhost")
        connection.sock = self.context.wrap_socket(raw, server_hostname="localhost")
        connection.auto_open = 0
        self.connections.append(connection)
        connection.request("GET", self.cell.path)
        if connection.getresponse().read() != want:
            raise Broken(f"other bytes than those of {self.cell.file}")

    def check(self):
        """None has ended, and nothing came that was not asked for."""
        for connection in self.connections:
            connection.sock.setblocking(False)
            try:
                raise Broken(f"an idle connection got {connection.sock.recv(1)!r}")
            except ssl.SSLWantReadError:
                pass

    def close(self):
        for connection in self.connections:
            connection.close()
        self.connections = []
