"""Resident memory: the peak beyond the input and the coefficients, per thread.

Each value comes from its own process. The input is in memory and nothing has been decoded when the kernel's peak is
reset (/proc/self/clear_refs); then everything is decoded and all results are held. "Kept" is the memory that stays
after the results are dropped.
"""

from __future__ import annotations

import ctypes
import json
import re
import subprocess
import sys
from pathlib import Path

from bench import sets
from bench.results import Options, Result, Value

CASES = (("L", "one image", 1), ("P", "batch", 1), ("A", "batch", 1), ("A", "batch", 2), ("L", "batch", 2))


def title(set_name: str, how: str, threads: int) -> str:
    plural = "s" if threads > 1 else ""
    return f"memory a thread beyond input and coefficients: {how}, set {set_name}, {threads} thread{plural}"


def run(result: Result, options: Options) -> None:
    for set_name, how, threads in CASES:
        images = sets.load(set_name) if set_name in options.sets else ()
        calls = [[number] for number in range(len(images))] if how == "one image" else [list(range(len(images)))]
        times = 1 if options.quick or how == "one image" else 3
        measured = [_measured(set_name, call, threads) for call in calls for _ in range(times) if call]
        if not measured:
            continue
        beyond = sorted(beyond for beyond, _ in measured)
        middle = beyond[-1] if how == "one image" else beyond[len(beyond) // 2]
        note = "the worst of the images; " if how == "one image" else ""
        note += f"kept {max(kept for _, kept in measured):.1f} MB"
        result.value(Value(title(set_name, how, threads), middle, beyond[0], beyond[-1], "MB", note))


def _measured(set_name: str, numbers: list[int], threads: int) -> tuple[float, float]:
    code = f"from bench import bench_memory; bench_memory.child({set_name!r}, {numbers}, {threads})"
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    beyond, kept = json.loads(output.splitlines()[-1])
    return beyond, kept


def child(set_name: str, numbers: list[int], threads: int) -> None:
    """Run in a separate process; print the MB per thread beyond coefficients and input, and the MB kept."""
    import jpegfreq

    images = [sets.load(set_name)[number].data for number in numbers]
    jpegfreq.read_header(images[0])
    ctypes.CDLL(None).malloc_trim(0)  # otherwise memory freed earlier would be reused without being counted
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = _resident("VmRSS")
    if len(images) == 1 and threads == 1:
        results = [jpegfreq.read_coefficients(images[0])]
    else:
        results = jpegfreq.read_coefficients_batch(images, threads=threads)
    peak = _resident("VmHWM")
    coefficients = sum(plane.nbytes for coefficients in results for plane in coefficients.planes)
    results.clear()
    kept = _resident("VmRSS") - before
    print(json.dumps([(peak - before - coefficients) / threads / 1e6, kept / 1e6]))


def _resident(field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"), re.MULTILINE)
    if not found:
        raise RuntimeError(f"/proc/self/status has no {field}")
    return int(found.group(1)) * 1024
