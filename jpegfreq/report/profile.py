"""What training input costs on a user's own files today, and what it would cost with jpegfreq."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jpegfreq._words import counted
from jpegfreq.crops import random_resized_crop_box
from jpegfreq.report.machine import Noise, machine
from jpegfreq.report.page import Tile
from jpegfreq.report.pipelines import (
    COLOR,
    DECODE,
    ENTROPY,
    ONE_CALL,
    RGB_SIZE,
    Draw,
    Pipeline,
    on_one_thread,
    ours,
    rgb_pipelines,
)
from jpegfreq.report.rounds import Rounds
from jpegfreq.report.sampling import File, Files, FolderKind, even_sample, kinds_of, scan

if TYPE_CHECKING:
    import os

    from jpegfreq.report.rounds import Progress

__all__ = ["READ", "Prepared", "Profile", "Row", "WholeRow", "profile"]

READ = "read the file"

CHECK_SHARE = 0.14  # of the time, at most, for reading every image once; at least three longer rounds have to fit, too
UNSTEADY = 0.1  # a spread between rounds that is worth a warning, as a share of the median
BUSY = 0.1  # a share of the cores that other processes use, likewise
LARGE = 1_000_000  # pixels: half the images must have more for a decoder at reduced size to be measured
DRAWS_SEED = 0  # that of bench/bench_crops.py: the same files give the same crops

# What the headline compares with: as few bytes as networks trained on RGB take without losing accuracy.
THEN = ("48 channels of 224 px", "float16")


@dataclass(frozen=True)
class Row:
    """The time of one pipeline, from file to a normalized batch of crops.

    Attributes:
        name: of the libraries.
        input: what the network gets.
        ours: whether it is jpegfreq's.
        shape: of one image's tensor.
        dtype: of its values.
        size_bytes: of one image's tensor.
        seconds: CPU time per image, median over the rounds.
        seconds_low: 10th percentile.
        seconds_high: 90th percentile.
        stages: the seconds of each stage, by its name, in order; they add up to `seconds`.
        note: what to know when comparing it; "" for nothing.
    """

    name: str
    input: str
    ours: bool
    shape: tuple[int, ...]
    dtype: str
    size_bytes: int
    seconds: float
    seconds_low: float
    seconds_high: float
    stages: dict[str, float]
    note: str

    @property
    def images_per_second(self) -> float:
        """How many images one core makes ready per second."""
        return 1 / max(self.seconds, 1e-9)


@dataclass(frozen=True)
class WholeRow:
    """The time to decode whole images, from memory.

    Attributes:
        name: of the decoder.
        result: what it returns.
        ours: whether it is jpegfreq's.
        seconds: CPU time per image, median over the rounds.
    """

    name: str
    result: str
    ours: bool
    seconds: float


@dataclass(frozen=True)
class Prepared:
    """The same files as `jpegfreq prepare` writes them: the same coefficients, with restart markers.

    Attributes:
        seconds: CPU time per image of the headline's pipeline on them, median over the rounds.
        speed_up: how many times as fast as on the files as they are that is, median over the rounds.
        size_ratio: their size divided by that of the files as they are.
    """

    seconds: float
    speed_up: float
    size_ratio: float


@dataclass(frozen=True)
class Profile:
    """What was measured on a sample of some files, and what it means for all of them.

    Attributes:
        files: how many files there are.
        scanned: of how many the headers were read.
        measured: how many were measured.
        cut: how many more would have been measured if there had been more time.
        mean_size_bytes: of the files whose headers were read.
        kinds: which kinds of file there are, the most frequent first.
        rows: RGB pipelines first.
        whole: times for whole images.
        today: name of the RGB row that the headline takes for today's; None if none is installed.
        speed_up: how many times as fast as today's row jpegfreq is, median over the rounds; None if none is installed.
        speed_up_low: 10th percentile.
        speed_up_high: 90th percentile.
        prepared: the same files after `jpegfreq prepare`.
        target_rate: images per second that the accelerators take.
        rounds: how often everything was timed.
        left_out: names of the files that a pipeline could not read, and why.
        missing: names of the RGB pipelines that were not measured, and why.
        warnings: what makes the figures doubtful.
        machine: what they were measured on.
        seconds_taken: how long profiling took.
    """

    files: int
    scanned: int
    measured: int
    cut: int
    mean_size_bytes: float
    kinds: tuple[FolderKind, ...]
    rows: tuple[Row, ...]
    whole: tuple[WholeRow, ...]
    today: str | None
    speed_up: float | None
    speed_up_low: float | None
    speed_up_high: float | None
    prepared: Prepared
    target_rate: float
    rounds: int
    left_out: tuple[tuple[str, str], ...]
    missing: tuple[str, ...]
    warnings: tuple[str, ...]
    machine: dict[str, Any]
    seconds_taken: float

    @property
    def today_row(self) -> Row | None:
        """The row of today's pipeline."""
        return next((row for row in self.rows if not row.ours and row.name == self.today), None)

    @property
    def then_row(self) -> Row:
        """The row of jpegfreq's pipeline that the headline compares with it."""
        return next(row for row in self.rows if row.ours and (row.input, row.dtype) == THEN)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold, with what the headline derives from them."""
        today, then = self.today_row, self.then_row
        headline = {
            name: None if row is None else {
                "pipeline": row.name,
                "input": row.input,
                "dtype": row.dtype,
                "images_per_second_per_core": row.images_per_second,
                "cores_for_target_rate": self.target_rate * row.seconds,
                "cpu_hours_per_epoch": self.files * row.seconds / 3600,
                "bytes_per_image": row.size_bytes,
            }
            for name, row in (("today", today), ("then", then))
        }  # fmt: skip
        return {"headline": headline, **asdict(self)}

    def to_json(self) -> str:
        """Return the profile as JSON text."""
        return json.dumps(self.to_dict(), indent=1)

    @property
    def sampling(self) -> str:
        """How many files there are, and which of them were measured."""
        read = "all" if self.scanned == self.files else f"{self.scanned:,} drawn at random"
        text = (
            f"{counted(self.files, 'file')}; headers read: {read}; measured: {self.measured:,}, each kind in its share"
        )
        if self.cut:
            text += f" (there was not enough time for {self.cut:,} more)"
        return text

    @property
    def verdict(self) -> str:
        """The result in one or two sentences."""
        today, then = self.today_row, self.then_row
        if today is None or self.speed_up is None:
            return (
                f"With jpegfreq an image costs {1e3 * then.seconds:.2f} ms of one core, from file to batch. No RGB "
                "library is installed to compare with."
            )
        return (
            f"Today an image costs {1e3 * today.seconds:.2f} ms of one core, from file to batch ({today.name}). With "
            f"jpegfreq it costs {1e3 * then.seconds:.2f} ms: {self.speed_up:.1f} times as fast "
            f"({self.speed_up_low:.1f} to {self.speed_up_high:.1f} between rounds)."
        )

    @property
    def tiles(self) -> tuple[Tile, ...]:
        """The figures of the headline."""
        today, then = self.today_row, self.then_row
        rate = f"{self.target_rate:,.0f}"
        unit, per_unit = _time_unit(self.files * max(then.seconds, today.seconds if today else 0))

        def both(figure: Callable[[Row], str]) -> tuple[str, str]:
            return "" if today is None else figure(today), figure(then)

        tiles = [
            Tile("images/s per core", *both(lambda row: f"{row.images_per_second:,.0f}"), "from file to batch"),
            Tile(
                f"cores to feed {rate} images/s",
                *both(lambda row: f"{self.target_rate * row.seconds:.1f}"),
                "the rate of --target-rate",
            ),
            Tile(
                f"CPU {unit} per epoch",
                *both(lambda row: _short(self.files * row.seconds / per_unit)),
                "for the one file" if self.files == 1 else f"for all {self.files:,} files",
            ),
            Tile(
                "kB per image to the accelerator",
                *both(lambda row: f"{row.size_bytes / 1e3:.0f}"),
                f"float32 RGB; as uint8 {today.size_bytes / 4e3:.0f} kB" if today else "",
            ),
        ]
        prepared = self.prepared
        tiles.append(
            Tile(
                "images/s per core after jpegfreq prepare",
                f"{then.images_per_second:,.0f}" if today else "",
                f"{1 / max(prepared.seconds, 1e-9):,.0f}",
                f"{prepared.speed_up:.2f} times as fast, files {prepared.size_ratio - 1:+.1%}, the same coefficients",
            )
        )
        return tuple(tiles)


def _time_unit(seconds: float) -> tuple[str, float]:
    return next((unit for unit in (("hours", 3600.0), ("minutes", 60.0)) if seconds >= unit[1]), ("seconds", 1.0))


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def profile(
    paths: Sequence[str | os.PathLike[str]],
    *,
    images: int = 200,
    seconds: float = 40,
    target_rate: float = 3000,
    today: str | None = None,
    scanned: int = 2000,
    progress: Progress = lambda what, share: None,
) -> Profile:
    """Time what training input costs on some files: with each RGB library that is installed, and with jpegfreq.

    Every pipeline goes from the file to a normalized batch of the same random crops, on one thread. Batches of at most
    50 images go through all pipelines in turn, in several rounds; CPU time is measured, so that other programs disturb
    little. The sample has every kind of file in its share. An image that one pipeline cannot read is left out for all.

    Args:
        paths: folders of JPEG files, tar shards, .txt lists of files, or files.
        images: measure at most this many.
        seconds: how long the measurement may take. At least three rounds are timed: where a sample is too dear, fewer
            images are measured.
        target_rate: images per second that the accelerators take.
        today: name of the RGB pipeline to compare with; None for the fastest that is installed.
        scanned: read the headers of at most this many files.
        progress: is told what is being done, and what share of the time has passed.

    Raises:
        FileNotFoundError: a path does not exist, or holds no JPEG file.
        OSError: a path cannot be read.
        ValueError: a path is of another kind, no pipeline is called `today`, or there is no image that every pipeline
            can read.
    """
    start = time.perf_counter()
    progress("reading headers", 0)
    files = Files(paths)
    headers = scan(files, scanned)
    sample = even_sample(headers.files, images)
    rng = np.random.default_rng(DRAWS_SEED)
    draws = {file.index: _draw(file, rng) for file in sample}
    with on_one_thread():
        rgb, missing = rgb_pipelines(are_large=_are_large(sample))
        names = [pipeline.name for pipeline in rgb]
        if today is not None and today not in names:
            raise ValueError(f"no installed pipeline is called {today!r}; there are: {', '.join(names) or 'none'}")
        rounds = Rounds(files, [*rgb, *_our_pipelines()], draws, ours(48, RGB_SIZE, "float16"))
        chosen, left_out = rounds.readable(
            sample, CHECK_SHARE * seconds, lambda what, share: progress(what, CHECK_SHARE * share)
        )
        if not chosen:
            unread = [*left_out, *headers.failed]
            reason = f": {unread[0][0]}: {unread[0][1]}" if unread else ""
            raise ValueError(f"there is no image that every pipeline can read{reason}")
        with Noise() as noise:
            chosen = rounds.time(
                chosen, start + seconds, lambda what, share: progress(what, CHECK_SHARE + (1 - CHECK_SHARE) * share)
            )
    rgb = [pipeline for pipeline in rounds.pipelines if not pipeline.ours]
    rows = _rows(rounds)
    today_row = _today(rows, rgb, today)
    then = next(n for n, row in enumerate(rows) if row.ours and (row.input, row.dtype) == THEN)
    totals = [a + b for a, b in zip(rounds.read, rounds.prepared, strict=True)]
    ratios = (
        [] if today_row is None else [a / b for a, b in zip(rounds.totals(today_row), rounds.totals(then), strict=True)]
    )
    low, middle, high = np.percentile(ratios, (10, 50, 90)).tolist() if ratios else (None, None, None)
    return Profile(
        files=len(files),
        scanned=len(headers.files) + len(headers.failed),
        measured=len(chosen),
        cut=len(sample) - len(chosen) - len(left_out),
        mean_size_bytes=statistics.mean(file.size_bytes for file in headers.files),
        kinds=kinds_of(headers.files, chosen),
        rows=tuple(rows),
        whole=_whole_rows(rounds, rgb),
        today=None if today_row is None else rows[today_row].name,
        speed_up=middle,
        speed_up_low=low,
        speed_up_high=high,
        prepared=Prepared(
            statistics.median(totals),
            statistics.median(a / b for a, b in zip(rounds.totals(then), totals, strict=True)),
            rounds.prepared_size_ratio,
        ),
        target_rate=target_rate,
        rounds=rounds.count,
        left_out=(*headers.failed, *left_out),
        missing=(
            *(f"{name} (not installed)" for name in missing),
            *(f"{name} (it fails on these files)" for name in rounds.failed),
        ),
        warnings=(*files.left_out, *_warnings(rows, today_row, then, noise)),
        machine=machine(),
        seconds_taken=time.perf_counter() - start,
    )


def _are_large(sample: Sequence[File]) -> bool:
    """Tell whether decoding at reduced size can pay for such images."""
    sizes = [file.header.height * file.header.width for file in sample]
    return bool(sizes) and statistics.median(sizes) > LARGE


def _draw(file: File, rng: np.random.Generator) -> Draw:
    box = random_resized_crop_box(file.header.height, file.header.width, rng)
    return box, bool(rng.integers(2))


def _our_pipelines() -> list[Pipeline]:
    return [
        *(ours(channels, RGB_SIZE, dtype) for channels in (192, 48, 24) for dtype in ("float32", "float16")),
        ours(192, 448, "float32"),
        ours(24, 448, "float32"),
        ours(24, 448, "float16"),
    ]


def _rows(rounds: Rounds) -> list[Row]:
    rows = []
    read = statistics.median(rounds.read)
    for n, pipeline in enumerate(rounds.pipelines):
        totals = rounds.totals(n)
        low, middle, high = np.percentile(totals, (10, 50, 90)).tolist()
        laps = {stage: statistics.median(each) for stage, each in rounds.stages[n].items()}
        stages = {READ: read, **_split(laps, pipeline, rounds)}
        scale = middle / sum(stages.values())  # a median of sums is not quite the sum of medians
        rows.append(
            Row(
                pipeline.name, pipeline.input, pipeline.ours, pipeline.shape, pipeline.dtype, pipeline.size_bytes,
                middle, low, high, {stage: scale * value for stage, value in stages.items()}, pipeline.note,
            )
        )  # fmt: skip
    return rows


def _split(laps: dict[str, float], pipeline: Pipeline, rounds: Rounds) -> dict[str, float]:
    """Tell entropy decoding from the rest of the stage that contains it."""
    first, rest = (DECODE, COLOR) if DECODE in laps else (ONE_CALL, ONE_CALL)
    entropy = rounds.entropy_seconds(pipeline)
    if entropy is None:
        return laps
    entropy = min(entropy, laps[first])
    others = {stage: value for stage, value in laps.items() if stage != first}
    return {ENTROPY: entropy, rest: laps[first] - entropy, **others}


def _today(rows: Sequence[Row], rgb: Sequence[Pipeline], wanted: str | None) -> int | None:
    """Find the RGB pipeline to compare with: the one that is wanted, or the fastest one that reads every pixel."""
    allowed = [n for n, each in enumerate(rgb) if (each.name == wanted if wanted else not each.is_reduced)]
    return min(allowed, key=lambda n: rows[n].seconds, default=None)


def _whole_rows(rounds: Rounds, rgb: Sequence[Pipeline]) -> tuple[WholeRow, ...]:
    found = []
    for n, pipeline in enumerate(rgb):
        if DECODE in rounds.stages[n] and not pipeline.is_reduced:
            name = pipeline.decoder
            found.append(WholeRow(name, "uint8 RGB", False, statistics.median(rounds.stages[n][DECODE])))
    for result, taken in rounds.whole.items():
        found.append(WholeRow("jpegfreq", result, True, statistics.median(taken)))
    return tuple(found)


def _warnings(rows: Sequence[Row], today: int | None, then: int, noise: Noise) -> Iterator[str]:
    for n in (today, then):
        if n is not None and rows[n].seconds_high - rows[n].seconds_low > UNSTEADY * rows[n].seconds:
            row = rows[n]
            yield (
                f"the time of {row.name}, {row.input}, differs by "
                f"{(row.seconds_high - row.seconds_low) / row.seconds:.0%} between rounds: the machine is not steady"
            )
    if noise.others_share > BUSY:
        yield (
            f"other programs used {noise.others_share:.0%} of this machine's cores meanwhile: profile again when it is "
            "idle for exact figures"
        )
