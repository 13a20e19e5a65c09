# SPDX-License-Identifier: Apache-2.0
"""Which machine and which programs: without these a figure says nothing."""
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

from . import servers


def describe():
    info = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*:\s*(.*)$", info, re.M)
    flags = re.search(r"^flags\s*:\s*(.*)$", info, re.M)
    have = set(flags[1].split()) if flags else set()
    release = re.search(r'^PRETTY_NAME="(.*)"$', Path("/etc/os-release").read_text(), re.M)
    return {"model": model[1] if model else platform.machine(), "cores": len(os.sched_getaffinity(0)),
            "features": sorted(have & {"aes", "avx2", "vaes", "vpclmulqdq", "avx512f", "sha_ni", "bmi2", "adx"}),
            "kernel": platform.release(), "system": release[1] if release else None,
            "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "load_at_start": os.getloadavg()[0]}


def tree(root, build):
    """Which tree was built, as git says; in a guest, which has none, as tests/vm/build has written."""
    if shutil.which("git"):
        git = subprocess.run(["git", "-C", root, "describe", "--always", "--dirty"], capture_output=True, text=True)
        if git.returncode == 0:
            return git.stdout.strip()
    said = Path(build) / "tree"
    return said.read_text().strip() if said.exists() else None


def versions(world):
    """Of each kind of server; None: it is not installed."""
    return {kind.name: kind.version(world) if not kind.program or shutil.which(kind.program) else None
            for kind in servers.ALL}
