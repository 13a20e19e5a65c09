# SPDX-License-Identifier: Apache-2.0
"""Tables of docs/performance.md, from reports of tests/bench/run."""
import re

from .servers import OTHER_ROLE

TITLES = {"sluice-serve": "sluice serve", "sluice-serve-user": "sluice serve, user path",
          "sluiced": "sluiced, sluice-relay", "nginx": "nginx", "nginx-ktls": "nginx, kTLS", "haproxy": "HAProxy",
          "hitch": "hitch", "stunnel": "stunnel", "openssl": "`s_server -WWW`",
          "openssl-ktls": "`s_server -WWW`, kTLS"}
OURS = {"serve": "sluice-serve", "pass": "sluiced"}


def entry_of(cell, server):
    """What a server did in a cell; None: it did not run."""
    return next((e for e in cell["servers"] if e["server"] == server and "skipped" not in e), None)


def cell_of(report, name):
    return report and next((c for c in report["cells"] if c["cell"] == name), None)


def digits(value):
    """Three significant digits, with commas."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def absolute(report, cell, entry):
    """What ours takes, with its unit."""
    if "bytes_per_unit" in entry:
        return f"{digits(entry['bytes_per_unit'] / 1024)} KiB"
    each = entry["ns_per_unit"]["median"]
    if report["clock"] == "instructions":
        return f"{digits(each)} instr./B" if cell["unit"] == "byte" else f"{digits(each / 1000)} k instr."
    return f"{digits(each * 1024)} ns/KiB" if cell["unit"] == "byte" else f"{digits(each / 1000)} µs"


def spread(times):
    text = digits(times["median"])
    if times.get("min") == times.get("max"):  # of one round, or of memory
        return text
    return f"{text} ({digits(times['min'])} to {digits(times['max'])})"


def rate(cell, entry):
    value = entry["units_per_second"]["median"]
    return f"{digits(value / 1e6)} MB" if cell["unit"] == "byte" else digits(value)


def servers_in(report, role):
    """Those that ran any cell of a role, ours first."""
    found = [e["server"] for c in report["cells"] if c["role"] == role for e in c["servers"] if "skipped" not in e]
    return sorted(set(found), key=list(TITLES).index)


def markdown(head, rows):
    line = ["| " + " | ".join(head) + " |", "|---|" + "--:|" * (len(head) - 1)]
    return "\n".join(line + ["| " + " | ".join(row) + " |" for row in rows])


def comparison(report, role):
    """Rows are cells, columns servers: how many times what ours takes."""
    servers = servers_in(report, role)
    ours = OURS[role]
    rows = []
    for cell in (c for c in report["cells"] if c["role"] == role):
        mine = entry_of(cell, ours)
        if not mine:
            continue
        row = [cell["title"], absolute(report, cell, mine)]
        for server in servers:
            if server != ours:
                entry = entry_of(cell, server)
                row.append(spread(entry["times_ours"]) if entry else "–")
        rows.append(row)
    return markdown(["", f"{TITLES[ours]}, each", *(TITLES[s] for s in servers if s != ours)], rows)


def throughput(report, role):
    """The same cells: how many in a second of the clock, of the servers on the cores that they had."""
    servers = servers_in(report, role)
    rows = []
    for cell in (c for c in report["cells"] if c["role"] == role and c["kind"] != "idle"):
        entries = [entry_of(cell, server) for server in servers]
        limited = any(line.get("client_limited") for e in entries if e for line in e["rounds"])
        rows.append([cell["title"] + (" ¹" if limited else ""), *(rate(cell, e) if e else "–" for e in entries)])
    return markdown(["", *(TITLES[s] for s in servers)], rows)


def absent(report):
    """Why servers are not in all cells, once for each reason. That it is of the other role says nothing."""
    reasons = {}
    for cell in report["cells"]:
        for entry in cell["servers"]:
            why = entry.get("skipped")
            if why and why not in OTHER_ROLE.values():
                reasons.setdefault((TITLES[entry["server"]], why), []).append(cell["title"])
    for (server, why), titles in sorted(reasons.items()):
        ran = any(entry_of(c, s) for c in report["cells"] for s, title in TITLES.items() if title == server)
        yield f"* {server}{': ' + '; '.join(titles) if ran else ''}: {why}."


def tickets(report):
    """Servers whose full handshakes had other than two tickets."""
    seen = {}
    for cell in report["cells"]:
        for entry in cell["servers"]:
            if "seen" in entry and cell["tls"] == "1.3":
                seen.setdefault(TITLES[entry["server"]], set()).add(entry["seen"]["tickets"])
    others = [f"{server} {'/'.join(map(str, sorted(n)))}" for server, n in sorted(seen.items()) if n != {2}]
    return "Every TLS 1.3 handshake has two tickets" + (f", but {', '.join(others)}." if others else ".")


def several(n, what):
    return f"{n} {what}{'' if n == 1 else 's'}"


def machine(report):
    m, settings = report["machine"], report["settings"]
    with_aes = ", ".join(m["features"]) or "no instructions for AES"
    versions = {re.sub(r"-\d+[+~]deb.*", "", re.sub(r" (on |- |\(|\d{4}/|\d+ \w{3} ).*", "", v or ""))
                for v in report["versions"].values() if v}
    return (f"{m['model']}, {several(m['cores'], 'core')} ({with_aes}), Linux {m['kernel']}, {m['system']}; "
            f"{', '.join(sorted(versions))}; "
            f"{several(settings['rounds'], 'round')} of {settings['seconds']:g} s, large files of {settings['big'] / 1e6:g} MB; load {m['load_at_start']:.1f} when it began. "
            f"`{report['command']}`, {report['took'] or '?'} s, of {report.get('tree') or 'an unknown tree'}.")
