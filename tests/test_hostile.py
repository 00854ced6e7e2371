"""Hostile and odd files end in coefficients or a JpegError with a place, quickly and in bounded memory."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from jpegfreq import JpegError, read_coefficients, read_coefficients_batch, read_header
from tests.support import data_files, unavailable

FOLDERS = ["hostile", "odd"]
SECONDS_A_FILE = 1.0
SCRATCH_BYTES = 4 << 20  # per thread, in addition to the coefficients and the input
BATCH = 32

_WITH_PLACE = re.compile(r"(image \d+: )?(\S.* at )?byte \d+: \S")


def complaint(error: JpegError) -> str:
    """Return the error's text, after checking that it names a place and has no placeholder left."""
    text = str(error)
    assert _WITH_PLACE.match(text), text
    assert "{}" not in text, text
    assert error.offset_bytes is not None
    return f"{type(error).__name__}: {text}"


class PeakMemory:
    """The highest resident memory of this process since reset(), from /proc."""

    @staticmethod
    def _field(name: str) -> int:
        match = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
        assert match is not None
        return int(match[1]) << 10

    def reset(self) -> None:
        Path("/proc/self/clear_refs").write_text("5")
        self.before = self._field("VmRSS")

    def growth(self) -> int:
        return self._field("VmHWM") - self.before


@pytest.fixture
def peak_memory() -> PeakMemory:
    peak = PeakMemory()
    try:
        peak.reset()
    except OSError as error:
        unavailable(f"this system does not tell peak memory: {error}")
    return peak


def plane_bytes(data: bytes) -> int:
    """Compute the memory for the size that the header declares."""
    try:
        components = read_header(data).components
    except JpegError:
        return 0
    return sum(component.blocks_high * component.blocks_wide for component in components) * 128


@dataclass
class Slowest:
    seconds: float = 0.0
    call: str = ""

    @contextmanager
    def timed(self, call: str) -> Iterator[None]:
        began = time.thread_time()
        try:
            yield
        finally:
            seconds = time.thread_time() - began
            if seconds > self.seconds:
                self.seconds, self.call = seconds, call


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_file_ends_quickly_in_coefficients_or_a_jpeg_error(folder: str) -> None:
    slowest = Slowest()
    for path in data_files(folder):
        data = path.read_bytes()
        header, raised = None, None
        with slowest.timed(f"read_header {path.name}"):
            try:
                header = read_header(data)
            except JpegError as error:
                raised = complaint(error)
        with slowest.timed(f"read_coefficients {path.name}"):
            try:
                whole = read_coefficients(data)
            except JpegError as error:
                assert raised in (None, complaint(error)), path.name
                raised = complaint(error)
            else:
                assert whole.damage is None
                assert whole.header == header
        with slowest.timed(f"read_coefficients, damage kept, {path.name}"):
            try:
                kept = read_coefficients(data, damage="keep")
            except JpegError as error:
                assert complaint(error) == raised, path.name
            else:
                assert kept.header == header, path.name
                # Without the check of the declared size, the data's own error appears.
                told = None if kept.damage is None else complaint(kept.damage)
                assert told == raised or (raised is not None and "promises" in raised and told is not None), path.name
    assert slowest.seconds < SECONDS_A_FILE, slowest.call


@pytest.mark.parametrize("damage", ["raise", "keep"])
@pytest.mark.parametrize("folder", FOLDERS)
def test_memory_stays_within_the_size_the_header_declares(
    folder: str, damage: Literal["raise", "keep"], peak_memory: PeakMemory
) -> None:
    for path in data_files(folder):
        data = path.read_bytes()
        promise = plane_bytes(data)
        peak_memory.reset()
        try:
            read_coefficients(data, damage=damage)
        except JpegError as error:
            complaint(error)
        assert peak_memory.growth() <= promise + len(data) + SCRATCH_BYTES, path.name


@pytest.mark.parametrize("folder", FOLDERS)
def test_max_pixels_bounds_memory_whatever_the_header_declares(folder: str, peak_memory: PeakMemory) -> None:
    max_pixels = 1 << 16
    for path in data_files(folder):
        data = path.read_bytes()
        peak_memory.reset()
        try:
            read_coefficients(data, max_pixels=max_pixels)
        except JpegError as error:
            complaint(error)
        # Four components; a component narrower than a block still has whole blocks.
        assert peak_memory.growth() <= 4 * max(2 * max_pixels, 128 << 10) + len(data) + SCRATCH_BYTES, path.name


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_batch_gives_each_file_the_same_error_as_a_single_read(folder: str) -> None:
    paths = data_files(folder)
    for start in range(0, len(paths), BATCH):
        images = [path.read_bytes() for path in paths[start : start + BATCH]]
        results = read_coefficients_batch(images, threads=2, errors="return")
        for path, data, result in zip(paths[start:], images, results, strict=False):
            try:
                read_coefficients(data)
                alone = None
            except JpegError as error:
                alone = complaint(error)
            together = re.sub(r"image \d+: ", "", complaint(result)) if isinstance(result, JpegError) else None
            assert together == alone, path.name
