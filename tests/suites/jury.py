# SPDX-License-Identifier: Apache-2.0
"""Chains of certificates, and those who judge them: we and others, each a process that answers by lines."""
import atexit
import base64
import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parent


@dataclasses.dataclass
class Case:
    """A chain as DER, leaf first, and what is asked of it."""
    id: str
    chain: list
    trust: list
    time: int
    name: str = None
    depth: int = None
    partial: bool = False
    peer: str = "server"
    crls: list = None  # DER; nobody may be revoked, and of everybody that must be known. None: revocation is not asked

    def line(self):
        """What the others are asked: tests/suites/judges/line.h."""
        crls = "-" if self.crls is None else ",".join(base64.b64encode(der).decode() for der in self.crls) or "none"
        name = base64.b64encode(self.name.encode()).decode() if self.name else "-"
        depth = "-" if self.depth is None else str(self.depth)
        certs = (",".join(base64.b64encode(der).decode() for der in ders) or "-"
                 for ders in (self.trust, self.chain))
        return " ".join([self.id, self.peer, str(self.time), name, depth, str(int(self.partial)), *certs, crls])

    def request(self):
        """What `sluice verify --batch` is asked."""
        made = {"id": self.id, "chain": pem(self.chain), "time": self.time, "peer": self.peer,
                "partial_chain": self.partial}
        if self.trust:
            made["trust"] = pem(self.trust)
        if self.name is not None:
            made["name"] = self.name
        if self.depth is not None:
            made["depth"] = self.depth
        if self.crls is not None:
            made["crls"] = [base64.b64encode(der).decode() for der in self.crls]
        return json.dumps(made)


def pem(ders):
    return "".join("-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der).decode()
                   + "-----END CERTIFICATE-----\n" for der in ders)


@dataclasses.dataclass
class Judge:
    name: str
    command: list
    lacks: tuple = ()  # what of a case it cannot be asked: "depth", "time", "crls"

    def ask(self, cases, limit_s=600):
        """[(accepted, why not)] of each case; RuntimeError where it ends before the last."""
        done = subprocess.run(self.command, input="".join(map(self.encode, cases)), timeout=limit_s,
                              stdout=subprocess.PIPE, text=True, check=False)
        answers = [self.decode(line) for line in done.stdout.splitlines()]
        if len(answers) != len(cases):
            raise RuntimeError(f"{self.name} ends with {done.returncode} at "
                               f"{cases[min(len(answers), len(cases) - 1)].id}")
        return answers

    def encode(self, case):
        return case.line() + "\n"

    def decode(self, line):
        _, verdict, *reason = line.split(" ", 2)
        return verdict == "ok", "".join(reason)


class Ours(Judge):
    def encode(self, case):
        return case.request() + "\n"

    def decode(self, line):
        verdict = json.loads(line)
        return verdict["result"] == "accepted", verdict.get("reason", "")


def ours():
    sluice = os.environ.get("SLUICE", str(HERE.parent.parent / "build/lead/tools/sluice"))
    return Ours("sluice", [sluice, "verify", "--batch", "-"])


def others(build, names=("OpenSSL", "GnuTLS", "Erlang", "Go")):
    """Those that are installed, and [why another is not]."""
    folder = pathlib.Path(build) / "tests/suites/judges"
    found, missing = [], []
    for name in names:
        judge = {
            "OpenSSL": lambda: Judge("OpenSSL", [folder / "judge-openssl"]),
            "GnuTLS": lambda: Judge("GnuTLS", [folder / "judge-gnutls"], ("depth",)),
            "Erlang": lambda: Judge("Erlang", ["escript", HERE / "judges/erlang.escript"], ("time",)),
            "Go": go,
        }[name]()
        if judge and shutil.which(str(judge.command[0])):
            found.append(judge)
        else:
            missing.append(f"{name} is not installed, or was not when this was configured")
    return found, missing


def go():
    """Compiled each time; most of it is in the cache of Go itself."""
    if not shutil.which("go"):
        return None
    folder = pathlib.Path(tempfile.mkdtemp(prefix="judge-go-"))
    atexit.register(shutil.rmtree, folder)
    subprocess.run(["go", "build", "-o", folder / "judge-go", HERE / "judges/judge.go"], check=True,
                   env={**os.environ, "GO111MODULE": "off"})
    return Judge("Go", [folder / "judge-go"], ("depth", "crls"))
