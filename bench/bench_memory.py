"""Resident memory: how far the peak goes beyond the input and the coefficients, a thread.

Each figure is of a process of its own: the input is in memory, one small image has been decoded, the kernel's peak is
reset (/proc/self/clear_refs), then the work is done with all results kept.
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
        if set_name not in options.sets or not sets.load(set_name):
            continue
        values = sorted(_measured(set_name, how, threads) for _ in range(1 if options.quick else 3))
        note = "the worst of the images" if how == "one image" else ""
        name = title(set_name, how, threads)
        result.value(Value(name, values[len(values) // 2], values[0], values[-1], "MB", note))


def _measured(set_name: str, how: str, threads: int) -> float:
    code = f"from bench import bench_memory; bench_memory.child({set_name!r}, {how!r}, {threads})"
    command = [sys.executable, "-c", code]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(json.loads(output.splitlines()[-1]))


def child(set_name: str, how: str, threads: int) -> None:
    """Runs in a process of its own; prints megabytes."""
    import jpegfreq

    images = [image.data for image in sets.load(set_name)]
    jpegfreq.read_coefficients_batch(images[:1] if set_name == "A" else [sets.load("A")[0].data], threads=threads)
    if how == "batch":
        print(json.dumps(_beyond(images, threads)))
        return
    print(json.dumps(max(_beyond([image], threads) for image in images)))


def _beyond(images: list[bytes], threads: int) -> float:
    import jpegfreq

    ctypes.CDLL(None).malloc_trim(0)  # else memory freed before would be taken again unseen
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = _resident("VmRSS")
    if len(images) == 1 and threads == 1:
        results = [jpegfreq.read_coefficients(images[0])]
    else:
        results = jpegfreq.read_coefficients_batch(images, threads=threads)
    peak = _resident("VmHWM")
    coefficients = sum(plane.nbytes for coefficients in results for plane in coefficients.planes)
    return (peak - before - coefficients) / threads / 1e6


def _resident(field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"), re.MULTILINE)
    if not found:
        raise RuntimeError(f"/proc/self/status has no {field}")
    return int(found.group(1)) * 1024
