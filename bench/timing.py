"""Interleaved measurement: every method on every input in turn, round after round, with ratios within a round.

Two times can only be compared if they were taken under the same conditions. So in each round an input goes through all
methods directly one after the other, and a different method begins with each input. A round's ratio is the ratio of the
total times. The result is the median over rounds with the 10th and 90th percentile.

The time is the CPU time of the whole process with its helper threads; it is wall time where threads are compared.

A round is set aside, for all methods alike, if the machine was busy with something else:
- CPU time: if the process was off the CPU for more than 2 % of the round (wall time against CPU time);
- wall time: if other processes or the hypervisor used more than 5 % of the cores (/proc/stat).
The rule never looks at the ratios. If fewer than five rounds are left, all of them are used, and the row says so.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

Clock = Literal["cpu", "wall"]
Unit = TypeVar("Unit")

OFF_CPU_LIMIT = 0.02
OTHERS_LIMIT = 0.05
LEAST_ROUNDS = 5


@dataclass(frozen=True)
class Method(Generic[Unit]):
    """One way to do the work. `verify` describes how its result differs from the reference, or returns ""."""

    name: str
    run: Callable[[Unit], object]
    verify: Callable[[Unit], str] = lambda unit: ""
    strict: bool = False  # for our side: any difference stops the benchmark


@dataclass
class Samples:
    """Times in nanoseconds, [round, method, unit], and for each round whether it was disturbed."""

    names: list[str]
    readable: NDArray[np.bool_]  # [method, unit]
    notes: list[str]  # one per method
    images: NDArray[np.int64]  # number of images in each unit: one, or a batch
    clock: Clock = "cpu"
    rounds: list[NDArray[np.int64]] = field(default_factory=list)
    disturbed: list[bool] = field(default_factory=list)


@dataclass(frozen=True)
class Comparison:
    """One method against the baseline, over the inputs that it can read."""

    method: str
    baseline: str
    ratio: float  # time of the baseline / time of the method, median over rounds; above 1 is faster
    ratio_low: float  # 10th percentile
    ratio_high: float  # 90th percentile
    ratio_per_unit: float  # geometric mean over inputs of the median ratio, in which every input counts the same
    seconds: float  # of one round, median
    images: int
    rounds: int
    rounds_set_aside: int
    note: str


def others_busy_seconds() -> float:
    """Return the CPU seconds since boot that other processes used, including stolen time (/proc/stat)."""
    with open("/proc/stat", encoding="ascii") as lines:
        values = [int(value) for value in lines.readline().split()[1:9]]
    user, nice, system, _idle, _iowait, irq, softirq, steal = values
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK") - time.process_time()


def verify(units: Sequence[Unit], methods: Sequence[Method[Unit]], clock: Clock = "cpu") -> Samples:
    """Run every method once on every input, without timing it, and compare the result with the reference."""
    readable = np.ones((len(methods), len(units)), dtype=np.bool_)
    notes = []
    for m, method in enumerate(methods):
        differing, failing, example = 0, 0, ""
        for u, unit in enumerate(units):
            try:
                difference = method.verify(unit)
            except Exception as error:
                if method.strict:
                    raise
                readable[m, u] = False
                failing += 1
                example = example or f"{type(error).__name__}: {error}"
                continue
            if difference and method.strict:
                raise AssertionError(f"{method.name}, input {u}: {difference}")
            differing += bool(difference)
            example = example or difference
        parts = [f"{failing} of {len(units)} not read"] if failing else []
        parts += [f"{differing} of {len(units)} differ"] if differing else []
        notes.append(", ".join(parts) + (f" ({example.splitlines()[0][:80]})" if example else ""))
    images = np.array([len(unit) if isinstance(unit, tuple) else 1 for unit in units])
    return Samples([method.name for method in methods], readable, notes, images, clock)


def measure(
    units: Sequence[Unit],
    methods: Sequence[Method[Unit]],
    *,
    seconds: float,
    clock: Clock = "cpu",
    minimum_rounds: int = 7,
) -> Samples:
    """Verify, warm up with one round, then measure for about `seconds`, but at least `minimum_rounds` rounds."""
    samples = verify(units, methods, clock)
    _round(units, methods, samples, 0)
    gc.collect()
    gc.disable()
    try:
        end = time.perf_counter() + seconds
        while len(samples.rounds) < minimum_rounds or time.perf_counter() < end:
            times, disturbed = _round(units, methods, samples, len(samples.rounds))
            samples.rounds.append(times)
            samples.disturbed.append(disturbed)
    finally:
        gc.enable()
    return samples


def _round(
    units: Sequence[Unit], methods: Sequence[Method[Unit]], samples: Samples, number: int
) -> tuple[NDArray[np.int64], bool]:
    cpu = np.zeros((len(methods), len(units)), dtype=np.int64)
    wall = np.zeros_like(cpu)
    others_start, round_start = others_busy_seconds(), time.perf_counter()
    for u, unit in enumerate(units):
        for turn in range(len(methods)):
            m = (turn + u + number) % len(methods)
            if not samples.readable[m, u]:
                continue
            run = methods[m].run
            wall_start = time.perf_counter_ns()
            cpu_start = time.process_time_ns()
            run(unit)  # the result is dropped at once, because freeing it is part of the cost
            cpu[m, u] = time.process_time_ns() - cpu_start
            wall[m, u] = time.perf_counter_ns() - wall_start
    if samples.clock == "cpu":
        return cpu, bool(wall.sum() - cpu.sum() > OFF_CPU_LIMIT * wall.sum())
    available = (time.perf_counter() - round_start) * (os.cpu_count() or 1)
    return wall, others_busy_seconds() - others_start > OTHERS_LIMIT * available


def compare(samples: Samples, baseline: str, only: Sequence[int] | None = None) -> list[Comparison]:
    """Compare every method with the baseline (and the baseline with itself), over all inputs or `only` some."""
    chosen = np.ones(samples.readable.shape[1], dtype=np.bool_)
    if only is not None:
        chosen[:] = False
        chosen[list(only)] = True
    quiet = [times for times, disturbed in zip(samples.rounds, samples.disturbed, strict=True) if not disturbed]
    busy_machine = len(quiet) < LEAST_ROUNDS
    rounds = np.stack(samples.rounds if busy_machine else quiet)  # [round, method, unit]
    base = samples.names.index(baseline)
    comparisons = []
    for m, name in enumerate(samples.names):
        both = samples.readable[m] & samples.readable[base] & chosen
        if not both.any():
            continue
        own, reference = rounds[:, m, both], rounds[:, base, both]
        ratios = reference.sum(axis=1) / own.sum(axis=1)
        low, median, high = np.percentile(ratios, [10, 50, 90])
        per_unit = np.exp(np.log(np.median(reference / own, axis=0)).mean())
        notes = [samples.notes[m]] if samples.notes[m] else []
        notes += ["the machine was busy: no round set aside"] if busy_machine else []
        comparisons.append(
            Comparison(
                method=name,
                baseline=baseline,
                ratio=float(median),
                ratio_low=float(low),
                ratio_high=float(high),
                ratio_per_unit=float(per_unit),
                seconds=float(np.median(own.sum(axis=1)) / 1e9),
                images=int(samples.images[both].sum()),
                rounds=len(rounds),
                rounds_set_aside=len(samples.rounds) - len(rounds),
                note="; ".join(notes),
            )
        )
    return comparisons
