"""The rounds in which a profile takes its times: every method on every batch in turn, by CPU time."""

from __future__ import annotations

import gc
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import jpegfreq
from jpegfreq.failures import message_of
from jpegfreq.report.laps import Laps
from jpegfreq.report.pipelines import BATCH, Draw, Pipeline, entropy_of_ours, scaled_decoders
from jpegfreq.report.sampling import spread_order
from jpegfreq.store.prepare import prepare_jpeg

if TYPE_CHECKING:
    from jpegfreq.report.sampling import File, Files

__all__ = ["Progress", "Rounds"]

LEAST_ROUNDS, MOST_ROUNDS = 3, 15

Progress: TypeAlias = Callable[[str, float], None]
_Work: TypeAlias = Callable[[Sequence[bytes], Sequence[Draw]], Any]


class Rounds:
    """Times by pipeline and stage, per image, one value per round.

    Attributes:
        pipelines: what is timed; one that fails on a batch, though on none of its images alone, is taken out.
        failed: the names of those.
        read: seconds to read a file.
        stages: the seconds of each stage of each pipeline.
        scaled: the seconds of decoding at 1/8 of the size, by decoder.
        entropy: the seconds of jpegfreq's entropy decoding.
        whole: the seconds of jpegfreq on whole images, by what it returns.
        prepared: the seconds of one pipeline on the files as `jpegfreq prepare` writes them, without reading.
        prepared_size_ratio: the size of those files divided by that of the originals.
    """

    def __init__(
        self, files: Files, pipelines: Sequence[Pipeline], draws: dict[int, Draw], on_prepared: Pipeline
    ) -> None:
        """Get ready for everything that is timed.

        Args:
            files: the files.
            pipelines: what is timed on them as they are.
            draws: the crop of each file, by its index.
            on_prepared: what is timed on them as `jpegfreq prepare` writes them.
        """
        self.pipelines = list(pipelines)
        self.failed: list[str] = []
        self._files = files
        self._draws = draws
        self.read: list[float] = []
        self.stages: list[dict[str, list[float]]] = [{} for _ in pipelines]
        self.scaled: dict[str, list[float]] = {}
        self.entropy: list[float] = []
        self.whole: dict[str, list[float]] = {}
        self.prepared: list[float] = []
        self.prepared_size_ratio = 1.0
        self._on_prepared = on_prepared
        self._prepared: dict[int, bytes] = {}
        self._scaled = {name: _each(decode) for name, decode in scaled_decoders()}
        self._whole = _whole_images()

    @property
    def count(self) -> int:
        """How many rounds were timed."""
        return len(self.read)

    def readable(
        self, sample: Sequence[File], seconds: float, progress: Progress
    ) -> tuple[list[File], list[tuple[str, str]]]:
        """Let every pipeline read every image once, which also loads and compiles what is done at first use.

        Args:
            sample: the images.
            seconds: stop after this time; the images read until then have each kind in its share.
            progress: is told what is being done.

        Returns:
            The images that every pipeline can read, in the order of the sample; the names of the others, and why.
        """
        order = spread_order(sample)
        careful = sorted(self.pipelines, key=lambda pipeline: not pipeline.ours)  # no library sees what we refuse
        found: set[int] = set()
        left_out: list[tuple[str, str]] = []
        start = time.perf_counter()
        for n, file in enumerate(order):
            if n == 1:  # the first image loads and compiles what is done at first use
                start = time.perf_counter()
            passed = time.perf_counter() - start
            if n > 1 and passed > seconds:
                break
            progress("reading every image once", min(1, max(n / len(order), passed / max(1e-9, seconds))))
            name = ""
            try:
                data = self._files.read(file.index)
                for pipeline in careful:
                    name = f"{pipeline.name}: "
                    pipeline.run([data], [self._draws[file.index]], Laps())
                name = "jpegfreq prepare: "
                self._prepared[file.index] = prepare_jpeg(data)
            except Exception as error:  # each library has its own
                left_out.append((self._files.name(file.index), name + message_of(error)))
            else:
                found.add(file.index)
        return [file for file in sample if file.index in found], left_out

    def time(self, chosen: Sequence[File], end: float, progress: Progress) -> list[File]:
        """Time everything, in rounds, until `end` of time.perf_counter(), but at least three times.

        Args:
            chosen: the images.
            end: when to stop. If the first round shows that three do not fit, they begin again with fewer images.
            progress: is told what is being done.

        Returns:
            The images that were timed.
        """
        start = begin = time.perf_counter()
        is_thinned = False
        with _collector_off():
            while self.count < MOST_ROUNDS and (self.count < LEAST_ROUNDS or self._another_fits(begin, end)):
                progress("timing", min(1, (time.perf_counter() - start) / max(1e-9, end - start)))
                chunks = [chosen[n : n + BATCH] for n in range(0, len(chosen), BATCH)]
                try:
                    self._round(chunks, len(chosen))
                except _FailedError as failed:  # begin again without it
                    self.failed.append(self.pipelines.pop(failed.pipeline).name)
                    self._forget()
                    begin = time.perf_counter()
                    continue
                now = time.perf_counter()
                if self.count == 1 and not is_thinned and (LEAST_ROUNDS - 1) * (now - begin) > 1.2 * (end - now):
                    is_thinned = True
                    share = max(0.0, end - now) / (LEAST_ROUNDS * (now - begin))
                    kept = spread_order(chosen)[: max(1, int(share * len(chosen)))]
                    chosen = sorted(kept, key=lambda file: file.index)
                    self._forget()
                    begin = now
        prepared = sum(len(self._prepared[file.index]) for file in chosen)
        self.prepared_size_ratio = prepared / sum(file.size_bytes for file in chosen)
        return list(chosen)

    def _forget(self) -> None:
        """Drop all times."""
        self.read, self.entropy, self.prepared = [], [], []
        self.stages = [{} for _ in self.pipelines]
        self.scaled, self.whole = {}, {}

    def _another_fits(self, begin: float, end: float) -> bool:
        now = time.perf_counter()
        return now + (now - begin) / self.count <= end

    def _round(self, chunks: Sequence[Sequence[File]], count: int) -> None:
        works: list[Callable[[Sequence[bytes], Sequence[Draw], Laps], Any]] = [
            *(pipeline.run for pipeline in self.pipelines),
            self._on_prepared.run,
            *map(_one_lap, (entropy_of_ours, *self._scaled.values(), *self._whole.values())),
        ]
        taken: list[Counter[str]] = [Counter() for _ in works]
        read = 0
        for part, chunk in enumerate(chunks):
            laps = Laps()
            images = [self._files.read(file.index) for file in chunk]
            laps.lap("")
            read += laps.nanoseconds[""]
            prepared = [self._prepared[file.index] for file in chunk]
            draws = [self._draws[file.index] for file in chunk]
            for turn in range(len(works)):
                n = (turn + part + self.count) % len(works)
                laps = Laps()
                try:
                    works[n](prepared if n == len(self.pipelines) else images, draws, laps)
                except Exception as error:
                    if n < len(self.pipelines) and not self.pipelines[n].ours:
                        raise _FailedError(n) from error
                    raise
                taken[n].update(laps.nanoseconds)
        per_image = 1e-9 / count
        self.read.append(read * per_image)
        for stages, nanoseconds in zip(self.stages, taken, strict=False):
            for stage, value in nanoseconds.items():
                stages.setdefault(stage, []).append(value * per_image)
        self.prepared.append(taken[len(self.pipelines)].total() * per_image)
        entropy, *others = (nanoseconds[""] * per_image for nanoseconds in taken[len(self.pipelines) + 1 :])
        self.entropy.append(entropy)
        for name, seconds in zip(self._scaled, others, strict=False):
            self.scaled.setdefault(name, []).append(seconds)
        for name, seconds in zip(self._whole, others[len(self._scaled) :], strict=True):
            self.whole.setdefault(name, []).append(seconds)

    def totals(self, pipeline: int) -> list[float]:
        """Return the seconds per image of a pipeline, reading included, of each round."""
        return [sum(values) for values in zip(self.read, *self.stages[pipeline].values(), strict=True)]

    def entropy_seconds(self, pipeline: Pipeline) -> float | None:
        """Return the seconds per image of a pipeline's entropy decoding; None if nothing installed tells."""
        if pipeline.ours:
            return statistics.median(self.entropy)
        known = self.scaled.get(pipeline.decoder) or next(iter(self.scaled.values()), None)
        return None if known is None else statistics.median(known)


class _FailedError(Exception):
    """A library's pipeline fails on a batch."""

    def __init__(self, pipeline: int) -> None:
        super().__init__(pipeline)
        self.pipeline = pipeline


def _one_lap(work: _Work) -> Callable[[Sequence[bytes], Sequence[Draw], Laps], None]:
    def run(images: Sequence[bytes], draws: Sequence[Draw], laps: Laps) -> None:
        work(images, draws)
        laps.lap("")

    return run


def _each(decode: Callable[[bytes], Any]) -> _Work:
    def run(images: Sequence[bytes], draws: Sequence[Draw]) -> None:
        for data in images:
            decode(data)

    return run


def _whole_images() -> dict[str, _Work]:
    """Make jpegfreq's ways to decode whole images, by what they return."""
    small = jpegfreq.TensorFormat(24)

    def batch(images: Sequence[bytes], draws: Sequence[Draw]) -> None:
        jpegfreq.read_coefficients_batch(images, threads=1)

    return {
        "int16 coefficients, one image at a time": _each(jpegfreq.read_coefficients),
        "int16 coefficients, in a batch": batch,
        "float32 tensor of 192 channels": _each(
            lambda data: jpegfreq.to_frequency_tensor(jpegfreq.read_coefficients(data))
        ),
        "float32 tensor of 24 channels": _each(
            lambda data: jpegfreq.to_frequency_tensor(jpegfreq.read_coefficients(data), small)
        ),
    }


@contextmanager
def _collector_off() -> Iterator[None]:
    """Keep Python's garbage collector from running inside a measurement."""
    gc.collect()
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
