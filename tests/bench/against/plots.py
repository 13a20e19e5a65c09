# SPDX-License-Identifier: Apache-2.0
"""Plots of docs/performance.md as SVG, by gnuplot."""
import shutil
import subprocess

from .tables import OURS, TITLES, entry_of, servers_in

COLOURS = {"sluice-serve": "#1b6ca8", "sluice-serve-user": "#7fb2d6", "sluiced": "#1b6ca8", "nginx": "#5a9e4b",
           "nginx-ktls": "#2f6b2a", "haproxy": "#c9832f", "hitch": "#8a5fa8", "stunnel": "#a8a8a8",
           "openssl": "#b5483f", "openssl-ktls": "#7c2d27"}
LICENCE = "<!-- SPDX-License-Identifier: Apache-2.0 -->"

SCRIPT = """\
set terminal svg size 900,420 font "sans-serif,12" background "#ffffff"
set style data histograms
set style histogram errorbars gap 1.5 linewidth 1
set style fill solid 0.9 border rgb "#333333"
set boxwidth 0.95
set grid ytics linecolor "#dddddd"
set key outside top center horizontal
set xtics nomirror noenhanced
set ytics nomirror
set yrange [0:*]
set bmargin 4
set border 3
set datafile missing "-"
set ylabel "{ylabel}"
$cells << EOD
{data}
EOD
plot {series}
"""


def label(cell):
    """What is short enough to stand below bars: the cell's name in lines."""
    return cell["cell"].removeprefix("pass-").replace("-", "\\n")


def bars(report, role):
    """A line for each cell: its title, then for each server median, least and greatest times ours."""
    servers = servers_in(report, role)
    lines = []
    for cell in report["cells"]:
        if cell["role"] != role or cell["kind"] == "idle" or not entry_of(cell, OURS[role]) or cell["cores"] > 1:
            continue
        line = [f'"{label(cell)}"']
        for server in servers:
            entry = entry_of(cell, server)
            times = entry and entry["times_ours"]
            line.append("{median:.4f} {min:.4f} {max:.4f}".format(**times) if times else "- - -")
        lines.append(" ".join(line))
    series = []
    for i, server in enumerate(servers):
        title = TITLES[server].replace("`", "")
        series.append(f'$cells using {3 * i + 2}:{3 * i + 3}:{3 * i + 4}:xtic(1) title "{title}" noenhanced '
                      f'linecolor rgb "{COLOURS[server]}"')
    return "\n".join(lines), ", ".join(series)


def write(report, role, path, what):
    """True: it is written. gnuplot may be missing."""
    data, series = bars(report, role)
    if not data or not shutil.which("gnuplot"):
        return False
    script = SCRIPT.format(ylabel=f"{what}, ours = 1", data=data, series=series)
    svg = subprocess.run(["gnuplot"], input=script, check=True, capture_output=True, text=True).stdout
    head, _, rest = svg.partition("\n")  # the XML declaration comes first
    path.write_text(f"{head}\n{LICENCE}\n{rest}")
    return True
