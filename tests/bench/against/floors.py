# SPDX-License-Identifier: Apache-2.0
"""The floors: our library against bare loops over BoringSSL and the kernel, which programs of their own
measure (tests/bench/bulk.c, tests/bench/handshake.c)."""
import json
import re
import subprocess

from .processes import Broken

SUITE = "TLS_AES_128_GCM_SHA256"
SIZES = (16384, 65536)  # of each call
TIMEOUT = 600


def call(argv):
    done = subprocess.run([str(arg) for arg in argv], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=TIMEOUT)
    if done.returncode:
        raise Broken(f"{argv[0].name}: status {done.returncode}: {done.stderr.strip()[-300:]}")
    return done.stdout


def bulk(build, work, rounds, megabytes):
    """Of each way, end and size its ratio to its floor and system calls for each 16 KiB. None: no such program."""
    program = build / "tests/bench_bulk"
    if not program.exists():
        return None
    out = work / "bulk.json"
    sizes = [arg for size in SIZES for arg in ("--size", size)]
    call([program, "--suite", SUITE, *sizes, "--rounds", rounds, "--megabytes", megabytes, "--json", out])
    return json.loads(out.read_text())


def handshakes(build, rounds, each):
    """Microseconds of processor time, of BoringSSL over a socket and of ours. None: no such program."""
    program = build / "tests/bench_handshake"
    if not program.exists():
        return None
    rows = re.findall(r"^(TLS \S+ .*?)\s+[\d.]+\s+([\d.]+)\s+([\d.]+)\s+([\d.]+)$",
                      call([program, rounds, each]), re.M)
    if not rows:
        raise Broken("bench_handshake: no figures")
    return [{"what": what, "floor_us": float(floor), "ours_us": float(ours), "ratio": float(ratio)}
            for what, floor, ours, ratio in rows]
