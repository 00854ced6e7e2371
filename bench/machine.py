"""The machine and the software that a number was measured with."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path

from bench.opponents import libraries, versions
from bench.opponents import opponent as the_opponent

FLAGS = ("avx2", "bmi2", "avx512f", "avx512bw", "avx512vbmi", "avx512_vbmi2")


def describe() -> dict[str, object]:
    """Describe the processor, its vector units, cores, system, versions, and the opponent."""
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").exists() else ""
    fields = dict(re.findall(r"^([^\t:]+?)\s*:\s*(.*)$", text, re.MULTILINE))
    present = set((fields.get("flags") or fields.get("Features") or "").split())
    return {
        "processor": fields.get("model name", platform.processor() or platform.machine()),
        "family": "family {} model {}".format(fields.get("cpu family", "?"), fields.get("model", "?")),
        "flags": [flag for flag in FLAGS if flag in present],
        "cores": os.cpu_count() or 1,
        "system": f"{platform.system()} {platform.release()}, {' '.join(platform.libc_ver())}",
        "python": platform.python_version(),
        "opponent": the_opponent().name,
        "other libjpeg-turbo": [str(path.name) for path in libraries()[1:]],
        "versions": versions(),
        "commit": _commit(),
    }


def _commit() -> str:
    command = ["git", "-C", str(Path(__file__).resolve().parent), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
