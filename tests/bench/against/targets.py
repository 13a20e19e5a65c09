# SPDX-License-Identifier: Apache-2.0
"""What the bulk data path and the handshakes are to reach, and what was measured: a row each."""
from .tables import cell_of, digits, entry_of, markdown

TWO_DIGITS = "{:.2f}".format


def times(report, cell, server):
    """How many times what ours takes a server takes; None: not measured."""
    found = cell_of(report, cell)
    entry = found and entry_of(found, server)
    return entry and entry.get("times_ours", {}).get("median")


def row(what, target, measured, met):
    """met: None where nothing was measured."""
    return [what, target, measured or "not measured", {True: "met", False: "**missed**", None: ""}[met]]


def at_least(what, bound, values, text=TWO_DIGITS):
    """values: (against whom, value or None)."""
    known = [(name, value) for name, value in values if value]
    return row(what, f"≥ {bound:g}", ", ".join(f"{text(value)} {name}".strip() for name, value in known),
               all(value >= bound for _, value in known) if known else None)


def at_most(what, bound, value, unit=""):
    return row(what, f"≤ {bound:g}{unit}", value is not None and f"{digits(value)}{unit}",
               None if value is None else value <= bound)


def memory(report):
    cell = cell_of(report, "pass-idle")
    entry = cell and entry_of(cell, "sluiced")
    return entry and entry["bytes_per_unit"] / 1024


def growth(report):
    """Throughput with more cores for each of them, against one core; where the client was the limit or had no
    cores of its own, or a backend shares them, what an operation costs with one core of what it costs with more."""
    for cores in (2, 4):
        for name in ("handshake", "file-64k", "pass-64k"):
            one, many = cell_of(report, name), cell_of(report, f"{name}-{cores}")
            server = "sluiced" if name.startswith("pass") else "sluice-serve"
            first, last = one and entry_of(one, server), many and entry_of(many, server)
            if not first or not last:
                continue
            if many["role"] == "serve" and many["client_apart"] and not any(line.get("client_limited") for line in last["rounds"]):
                rates = [e["units_per_second"]["median"] for e in (first, last)]
                yield f"{name}, {cores} cores", rates[1] / rates[0] / cores
            else:
                costs = [e["ns_per_unit"]["median"] for e in (first, last)]
                yield f"{name}, {cores} cores, by processor time", costs[0] / costs[1]


def bulk(report, way, figure, ends=("send", "receive")):
    """(size and end, figure) of a way of bench_bulk."""
    for row in report and report.get("bulk") or []:
        if row["way"] == way and row["end"] in ends and row[figure] is not None:
            yield f"{row['end']} {row['size'] // 1024} KiB", row[figure]


def handshake(report, what):
    return next((row["ratio"] for row in report and report.get("handshakes") or [] if row["what"] == what), None)


def calls(reports, end, bound):
    """By calls of 64 KiB: those of 16 KiB are one for one."""
    values = [(f"{way} path", value) for name, way in (("instructions", "kernel"), ("native", "user"))
              for size, value in bulk(reports.get(name), way, "calls_per_16_kib", (end,)) if size.endswith("64 KiB")]
    return row(f"system calls of each 16 KiB, {end}, in calls of 64 KiB", f"≤ {bound:g}",
               ", ".join(f"{TWO_DIGITS(value)} {way}" for way, value in values),
               all(value <= bound for _, value in values) if values else None)


def table(reports):
    """reports: by name, those that are there: native, kernel (a guest), instructions (a guest that counts)."""
    native, kernel = reports.get("native"), reports.get("instructions") or reports.get("kernel")
    rows = [
        at_least("bulk, kernel path, AES-128-GCM: the library of a bare loop over the kernel's TLS", 0.97,
                 list(bulk(kernel, "kernel", "ratio"))),
        at_least("large file, kernel path: nginx with kTLS and `sendfile`, of ours", 1.1,
                 [("", times(kernel, "file-big", "nginx-ktls"))]),
        at_least("terminator, kernel path, large file, of ours", 1.5,
                 [("HAProxy", times(kernel, "pass-big", "haproxy")), ("hitch", times(kernel, "pass-big", "hitch"))]),
        at_least("terminator, kernel path, 64 KiB, of ours", 1.5,
                 [("HAProxy", times(kernel, "pass-64k", "haproxy")), ("hitch", times(kernel, "pass-64k", "hitch"))]),
        at_least("large file, user path: nginx without kTLS, of ours", 1.0,
                 [("", times(native, "file-big", "nginx"))]),
        at_least("bulk, user path, AES-128-GCM: the library of a bare loop over EVP_AEAD and sockets", 0.9,
                 list(bulk(native, "user", "ratio"))),
        at_most("full handshake: the library of a bare loop over BoringSSL", 1.1, handshake(native, "TLS 1.3, P-256")),
        row("handshakes: hitch and HAProxy, of ours", "reported",
            ", ".join(f"{TWO_DIGITS(v)} {name}" for name, v in (
                ("hitch", times(native, "pass-handshake", "hitch")),
                ("HAProxy", times(native, "pass-handshake", "haproxy")),
                ("HAProxy without a backend, against `sluice serve`", times(native, "handshake", "haproxy"))) if v), None),
        at_most("memory of an idle connection, kernel path, all our processes", 1,
                memory(reports.get("kernel") or reports.get("instructions")), " KiB"),
        calls(reports, "send", 1),
        calls(reports, "receive", 0.25),
        at_least("throughput with more cores, for each core", 0.9, list(growth(native))),
    ]
    return markdown(["", "target", "measured", ""], rows)
