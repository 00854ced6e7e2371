"""Our code against that of an earlier commit, on the same files, in turn: two installs in two processes.

Ratios against other libraries differ between machines; these say whether a change made jpegfreq itself faster. BEFORE
names the commit (default: the one that the figures of the crops refer to). Its package is built once, in build/before,
which needs the project's git history and the compiler.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench import before_worker
from bench.bench_crops import drawn, sampled
from bench.results import Options, Result, Table
from bench.sets import Image
from bench.timing import OFF_CPU_LIMIT, Samples, compare

PROJECT = Path(__file__).resolve().parents[1]
COMMIT = os.environ.get("BEFORE", "73d9f24")
NOW, THEN = "this code", f"commit {COMMIT}"
WORKS: dict[str, str | tuple[int, int, str]] = {
    "coefficients, one image": before_worker.coefficients.__name__,
    "coefficients, batch": before_worker.coefficients_batch.__name__,
    "crops of 448 px, 192 channels": (448, 192, "float32"),
    "crops of 448 px, 192 channels, float16": (448, 192, "float16"),
    "crops of 448 px, 24 channels": (448, 24, "float32"),
    "crops of 224 px, 192 channels": (224, 192, "float32"),
    "crops of 224 px, 48 channels, float16": (224, 48, "float16"),
}

Unit = tuple[list[bytes], list[tuple[int, int, int, int]]]


class Worker:
    """A process with one of the two installs."""

    def __init__(self, options: Sequence[str], packages: Sequence[str], units: Sequence[Unit]) -> None:
        """Start it and hand it the files."""
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(packages)}
        command = [sys.executable, *options, str(Path(before_worker.__file__))]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        self._say((WORKS, units))

    def _say(self, what: object) -> None:
        assert self._process.stdin is not None
        pickle.dump(what, self._process.stdin)
        self._process.stdin.flush()

    def time(self, work: str, unit: int) -> tuple[int, int]:
        """Do one piece of work; return wall and CPU time in nanoseconds."""
        self._say((work, unit))
        assert self._process.stdout is not None
        wall, cpu = pickle.load(self._process.stdout)
        return wall, cpu

    def end(self) -> None:
        """Let it finish."""
        self._process.communicate()


def run(result: Result, options: Options) -> None:
    images = options.images("A")
    if not images:
        return
    packages = _packages(COMMIT)
    random = np.random.default_rng(0)
    for name, chosen in {"A": images, "A, 4:4:4": sampled(images, 1, 1), "A, 4:2:0": sampled(images, 2, 2)}.items():
        units = _units(chosen, random)
        if not units:
            continue
        # Without `site`, whose hooks would lead an editable install's name to this code.
        then = Worker(["-S"], [packages, str(Path(np.__file__).parents[1])], units)
        now = Worker([], [], units)
        for work in WORKS:
            measured = _measure(work, [then, now], [len(unit[0]) for unit in units], options.seconds)
            result.add(Table(work, name, compare(measured, THEN)))
        then.end()
        now.end()


def _units(images: Sequence[Image], random: np.random.Generator) -> list[Unit]:
    step = before_worker.BATCH
    boxes = [drawn(image, random)[0] for image in images]
    return [([image.data for image in images[i : i + step]], boxes[i : i + step]) for i in range(0, len(images), step)]


def _measure(work: str, workers: Sequence[Worker], images: Sequence[int], seconds: float) -> Samples:
    """Let both take turns on every unit, round after round, as `timing.measure` does within one process."""
    readable = np.ones((2, len(images)), np.bool_)
    samples = Samples([THEN, NOW], readable, ["", ""], np.array(images))
    spent = 0.0
    while spent < seconds * 1e9 or len(samples.rounds) < 8:
        wall = np.zeros((2, len(images)), np.int64)
        cpu = np.zeros_like(wall)
        for u in range(len(images)):
            for turn in range(2):
                m = (turn + u + len(samples.rounds)) % 2
                wall[m, u], cpu[m, u] = workers[m].time(work, u)
        spent += float(wall.sum())
        samples.rounds.append(cpu)
        samples.disturbed.append(bool(wall.sum() - cpu.sum() > OFF_CPU_LIMIT * wall.sum()))
    del samples.rounds[0], samples.disturbed[0]  # it warmed up
    return samples


def _packages(commit: str) -> str:
    """Build and install that commit's package into a folder of its own, once; return the folder."""
    folder = PROJECT / "build" / "before" / commit
    packages = folder / "packages"
    if (packages / "jpegfreq").is_dir():
        return str(packages)
    source = folder / "source"
    source.mkdir(parents=True, exist_ok=True)
    archive = subprocess.run(["git", "-C", str(PROJECT), "archive", commit], capture_output=True, check=False)
    if archive.returncode:
        raise SystemExit(
            f"stage before needs the project's git history with commit {commit}: {archive.stderr.decode()}"
        )
    subprocess.run(["tar", "-x", "-C", str(source)], input=archive.stdout, check=True)
    pip: list[Any] = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--no-build-isolation", "--no-deps", "--target", packages, source], check=True)
    return str(packages)
