"""Values of the top level: short reprs that say what a value is, and plain dicts that JSON can hold."""

from __future__ import annotations

import json

import numpy as np
import pytest

from jpegfreq import ChannelSelection, ChannelStatistics, TensorFormat, read_coefficients, read_header
from jpegfreq.header import Header, Upright
from jpegfreq.statistics import StatisticsAccumulator
from jpegfreq.structure import read_structure
from tests.images import make_jpeg

STATISTICS = ChannelStatistics((0.1,) * 192, (2.5,) * 192, "flowers")
DATA = make_jpeg(40, 24)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (ChannelSelection.all(), "<ChannelSelection '192': 192 channels, 64 Y + 64 Cb + 64 Cr>"),
        (ChannelSelection((3, 64)), "<ChannelSelection 'custom-2': 2 channels, 1 Y + 1 Cb>"),
        (STATISTICS, "<ChannelStatistics of 'flowers'>"),
        (StatisticsAccumulator(), "<StatisticsAccumulator of 0 luma and 0 chroma values per channel>"),
        (
            TensorFormat(channels=24),
            "<TensorFormat: 24 channels ('24'), CHW float32, chroma fancy, not normalized>",
        ),
        (
            TensorFormat(layout="HWC", dtype="float16", statistics=STATISTICS),
            "<TensorFormat: 192 channels ('192'), HWC float16, chroma fancy, normalized by 'flowers'>",
        ),
        (read_header(DATA), "<Header of a baseline YCbCr image of height 24 x width 40, 8 bits per sample>"),
        (
            read_coefficients(DATA),
            "<Coefficients of a baseline YCbCr image of height 24 x width 40: planes of 3 x 5, 2 x 3, 2 x 3 blocks>",
        ),
        (
            read_structure(DATA),
            "<Structure of a baseline YCbCr image of height 24 x width 40: 11 segments, 1 scan>",
        ),
    ],
)
def test_reprs_are_short_and_sizes_are_height_x_width(value: object, text: str) -> None:
    assert repr(value) == text


def test_reprs_of_scans_and_tables_are_short() -> None:
    structure = read_structure(DATA)
    assert len(repr(structure.scans[0])) < 600
    assert repr(structure.scans[0].huffman_tables[0]).startswith("<HuffmanTable DC 0: ")


@pytest.mark.parametrize(
    "value",
    [
        ChannelSelection((7, 3, 100), "learned"),
        STATISTICS,
        TensorFormat(channels=6, dtype="float16"),
        TensorFormat(statistics=STATISTICS),
    ],
)
def test_dicts_are_what_the_json_holds_and_give_the_value_back(
    value: ChannelSelection | ChannelStatistics | TensorFormat,
) -> None:
    plain = value.to_dict()
    assert json.loads(value.to_json()) == plain  # lists, not tuples: a stored dict compares equal
    assert type(value).from_dict(plain) == value
    assert type(value).from_json(value.to_json()) == value


def test_an_accumulator_survives_its_dict() -> None:
    accumulator = StatisticsAccumulator()
    accumulator.update(np.random.default_rng(0).normal(size=(192, 3, 3)).astype(np.float32))
    plain = json.loads(json.dumps(accumulator.to_dict("noise")))
    again = StatisticsAccumulator.from_dict(plain)
    assert again.statistics("noise") == accumulator.statistics("noise") == ChannelStatistics.from_dict(plain)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_orientation_says_how_to_turn_upright(orientation: int) -> None:
    # The image "upright" is stored so that, by the EXIF standard, orientation n turns it back.
    upright = np.arange(6).reshape(2, 3)
    stored = [
        upright,
        upright[:, ::-1],
        upright[::-1, ::-1],
        upright[::-1],
        upright.T,
        np.rot90(upright),
        upright[::-1, ::-1].T,
        np.rot90(upright, -1),
    ][orientation - 1]
    turn = Upright.of(orientation)
    turned = stored.T if turn.transpose else stored
    turned = turned[:, ::-1] if turn.mirror_columns else turned
    turned = turned[::-1] if turn.mirror_rows else turned
    np.testing.assert_array_equal(turned, upright)
    header = Header(stored.shape[0], stored.shape[1], 8, "baseline", (), 0, "grey", orientation)
    assert header.upright_size == upright.shape
