# SPDX-License-Identifier: Apache-2.0
"""Measures cells: servers in turns, round by round."""
import contextlib
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path

from . import servers
from .load import Client, Idle
from .material import Material
from .processes import Broken, processor_ns, pss, ticks, tls_counters

SETTLE = 0.1  # seconds for what a server does behind a load: closing connections
TX_COUNTERS = ("TlsTxSw", "TlsTxDevice")
WARM_UP = {"handshake": 32, "request": 64, "byte": 4}  # operations
# Where connections are left out, operations of each of them: in the load that is subtracted, and at least in the other.
FEW, MANY = 2, {"request": 200, "resume": 10}
TRIES = 5  # until a load of few operations has had all its connections
RX_COUNTERS = ("TlsRxSw", "TlsRxDevice")


def plain(text, work, build):
    """Without a run's directories."""
    return text and text.replace(str(work), "WORK").replace(str(build), "BUILD")


@dataclass
class World:
    """Where and how it is measured."""
    build: Path
    material: Material
    client: Client
    server_cores: list
    backend: int
    kernel_tls: bool
    rounds: int
    seconds: float
    connections: int  # at most
    only: tuple  # names of servers; (): all
    progress: object
    setups: dict = field(default_factory=dict)
    probes: list = None  # sockets that a client gives the kernel's TLS by itself: sending, receiving

    def cores(self, n):
        return self.server_cores[:n]

    def plain(self, text):
        return plain(text, self.material.work, self.build)

    def at_once(self, cell):
        return min(cell.connections, self.connections)

    def keep(self, name, commands, config):
        """How a server was set up, of the first cell that wanted it so."""
        self.setups.setdefault(name, {"commands": [*map(self.plain, commands)], "config": self.plain(config)})


def kinds(world, cell):
    """The kinds of server that run a cell, and why the others do not: (kind, None or reason)."""
    for kind in servers.ALL:
        if world.only and kind.name not in world.only:
            continue
        yield kind, kind.lacks(cell, world)


@contextlib.contextmanager
def running(world, cell, found):
    """All of these servers; entries of the report that go with them."""
    with contextlib.ExitStack() as stack:
        pairs = []
        for kind in found:
            setting = servers.Setting(cell, world.material, world.build, world.cores(cell.servers_cores),
                                      world.backend)
            server = kind(setting)
            stack.callback(server.stop)
            world.keep(f"{kind.name}, {cell.role}", server.commands(), server.config)
            pairs.append((server, {"server": kind.name, "rounds": []}))
        yield pairs


def tls_of(before, after):
    """Sockets that the kernel's TLS got between two looks at its counters: sending, receiving."""
    return [sum(after.get(name, 0) - before.get(name, 0) for name in names)
            for names in (TX_COUNTERS, RX_COUNTERS)]


def probes(world):
    """What a client by itself moves these counters: it looks at its start what the kernel can."""
    before = tls_counters()
    world.client.fail()
    return tls_of(before, tls_counters())


def units_of(cell, report):
    if cell.client != "sluice bench":
        return report["operations"]
    if cell.unit == "handshake":
        return report["handshakes"]["resumed" if cell.kind == "resume" else "full"]
    if cell.unit == "byte":
        return report["bytes"]["received"]
    return report["operations"]["ok"]


def connections_of(cell, report):
    if cell.client != "sluice bench":
        return report["operations"]
    return sum(report["handshakes"].values())


def load(world, cell, port, count):
    """count: of operations; None: openssl s_time goes by time."""
    if cell.client == "sluice bench":
        return world.client.bench(cell, port, connections=world.at_once(cell), count=count)
    return world.client.s_time(cell, port, world.seconds)


def spend(world, cell, server, entry, count):
    """Loads a server once. A line of the report: what it used for how much."""
    before, counters = server.pids(), tls_counters()
    used, (user, kernel) = processor_ns(before), ticks(before)
    began = time.monotonic()
    report = load(world, cell, server.setting.port, count)
    seconds = time.monotonic() - began
    time.sleep(SETTLE)
    server.check()
    if server.pids() != before:
        raise Broken(f"{server.name}: processes came or went: {sorted(before)}, {sorted(server.pids())}")
    used = processor_ns(before) - used
    user, kernel = (after - was for after, was in zip(ticks(before), (user, kernel)))
    units = units_of(cell, report)
    line = {"units": units, "processor_ns": used, "seconds": round(report.get("seconds", seconds), 4),
            "kernel_share": round(kernel / max(1, user + kernel), 3), "connections": connections_of(cell, report),
            "ktls_sockets": [n - probe for n, probe in zip(tls_of(counters, tls_counters()), world.probes)]}
    if "client" in report:
        line["full"] = report["handshakes"]["full"]
        line["client_limited"] = report["client"]["limited"]
        line["p50_ns"], line["p99_ns"] = (report["latency_ns"][p] for p in ("p50", "p99"))
    entry.setdefault("client", world.plain(world.client.command))
    entry.setdefault("connection", report.get("connection"))
    return line


def less(line, few):
    """What a load used for what it has more than one of few operations over as many connections."""
    more = {name: line[name] - few[name] for name in ("units", "processor_ns", "seconds")}
    return {**line, "units": more["units"], "processor_ns": max(1, more["processor_ns"]),
            "seconds": max(0.001, round(more["seconds"], 4)), "few": {name: few[name] for name in more}}


def one_round(world, cell, server, entry, count):
    """A line of the report; without its connections, where the cell leaves them out."""
    if not cell.leaves_out:
        return spend(world, cell, server, entry, count)
    connections = world.at_once(cell)
    for _ in range(TRIES):  # a thread of the client may begin when others have done all
        few = spend(world, cell, server, entry, FEW * connections)
        if few["full"] == connections:
            break
    line = spend(world, cell, server, entry, count)
    if not few["full"] == line["full"] == connections:
        raise Broken(f"{server.name}: {few['full']} and {line['full']} full handshakes for {connections} connections")
    return less(line, few)


def prepare(world, cell, server, entry):
    """Looks at a server by two libraries, and warms it up; returns how many operations take the time."""
    entry["seen"] = world.client.look(cell, server.setting.port)
    if (entry["seen"]["key_bits"] == 256) != (cell.cert == "ec"):
        raise Broken(f"{server.name}: another certificate: {entry['seen']}")
    if cell.client != "sluice bench":
        return None
    # Counts, not times: everything that is begun is whole and checked, and paid by somebody.
    count = least = min(WARM_UP[cell.unit], world.connections)
    for seconds in (min(0.3, world.seconds), world.seconds):
        report = load(world, cell, server.setting.port, count)
        count = max(least, round(report["operations"]["per_second"] * seconds))
    return count


def same(world, cell, counts):
    """Where connections are left out, one count for all: their share of a load is the same then."""
    if not cell.leaves_out:
        return counts
    return [max(MANY[cell.kind] * world.at_once(cell), statistics.median_low(counts))] * len(counts)


def verdict(world, cell, server, entry):
    """Whether records were the kernel's as they had to be, in each connection and both directions, or in none;
    a reason, if the figures do not count. Where a client only shakes hands it may have closed before the server
    asks for the kernel's TLS, which takes connections that are open: there some must have it."""
    should = world.kernel_tls if server.kernel_path is None else server.kernel_path
    least = (lambda line: 1) if cell.unit == "handshake" else (lambda line: line["connections"])
    wrong = [line for line in entry["rounds"]
             if (min(line["ktls_sockets"]) < least(line) if should else max(line["ktls_sockets"]) > 0)]
    if not wrong:
        return None
    sending, receiving = wrong[0]["ktls_sockets"]
    says = (f"/proc/net/tls_stat has kernel TLS for {sending} sending and {receiving} receiving "
            f"of {wrong[0]['connections']} connections")
    if server.ours:
        raise Broken(f"{server.name}: {says}")
    return says


def summary(entry):
    each = [line["processor_ns"] / line["units"] for line in entry["rounds"]]
    rate = [line["units"] / line["seconds"] for line in entry["rounds"]]
    entry["ns_per_unit"] = {"median": statistics.median(each), "min": min(each), "max": max(each)}
    entry["kernel_share"] = statistics.median(line["kernel_share"] for line in entry["rounds"])
    entry["units_per_second"] = {"median": statistics.median(rate), "min": min(rate), "max": max(rate)}


def loaded(world, cell, found):
    with running(world, cell, found) as pairs:
        counts = same(world, cell, [prepare(world, cell, server, entry) for server, entry in pairs])
        for number in range(world.rounds):
            for (server, entry), count in zip(pairs, counts):
                line = one_round(world, cell, server, entry, count)
                entry["rounds"].append(line)
                world.progress(f"{cell.name} {number + 1}/{world.rounds} {server.name}: "
                               f"{line['processor_ns'] / line['units']:.1f} ns each {cell.unit}, "
                               f"{line['units'] / line['seconds']:.0f} a second")
        for server, entry in pairs:
            wrong = verdict(world, cell, server, entry)
            if wrong:
                yield {"server": server.name, "skipped": wrong}
                continue
            summary(entry)
            yield entry


def idle(world, cell, found):
    """Memory of connections that wait, one server after the other: nothing of it depends on the time."""
    n = min(cell.connections, 25 * world.connections)
    for kind in found:
        with running(world, cell, [kind]) as ((server, entry),):
            for _ in range(2):  # the second finds everything allocated that is allocated once
                warm = Idle(world.material, server.setting.port, cell)
                warm.open(20)
                warm.close()
                time.sleep(0.3)
            before, counters = pss(server.pids()), tls_counters()
            held = Idle(world.material, server.setting.port, cell)
            held.open(n)
            time.sleep(0.5)
            server.check()
            held.check()
            used = pss(server.pids()) - before
            held.close()
            sockets = tls_of(counters, tls_counters())
        entry["rounds"].append({"units": n, "pss_before": before, "pss_more": used, "connections": n,
                                "ktls_sockets": sockets})
        wrong = verdict(world, cell, server, entry)
        if wrong:
            yield {"server": server.name, "skipped": wrong}
            continue
        entry["bytes_per_unit"] = used / n
        world.progress(f"{cell.name} {server.name}: {used / n:.0f} bytes each")
        yield entry


def ratios(entries):
    """How many times ours the others use, in the medians and in each round; ours is the first of ours."""
    ours = next((e for e in entries if "skipped" not in e and is_ours(e)), None)
    for entry in entries:
        if not ours or "skipped" in entry:
            continue
        if "bytes_per_unit" in entry:
            entry["times_ours"] = {"median": entry["bytes_per_unit"] / max(1, ours["bytes_per_unit"])}
            continue
        each = [(theirs["processor_ns"] / theirs["units"]) / (mine["processor_ns"] / mine["units"])
                for theirs, mine in zip(entry["rounds"], ours["rounds"])]
        entry["times_ours"] = {"median": statistics.median(each), "min": min(each), "max": max(each)}


def is_ours(entry):
    return any(kind.ours for kind in servers.ALL if kind.name == entry["server"])


def measure(world, cell):
    """A cell of the report. Raises Broken."""
    found, entries = [], []
    for kind, reason in kinds(world, cell):
        if reason:
            entries.append({"server": kind.name, "skipped": reason})
        else:
            found.append(kind)
    entries = [*(idle if cell.kind == "idle" else loaded)(world, cell, found), *entries]
    ratios(entries)
    return {"cell": cell.name, "title": cell.title, "kind": cell.kind, "unit": cell.unit, "role": cell.role,
            "cert": cell.cert, "tls": cell.tls, "client": cell.client, "cores": cell.servers_cores,
            "client_apart": not set(world.client.cores) & set(world.server_cores),
            "connections": cell.connections, "servers": entries}
