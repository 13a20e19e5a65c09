# SPDX-License-Identifier: Apache-2.0
"""Processes that a benchmark starts: pinned, watched, measured and ended."""
import os
import random
import signal
import socket
import subprocess
import time
from pathlib import Path


class Broken(Exception):
    """A server or client did what it must not: the benchmark fails."""


def tail(path, lines=5):
    text = Path(path).read_text(errors="replace") if Path(path).exists() else ""
    return " | ".join(text.strip().splitlines()[-lines:])


def free_port():
    """One below those that the kernel gives to clients."""
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass


def is_listening(port):
    """Looks without connecting: some servers take one connection only."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and int(fields[1].split(":")[1], 16) == port:
            return True
    return False


def parents():
    """The parent of every process there is."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:  # it has ended meanwhile
            continue
        found[int(stat.parent.name)] = int(text.rpartition(")")[2].split()[1])
    return found


def family(roots):
    """The processes of roots and all that they have started."""
    parent_of = parents()
    members = set(roots) & set(parent_of)
    while True:
        more = {pid for pid, parent in parent_of.items() if parent in members} - members
        if not more:
            return frozenset(members)
        members |= more


def processor_ns(pids):
    """Nanoseconds of processor time of these processes, user and kernel, with every thread that they
    have or had, io_uring's workers too: their CPU-time clocks (clock_getcpuclockid(3))."""
    return sum(time.clock_gettime_ns((~pid << 3) | 2) for pid in pids)


def ticks(pids):
    """Ticks of processor time of these processes, by samples: in programs and in the kernel."""
    user = kernel = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        user, kernel = user + int(fields[11]), kernel + int(fields[12])
    return user, kernel


def pss(pids):
    """Bytes of memory of these processes, shared pages shared out."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


def tls_counters():
    """The kernel's counters of TLS; {}: it has none."""
    path = Path("/proc/net/tls_stat")
    if not path.exists():
        return {}
    return {name: int(value) for name, value in map(str.split, path.read_text().splitlines())}


class Process:
    """One that is started in a session of its own on some cores, and its log."""

    def __init__(self, argv, log, cores, cwd=None, env=None):
        self.argv = ["taskset", "-c", ",".join(map(str, cores)), *map(str, argv)]
        self.log = Path(log)
        with self.log.open("ab") as out:
            self.popen = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                          cwd=cwd, start_new_session=True, env=env and {**os.environ, **env})

    @property
    def pid(self):
        return self.popen.pid

    def check(self):
        if self.popen.poll() is not None:
            raise Broken(f"{self.argv[3]} ended with status {self.popen.returncode}: {tail(self.log)}")

    def until(self, condition, what, seconds=20):
        end = time.monotonic() + seconds
        while not condition():
            self.check()
            if time.monotonic() > end:
                raise Broken(f"{self.argv[3]}: {what} not within {seconds} s: {tail(self.log)}")
            time.sleep(0.02)

    def until_listening(self, port):
        self.until(lambda: is_listening(port), f"listening on port {port}")

    def until_said(self, text, seconds=20):
        self.until(lambda: text in self.log.read_text(errors="replace"), f'"{text}"', seconds)

    def stop(self, seconds=5):
        """Ends it, and whatever of its session is left then."""
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(seconds)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.popen.wait()
