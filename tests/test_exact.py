"""Bit for bit with libjpeg-turbo, on every file there is; and where we differ from it, why.

libjpeg decides which files are good: what it reads without a warning we read to the same coefficients, tables, size and
colour. What it warns of or refuses, we raise or report as damage; the exceptions are rules with reasons (ACCEPTED,
REFUSED), never names of files.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from jpegfreq import Coefficients, JpegError, read_coefficients, read_coefficients_batch, read_header
from tests.oracle import Oracle, OracleResult
from tests.support import data_files

FOLDERS = ["photos", "imagenette", "flowers", "coco", "large", "odd", "hostile"]

# What libjpeg warns of or refuses, and we accept: its words, and why nothing is lost.
ACCEPTED = {
    r"extraneous bytes before marker": "bytes that belong to no segment are skipped: the scans around them are whole",
    r"Premature end of JPEG file": "every block was there and only EOI is missing",
    r"Invalid SOS parameters for sequential JPEG": "a sequential scan codes all 64 coefficients, whatever they say",
    r"Unknown Adobe color transform": "concerns the colour kind only",
    r"unknown JFIF revision": "concerns no coefficient",
    r"Empty JPEG image \(DNL not supported\)": "T.81 B.2.5; libjpeg does not read DNL",
}

# What libjpeg reads without a warning, and we refuse: our words, and why it is right to.
REFUSED = {
    r"component \d+ has no scan": "a component that no scan codes would be silently zero",
}


def libjpeg_texts(theirs: OracleResult) -> list[str]:
    return [*theirs.warnings, *([theirs.error] if theirs.error else [])]


def matches(text: str, rules: Iterable[str]) -> bool:
    return any(re.search(rule, text) for rule in rules)


def assert_equal(ours: Coefficients, theirs: OracleResult) -> None:
    header = ours.header
    assert (header.height, header.width, header.precision) == (theirs.height, theirs.width, theirs.precision)
    assert len(ours.planes) == len(theirs.components)
    for plane, table, component, c in zip(
        ours.planes, ours.quantization_tables, header.components, theirs.components, strict=True
    ):
        assert component.identifier == c.identifier
        assert component.horizontal_sampling_factor == c.horizontal_sampling_factor
        assert component.vertical_sampling_factor == c.vertical_sampling_factor
        assert c.plane is not None
        assert np.array_equal(plane, c.plane)
        assert np.array_equal(table, c.quantization_table)


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_file_reads_as_libjpeg_reads_it(folder: str, oracle: Oracle) -> None:
    failures, compared = [], 0
    for path in data_files(folder):
        data = path.read_bytes()
        theirs = oracle.read(data)
        if theirs.over_limits:
            continue
        try:
            ours = read_coefficients(data)
            complaint = None
        except JpegError as error:
            complaint = str(error)
        try:
            if theirs.clean and complaint is None:
                assert_equal(ours, theirs)
                compared += 1
            elif theirs.clean:
                assert complaint is not None
                assert matches(complaint, REFUSED), complaint
                kept = read_coefficients(data, damage="keep")
                assert kept.damage is not None
                assert_equal(kept, theirs)
            elif complaint is None:
                unexplained = [text for text in libjpeg_texts(theirs) if not matches(text, ACCEPTED)]
                assert not unexplained, f"read without a word; libjpeg says: {unexplained}"
                if theirs.error is None:
                    assert_equal(ours, theirs)
        except AssertionError as failure:
            failures.append(f"{path.name}: {str(failure) or 'the coefficients or tables differ'}")
    assert not failures, "\n".join([f"{len(failures)} files, {compared} equal", *failures[:20]])
    assert compared > 0


@pytest.mark.parametrize("folder", FOLDERS)
def test_colour_kind_is_libjpegs(folder: str, oracle: Oracle) -> None:
    differ = []
    for path in data_files(folder):
        data = path.read_bytes()
        theirs = oracle.read(data, max_blocks=0)  # the header only
        if not theirs.header_read:
            continue
        try:
            header = read_header(data)
        except JpegError:
            continue
        if header.color.lower() != theirs.color:
            differ.append((path.name, header.color, theirs.color))
    assert not differ


def test_system_libjpeg_agrees_with_the_better_one(oracles: list[Oracle]) -> None:
    """Two versions of libjpeg-turbo read the 8-bit files alike: the truth does not hang on one build."""
    if len(oracles) < 2:
        pytest.skip("only one libjpeg here")
    for path in data_files("odd"):
        data = path.read_bytes()
        one, other = (oracle.read(data, max_blocks=1 << 18) for oracle in (oracles[0], oracles[-1]))
        if one.clean and other.clean:
            for a, b in zip(one.components, other.components, strict=True):
                assert np.array_equal(a.plane, b.plane), path.name  # type: ignore[arg-type]
                assert np.array_equal(a.quantization_table, b.quantization_table), path.name


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of damaged EXIF segments
@pytest.mark.parametrize("folder", FOLDERS)
def test_exif_orientation_is_pillows(folder: str) -> None:
    image_module = pytest.importorskip("PIL.Image")
    differ = []
    for path in data_files(folder):
        data = path.read_bytes()
        try:
            header = read_header(data)
            with image_module.open(io.BytesIO(data)) as image:
                exif = image_module.Exif()  # the EXIF segment alone; getexif() would ask XMP too
                exif.load(image.info.get("exif"))
                theirs = exif.get(0x0112, 1)
        except Exception:  # not a file that both can open
            continue
        if header.orientation != (theirs if theirs in range(1, 9) else 1):
            differ.append((path.name, header.orientation, theirs))
    assert not differ


# ------------------------------------------------------------------------- every way to the same coefficients


def digest(result: Coefficients | BaseException) -> str:
    """Planes, tables and the damage's text, in one hash; of an error, its text."""
    if isinstance(result, BaseException):
        return f"{type(result).__name__}: {result}"
    out = hashlib.sha256()
    for array in (*result.planes, *result.quantization_tables):
        out.update(repr(array.shape).encode())
        out.update(array.tobytes())
    return f"{out.hexdigest()} {result.damage}"


@cache
def digests(folder: str) -> list[str]:
    """Of every file, damage kept."""
    out = []
    for path in data_files(folder):
        try:
            out.append(digest(read_coefficients(path, damage="keep")))
        except JpegError as error:
            out.append(digest(error))
    return out


def batch_digests(paths: list[Path], threads: int) -> list[str]:
    """The same through the batch, in pieces that bound memory; its errors name the image's place, which is cut off."""
    out = []
    for start in range(0, len(paths), 64):
        results = read_coefficients_batch(paths[start : start + 64], threads=threads, damage="keep", errors="return")
        out += [re.sub(r"\bimage \d+: ", "", digest(result)) for result in results]
    return out


def assert_same(paths: list[Path], one: list[str], other: list[str]) -> None:
    differ = [f"{p.name}: {a} / {b}" for p, a, b in zip(paths, one, other, strict=True) if a != b]
    assert not differ, "\n".join([f"{len(differ)} files", *differ[:20]])


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("threads", [1, 2])
def test_batch_reads_what_single_calls_read(folder: str, threads: int) -> None:
    paths = data_files(folder)
    assert_same(paths, digests(folder), batch_digests(paths, threads))


_DIGESTS_OF_A_FOLDER = """
import sys
from tests.support import data_files
from tests.test_exact import batch_digests, digests
from jpegfreq._native import instruction_set
assert instruction_set() == "generic", instruction_set()
paths = data_files(sys.argv[1])
one, batch = digests(sys.argv[1]), batch_digests(paths, 1)
print("\\n".join(f"{a}\\t{b}" for a, b in zip(one, batch)))
"""


@pytest.mark.parametrize("folder", FOLDERS)
def test_plain_path_equals_the_fast_path(folder: str) -> None:
    paths = data_files(folder)
    done = subprocess.run(
        [sys.executable, "-c", _DIGESTS_OF_A_FOLDER, folder],
        cwd=Path(__file__).parents[1],
        env={**os.environ, "JPEGFREQ_INSTRUCTION_SET": "generic"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    fast = digests(folder)
    assert_same(paths, fast, [line[0] for line in lines])
    assert_same(paths, fast, [line[1] for line in lines])
