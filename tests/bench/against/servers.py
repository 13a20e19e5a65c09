# SPDX-License-Identifier: Apache-2.0
"""The servers that are compared: how each is set up for a cell, and why it cannot run where it cannot."""
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from .material import NGINX_FILES, nginx_user
from .processes import Process, family, free_port

SUITE = "TLS_AES_128_GCM_SHA256"
SUITES_TLS12 = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256"
TLS = {"tls12": SUITES_TLS12, "tls13": SUITE}
PEERS_MAY_TAKE = 4000  # connections at once, of every server whose default would be fewer
# Why a server does not run cells of a role that is not its own.
OTHER_ROLE = {"serve": "it passes connections on, and has no answers itself",
              "pass": "it passes no connections on"}


@dataclass
class Setting:
    """What a server is started for."""
    cell: object
    material: object
    build: Path
    cores: list  # of the server
    backend: int  # port, or None
    port: int = field(default_factory=free_port)

    def __post_init__(self):
        self.workers = len(self.cores)
        self.user = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name  # of sluice-relay
        base = self.material.work / self.cell.cert
        self.cert, self.key, self.both = f"{base}.pem", f"{base}.key", f"{base}.both"
        self.home = self.material.work / f"{self.port}"
        self.home.mkdir(mode=0o755)

    def write(self, name, text):
        path = self.home / name
        path.write_text(text)
        return path

    def run(self, name, argv, **options):
        return Process(argv, self.home / f"{name}.log", self.cores, **options)


class Server:
    """A kind of server. start() gives an instance that runs."""
    name = title = program = None
    ours = False
    roles = ()  # serve: has the files itself; pass: passes connections on to a backend
    kernel_path = False  # None: as the kernel can

    def __init__(self, setting):
        self.setting, self.processes, self.config = setting, [], None
        try:
            self.start(setting)
            self.processes[-1].until_listening(setting.port)
        except BaseException:
            self.stop()
            raise

    @classmethod
    def lacks(cls, cell, world):
        """Why it cannot run this cell here; None: it can."""
        if cell.role not in cls.roles:
            return OTHER_ROLE[cell.role]
        if cls.program and not shutil.which(cls.program):
            return f"{cls.program} is not installed"
        if cell.role == "pass" and not world.backend:
            return "nginx, the backend, is not installed"
        if cls.kernel_path and not world.kernel_tls:
            return "this kernel has no TLS"
        return cls.cannot(cell)

    @classmethod
    def cannot(cls, cell):
        return None

    @classmethod
    def version(cls, world):
        return None

    def start(self, setting):
        raise NotImplementedError

    def check(self):
        for process in self.processes:
            process.check()

    def pids(self):
        return family([p.pid for p in self.processes])

    def stop(self):
        for process in reversed(self.processes):
            process.stop()

    def commands(self):
        return [" ".join(p.argv) for p in self.processes]


def first_line(*argv):
    run = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return run.stdout.strip().splitlines()[0]


class SluiceServe(Server):
    name, title, ours, roles = "sluice-serve", "sluice serve", True, ("serve",)
    kernel_path = None
    path = "auto"

    @classmethod
    def version(cls, world):
        return first_line(world.build / "tools/sluice", "--version")

    def start(self, s):
        self.processes.append(s.run("serve", [
            s.build / "tools/sluice", "serve", "--listen", f"127.0.0.1:{s.port}", "--root", s.material.www,
            "--cert", s.cert, "--key", s.key, "--workers", s.workers,
            "--record-path", self.path, "--max-conns", PEERS_MAY_TAKE, "--idle-timeout", 600000, "--quiet"]))


class SluiceServeUser(SluiceServe):
    """Only where the other has the kernel's path."""
    name, title, path, kernel_path = "sluice-serve-user", "sluice serve, user path", "user", False

    @classmethod
    def lacks(cls, cell, world):
        return super().lacks(cell, world) or (None if world.kernel_tls else "is what sluice serve is here")


class Sluiced(Server):
    name, title, ours, roles = "sluiced", "sluiced + sluice-relay", True, ("pass",)
    kernel_path = None

    @classmethod
    def version(cls, world):
        return first_line(world.build / "daemon/sluiced", "--version")

    def start(self, s):
        self.config = CONF_SLUICED.format(s=s, most=PEERS_MAY_TAKE)
        daemon = s.run("sluiced", [s.build / "daemon/sluiced", "--config", s.write("sluiced.conf", self.config)])
        self.processes.append(daemon)
        daemon.until_listening(s.port)
        relay = [s.build / "daemon/sluice-relay", "--pool", s.home / "app.sock",
                 "--backend", f"127.0.0.1:{s.backend}", *(["--as", "nobody"] if os.geteuid() == 0 else [])]
        one_has_workers = "--workers" in subprocess.run([relay[0], "--help"], capture_output=True, text=True).stdout
        if one_has_workers:
            relay += ["--workers", s.workers]
        for i in range(1 if one_has_workers else s.workers):
            self.processes.append(s.run(f"relay-{i}", relay))
            self.processes[-1].until_said("connecting what comes")


CONF_SLUICED = """\
listeners:
  - {{name: web, address: "127.0.0.1:{s.port}", profile: default, pool: app}}
profiles:
  default: {{certfile: {s.cert}, keyfile: {s.key}, session_tickets: stateless}}
pools:
  app: {{socket: {s.home}/app.sock, users: [{s.user}], wait: 60000}}
limits: {{handshakers: {s.workers}, handshakes: {most}, per_source: {most}}}
log: {{level: warning}}
admin: {{socket: {s.home}/admin.sock}}
"""


class Nginx(Server):
    name = title = program = "nginx"
    roles = ("serve", "pass")
    ktls = ""

    @classmethod
    def version(cls, world):
        return first_line("nginx", "-v").removeprefix("nginx version: ")

    @classmethod
    def cannot(cls, cell):
        if cell.role == "pass" and cell.unit == "handshake":
            return "it connects to its backend only for a request: compared with the servers"
        return None

    def start(self, s):
        place = f"root {s.material.www};"
        if s.cell.role == "pass":
            place = "location / { proxy_pass http://backend; }"
        self.config = CONF_NGINX.format(**TLS, s=s, user=nginx_user(), files=NGINX_FILES, place=place,
                                        ktls=self.ktls, backend=s.backend or 1,
                                        most=PEERS_MAY_TAKE)
        self.processes.append(s.run("nginx", ["nginx", "-p", s.home, "-e", s.home / "error.log",
                                              "-c", s.write("nginx.conf", self.config)]))


class NginxKtls(Nginx):
    name, title = "nginx-ktls", "nginx, kTLS"
    ktls = "ssl_conf_command Options KTLS;"
    kernel_path = True


CONF_NGINX = """\
{user}
daemon off;
worker_processes {s.workers};
worker_rlimit_nofile 20000;
error_log stderr crit;
pid {s.home}/nginx.pid;
events {{ worker_connections {most}; }}
http {{
{files}
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  upstream backend {{ server 127.0.0.1:{backend}; keepalive 64; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{s.port} ssl backlog=4096;
    ssl_certificate {s.cert};
    ssl_certificate_key {s.key};
    ssl_protocols TLSv{s.cell.tls};
    ssl_ciphers {tls12};
    ssl_conf_command Ciphersuites {tls13};
    ssl_ecdh_curve X25519;
    {ktls}
    {place}
  }}
}}
"""


class Haproxy(Server):
    name, title, program = "haproxy", "HAProxy", "haproxy"
    roles = ("serve", "pass")

    @classmethod
    def version(cls, world):
        return first_line("haproxy", "-v")

    @classmethod
    def cannot(cls, cell):
        if cell.role == "serve" and cell.path not in ("/", "/small"):
            return "it serves no files; its answers must fit into a buffer of 16 KiB"
        return None

    def start(self, s):
        self.config = CONF_HAPROXY.format(**TLS, 
            s=s, mode="tcp" if s.cell.role == "pass" else "http", most=PEERS_MAY_TAKE,
            does="default_backend servers" if s.cell.role == "pass" else
            f"http-request return status 200 content-type application/octet-stream file {s.material.www}/small",
            servers=f"backend servers\n  server one 127.0.0.1:{s.backend}\n" if s.cell.role == "pass" else "")
        self.processes.append(s.run("haproxy", ["haproxy", "-db", "-f",
                                                s.write("haproxy.cfg", self.config)]))


CONF_HAPROXY = """\
global
  nbthread {s.workers}
  maxconn {most}
  ssl-default-bind-ciphers {tls12}
  ssl-default-bind-ciphersuites {tls13}

defaults
  mode {mode}
  option splice-auto
  timeout connect 10s
  timeout client 600s
  timeout server 600s
frontend tls
  bind 127.0.0.1:{s.port} backlog 4096 ssl crt {s.both} curves X25519 ssl-min-ver TLSv{s.cell.tls} ssl-max-ver TLSv{s.cell.tls}
  {does}
{servers}"""


class Hitch(Server):
    name = title = program = "hitch"
    roles = ("pass",)

    @classmethod
    def version(cls, world):
        return first_line("hitch", "--version")

    def start(self, s):
        self.config = CONF_HITCH.format(**TLS, s=s)
        self.processes.append(s.run("hitch", ["hitch", f"--config={s.write('hitch.conf', self.config)}"]))


CONF_HITCH = """\
frontend = {{ host = "127.0.0.1" port = "{s.port}" }}
backend = "[127.0.0.1]:{s.backend}"
pem-file = "{s.both}"
workers = {s.workers}
backlog = 4096
tls-protos = TLSv{s.cell.tls}
ciphersuites = "{tls13}"
ciphers = "{tls12}"
ecdh-curve = "X25519"
user = "nobody"
daemon = off
log-level = 1
"""


class Stunnel(Server):
    name, title, program = "stunnel", "stunnel", "stunnel4"
    roles = ("pass",)

    @classmethod
    def version(cls, world):
        return next(line for line in subprocess.run(["stunnel4", "-version"], capture_output=True,
                    text=True).stderr.splitlines() if line.startswith("stunnel "))

    def start(self, s):
        self.config = CONF_STUNNEL.format(**TLS, s=s)
        self.processes.append(s.run("stunnel", ["stunnel4", s.write("stunnel.conf", self.config)]))


CONF_STUNNEL = """\
foreground = yes
pid =
debug = 4
[bench]
accept = 127.0.0.1:{s.port}
connect = 127.0.0.1:{s.backend}
cert = {s.cert}
key = {s.key}
sslVersion = TLSv{s.cell.tls}
ciphers = {tls12}
ciphersuites = {tls13}
curves = X25519
"""


class Openssl(Server):
    name, title, program = "openssl", "openssl s_server -WWW", "openssl"
    roles = ("serve",)
    more = ()

    @classmethod
    def version(cls, world):
        return first_line("openssl", "version")

    @classmethod
    def cannot(cls, cell):
        if cell.keep_alive:
            return "it closes after each response"
        if cell.kind == "idle":
            return "it serves one connection at a time"
        if cell.servers_cores > 1:
            return "it has one thread"
        return None

    def start(self, s):
        self.processes.append(s.run("openssl", [
            "openssl", "s_server", "-accept", f"127.0.0.1:{s.port}", "-cert", s.cert, "-key", s.key, "-WWW",
            f"-tls{s.cell.tls.replace('.', '_')}", "-cipher", SUITES_TLS12, "-ciphersuites", SUITE,
            "-groups", "X25519", "-quiet", *self.more],
            cwd=s.material.www))


class OpensslKtls(Openssl):
    name, title, more = "openssl-ktls", "openssl s_server -WWW -ktls -sendfile", ("-ktls", "-sendfile")
    kernel_path = True


ALL = [SluiceServe, SluiceServeUser, Sluiced, Nginx, NginxKtls, Haproxy, Hitch, Stunnel, Openssl, OpensslKtls]
