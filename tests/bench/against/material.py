# SPDX-License-Identifier: Apache-2.0
"""What every server gets: the same certificates, the same files, one backend."""
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from .processes import Process, free_port

SMALL = 1024
MIDDLE = 65536


def openssl(*args, **options):
    return subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True, text=True, **options)


class Material:
    """A directory with ca.pem, NAME.pem, NAME.key, NAME.both of ec and rsa, and www with the files."""

    def __init__(self, work, big):
        self.work = Path(work)
        self.www = self.work / "www"
        self.www.mkdir()
        self.work.chmod(0o755)  # servers that give up root read from it
        self.ca = self.work / "ca.pem"
        self.sums, self.sizes = {}, {}
        self.make_certificates()
        for name, size in (("small", SMALL), ("middle", MIDDLE), ("big", big)):
            self.make_file(name, size)

    def make_certificates(self):
        key = self.work / "ca.key"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 2,
                "-subj", "/CN=bench CA", "-keyout", key, "-out", self.ca)
        for name, kind in (("ec", ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]), ("rsa", ["rsa:2048"])):
            base = self.work / name
            openssl("req", "-newkey", *kind, "-nodes", "-subj", "/CN=localhost",
                    "-keyout", f"{base}.key", "-out", f"{base}.csr")
            Path(f"{base}.ext").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
            openssl("x509", "-req", "-in", f"{base}.csr", "-CA", self.ca, "-CAkey", key, "-days", 2,
                    "-set_serial", f"0x{os.urandom(8).hex()}", "-extfile", f"{base}.ext", "-out", f"{base}.pem")
            Path(f"{base}.both").write_text(Path(f"{base}.pem").read_text() + Path(f"{base}.key").read_text())

    def make_file(self, name, size):
        total = hashlib.sha256()
        with (self.www / name).open("wb") as f:
            while size > 0:
                piece = os.urandom(min(size, 1 << 20))
                f.write(piece)
                total.update(piece)
                size -= len(piece)
            self.sizes[name] = f.tell()
        self.sums[name] = total.hexdigest()

    def start_backend(self, cores):
        """nginx without TLS; what all that pass connections on pass them on to. None: there is no nginx."""
        if not shutil.which("nginx"):
            return None, None
        port = free_port()
        conf = self.work / "backend.conf"
        conf.write_text(BACKEND.format(work=self.work, port=port, www=self.www, user=nginx_user()))
        process = Process(["nginx", "-p", self.work, "-e", self.work / "backend.log", "-c", conf],
                          self.work / "backend.log", cores)
        process.until_listening(port)
        return process, port


def nginx_user():
    return "user root;" if os.geteuid() == 0 else ""


# Both nginx, the backend and the one with TLS, send files as nginx's documentation says.
NGINX_FILES = """\
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
  open_file_cache max=100;
  default_type application/octet-stream;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
"""

BACKEND = """\
{user}
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
error_log stderr crit;
pid {work}/backend.pid;
events {{ worker_connections 16000; }}
http {{
""" + NGINX_FILES + """\
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    root {www};
  }}
}}
"""
