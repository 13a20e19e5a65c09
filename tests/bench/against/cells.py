# SPDX-License-Identifier: Apache-2.0
"""What is measured. A cell is one load for all servers of a role."""
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Cell:
    name: str
    title: str
    kind: str  # handshake, resume, request, download or idle
    unit: str  # what processor time is counted for: handshake, request, byte, connection
    role: str = "serve"  # or pass: connections are passed on to a backend
    path: str = "/"
    keep_alive: bool = False
    connections: int = 16
    cert: str = "ec"
    tls: str = "1.3"
    client: str = "sluice bench"  # or openssl s_time
    servers_cores: int = 1

    @property
    def file(self):
        """The name of the file that is asked for, None: it is none."""
        return self.path[1:] or None

    @property
    def leaves_out(self):
        """Whether connections are made that its unit does not count: what they cost is measured, and left out."""
        return self.keep_alive or self.kind == "resume"


def handshakes(name, more, role):
    full = Cell(name, f"full handshake, P-256{more}", "handshake", "handshake", role=role, connections=32)
    yield full
    if role == "serve":
        yield replace(full, name=f"{name}-s_time", title=f"{full.title}, `openssl s_time` as client",
                      client="openssl s_time")
        yield replace(full, name=f"{name}-rsa", title=f"full handshake, RSA-2048{more}", cert="rsa")
        yield replace(full, name=f"{name}-tls1.2", title=f"{full.title}, TLS 1.2", tls="1.2")
    yield replace(full, name=f"{name}-resumed", title=f"resumed handshake{more}", kind="resume")


def transfers(name, title, role):
    small = Cell(f"{name}-small", f"{title}, 1 KiB, keep-alive", "request", "request", role=role, path="/small",
                 keep_alive=True)
    yield small
    yield replace(small, name=f"{name}-64k", title=f"{title}, 64 KiB, keep-alive", path="/middle")
    big = Cell(f"{name}-big", f"{title}, large", "download", "byte", role=role, path="/big", connections=4)
    yield big
    yield replace(big, name=f"{name}-big-tls1.2", title=f"{title}, large, TLS 1.2", tls="1.2")


ALL = [
    *handshakes("handshake", "", "serve"),
    *transfers("file", "file", "serve"),
    Cell("idle", "idle connection", "idle", "connection", path="/small", connections=1000),
    *handshakes("pass-handshake", ", and a connection to the backend", "pass"),
    *transfers("pass", "file, passed on", "pass"),
    Cell("pass-idle", "idle connection, passed on", "idle", "connection", role="pass", path="/small",
         connections=1000),
]

QUICK = ("handshake", "handshake-resumed", "file-64k", "file-big", "pass-handshake", "pass-64k", "pass-big",
         "idle", "pass-idle")
SMOKE = ("handshake", "file-64k", "pass-64k")
SCALED = ("handshake", "file-64k", "pass-64k")  # with more cores


def scaled(cell, cores):
    return replace(cell, name=f"{cell.name}-{cores}", title=f"{cell.title}, {cores} cores", servers_cores=cores,
                   connections=cell.connections * 2)
