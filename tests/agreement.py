"""The rules by which we may differ from libjpeg-turbo; any other difference is a failure."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

from jpegfreq import Coefficients, JpegError, read_coefficients
from tests import reference
from tests.oracle import Oracle, OracleResult

# What libjpeg warns of or refuses and we accept: its message, and why nothing is lost.
ACCEPTED = {
    r"extraneous bytes before marker": "bytes that belong to no segment are skipped: the scans around them are whole",
    r"found marker 0x\w+ instead of RST": "one marker is misnumbered: the ones after it continue the count",
    r"Premature end of JPEG file": "every block was there and only EOI is missing",
    r"Invalid SOS parameters for sequential JPEG": "a sequential scan codes all 64 coefficients, whatever they say",
    r"Unknown Adobe color transform": "concerns the colour kind only",
    r"unknown JFIF revision": "concerns no coefficient",
    r"Empty JPEG image \(DNL not supported\)": "T.81 B.2.5; libjpeg does not read DNL",
}

# What libjpeg reads without a warning and we refuse: our message, and why refusing is right.
REFUSED = {
    r"component \d+ has no scan": "a component that no scan codes would be silently zero",
    r"a run passes coefficient 63": "libjpeg drops what lies beyond, T.81 F.2.2.2 knows no such run",
    r"a run leaves the spectral band": "libjpeg writes outside the band, T.81 G.1.2.2 knows no such run",
    r"no Huffman code matches": "libjpeg's fast loop takes an unknown code for a zero",
    r"not sent in the order of its bits": "libjpeg lets a later scan overwrite a finished band",
    r"a marker stands before the end of the scan": "libjpeg supplies zeros behind arithmetic data without end",
    r"DQT .*table precision": "libjpeg takes any precision but 0 for 16 bits",
    r"DAC .*table class and number": "libjpeg has 16 arithmetic tables, T.81 B.2.4.3 four",
    r"SOS .*[AD]C table \d+ \(0 to 3 exist\)": "libjpeg has 16 arithmetic tables, T.81 B.2.3 four",
}


def matches(text: str, rules: Iterable[str]) -> bool:
    return any(re.search(rule, text) for rule in rules)


def equal(ours: Coefficients, theirs: OracleResult) -> bool:
    """Compare size, components, tables and coefficients."""
    header = ours.header
    if (header.height, header.width, header.precision) != (theirs.height, theirs.width, theirs.precision):
        return False
    if len(ours.planes) != len(theirs.components):
        return False
    for plane, table, component, c in zip(
        ours.planes, ours.quantization_tables, header.components, theirs.components, strict=True
    ):
        factors = (component.horizontal_sampling_factor, component.vertical_sampling_factor)
        if (component.identifier, *factors) != (
            c.identifier,
            c.horizontal_sampling_factor,
            c.vertical_sampling_factor,
        ):
            return False
        if c.plane is None or not np.array_equal(plane, c.plane):
            return False
        if not np.array_equal(table, c.quantization_table):
            return False
    return True


def reference_sides_with(ours: Coefficients, data: bytes) -> bool:
    """Ask the reference, because libjpeg's fast loop leaves a partial block at a marker (or FF FF 00)."""
    try:
        truth = reference.decode(data)
    except reference.IrregularJpegError:
        return False
    return all(np.array_equal(a, b) for a, b in zip(ours.planes, truth.planes, strict=True))


def disagreement(data: bytes, theirs: OracleResult) -> str | None:
    """Describe how our reading of `data` breaks the rules, or return None."""
    try:
        ours, complaint = read_coefficients(data), ""
    except JpegError as error:
        ours, complaint = None, str(error)
    if ours is not None:
        unexplained = [
            text
            for text in (*theirs.warnings, *([theirs.error] if theirs.error else []))
            if not matches(text, ACCEPTED)
        ]
        if unexplained:
            return f"we read it without an error; libjpeg says: {unexplained}"
        if (
            theirs.error is None
            and not equal(ours, theirs)
            and not ((theirs.warnings or b"\xff\xff\x00" in data) and reference_sides_with(ours, data))
        ):
            return "the coefficients or tables differ"
    elif theirs.clean:
        if not matches(complaint, REFUSED):
            return f"libjpeg reads it without a warning; we say: {complaint}"
        if "has no scan" in complaint:
            kept = read_coefficients(data, damage="keep")
            if kept.damage is None or not equal(kept, theirs):
                return "the coefficients kept differ"
    return None


def assert_agrees(data: bytes, oracle: Oracle) -> None:
    theirs = oracle.read(data, max_blocks=1 << 16)
    if not theirs.over_limits:
        problem = disagreement(data, theirs)
        assert problem is None, problem
