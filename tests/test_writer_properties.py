"""Properties of write_jpeg: any image that a JPEG can hold is read as it was, by us, by libjpeg and by the reference.

Images have any size, sampling and precision, the values of tests/generate.py (up to the limits), and any scan script.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from jpegfreq import Coefficients, Component, Header, read_coefficients, write_jpeg
from jpegfreq.writer import ScanParameters
from tests import reference
from tests.generate import FACTORS, Sampling, progressive_script, random_image, sequential_script
from tests.oracle import Oracle
from tests.support import same_coefficients

COLORS = {1: ("grey",), 2: ("unknown",), 3: ("YCbCr", "RGB"), 4: ("CMYK", "YCCK")}
SOFS = {"baseline": 0, "extended": 1, "progressive": 2, "arithmetic extended": 9, "arithmetic progressive": 10}


@dataclass(frozen=True)
class Drawn:
    """An image, and a scan script for it; None for the default."""

    coefficients: Coefficients
    scans: tuple[ScanParameters, ...] | None
    restart_rows: int | None


def drawn(seed: int, process: str, precision: int, height: int, width: int, sampling: Sampling) -> Drawn:
    rng = Random(seed)
    image = random_image(seed, sof=SOFS[process], height=height, width=width, sampling=sampling, precision=precision)
    planes = tuple(image.expected_planes())
    tables = tuple(rng.choice(image.expected_tables()) for _ in planes)
    identifiers = rng.sample(range(256), len(planes))
    components = tuple(
        Component(identifiers[c], h, v, c, *plane.shape[:2])
        for c, ((h, v), plane) in enumerate(zip(sampling, planes, strict=True))
    )
    color = rng.choice(COLORS[len(planes)])
    header = Header(height, width, precision, process, components, rng.choice([0, 0, 1, 7]), color, rng.randint(1, 8))
    scans = None
    if rng.random() < 0.7:
        made = progressive_script(sampling, rng) if "progressive" in process else sequential_script(sampling, True, rng)
        scans = tuple(ScanParameters(scan.components, scan.Ss, scan.Se, scan.Ah, scan.Al) for scan in made)
    return Drawn(Coefficients(header, planes, tables), scans, rng.choice([None, None, 0, 1, 2]))


@st.composite
def images(draw: st.DrawFn, largest_side: int = 50, processes: tuple[str, ...] = tuple(SOFS)) -> Drawn:
    process = draw(st.sampled_from(processes))
    return drawn(
        draw(st.integers(0, 1 << 32)),
        process,
        8 if process == "baseline" else draw(st.sampled_from((8, 12))),
        draw(st.integers(1, largest_side)),
        draw(st.integers(1, largest_side)),
        tuple(draw(st.lists(st.sampled_from(FACTORS), min_size=1, max_size=4))),
    )


def written(image: Drawn) -> bytes:
    return write_jpeg(image.coefficients, scans=image.scans, restart_rows=image.restart_rows)


@given(images())
def test_what_is_written_is_read(image: Drawn) -> None:
    read = read_coefficients(written(image), segments=True)
    if image.restart_rows is not None:
        header = replace(read.header, restart_interval=image.coefficients.header.restart_interval)
        read = replace(read, header=header)
    assert same_coefficients(read, image.coefficients)


@given(images(largest_side=30))
def test_libjpeg_and_the_reference_read_the_same(oracle: Oracle, image: Drawn) -> None:
    data = written(image)
    theirs = oracle.read(data)
    assert theirs.clean, (theirs.error, theirs.warnings)
    truth = reference.decode(data)
    for plane, component, expected in zip(image.coefficients.planes, theirs.components, truth.planes, strict=True):
        np.testing.assert_array_equal(plane, component.plane)
        np.testing.assert_array_equal(plane, expected)


@given(images(), st.sampled_from(tuple(SOFS)[1:]))
def test_another_process_holds_the_same_coefficients(image: Drawn, process: str) -> None:
    data = write_jpeg(image.coefficients, process=process)
    read = read_coefficients(data)
    assert read.header.process == process
    for a, b in zip(read.planes, image.coefficients.planes, strict=True):
        np.testing.assert_array_equal(a, b)


@given(images(), st.data())
def test_any_value_is_written_or_refused(image: Drawn, data: st.DataObject) -> None:
    """Hold any int16: the file is right, or the error names the value."""
    plane = image.coefficients.planes[0]
    row = data.draw(st.integers(0, plane.shape[0] - 1))
    column = data.draw(st.integers(0, plane.shape[1] - 1))
    frequency = data.draw(st.integers(0, 63))
    value = data.draw(st.integers(-32768, 32767) | st.sampled_from((-32768, 32767, 1024, -1024, 16384, -16384)))
    plane[row, column].reshape(64)[frequency] = value
    try:
        read = read_coefficients(written(image))
    except ValueError as error:
        assert f"component 0, block ({row}, {column}), frequency" in str(error) or frequency == 0, error
        assert abs(value) > 1023 or frequency == 0
        return
    np.testing.assert_array_equal(read.planes[0], plane)
