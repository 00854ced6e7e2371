"""TensorFormat: the arguments that it accepts, JSON and pickles."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jpegfreq.channels import ChannelSelection
from jpegfreq.format import TensorFormat
from jpegfreq.statistics import ChannelStatistics

FORMATS = [
    TensorFormat(),
    TensorFormat(channels=24, chroma="replicate", layout="HWC", dtype="float16"),
    TensorFormat(channels=ChannelSelection((7, 3, 100), "learned"), statistics=ChannelStatistics.preset("dctnet")),
]


@pytest.mark.parametrize("format", FORMATS)
def test_json_and_pickle_round_trips_are_exact(format: TensorFormat) -> None:
    again = TensorFormat.from_json(format.to_json())
    assert again == format
    assert hash(again) == hash(format)
    assert again.selection.name == format.selection.name
    assert format.placements[0].frequencies.size > 0  # cached in the instance: must not hinder what follows
    assert pickle.loads(pickle.dumps(format)) == format
    assert TensorFormat.from_json(format.to_json()) == format


def test_channels_are_taken_in_any_form() -> None:
    assert TensorFormat(channels="24") == TensorFormat(channels=24)
    assert TensorFormat().selection == ChannelSelection.all()
    assert TensorFormat(channels=[3, 1]).selection.channels == (3, 1)


def test_shape_rounds_the_image_up_to_blocks() -> None:
    assert TensorFormat().shape(375, 500) == (192, 47, 63)
    assert TensorFormat(channels=6, layout="HWC").shape(8, 9) == (1, 2, 6)


@pytest.mark.parametrize(
    "fields", [{"chroma": "smooth"}, {"layout": "NCHW"}, {"dtype": "int8"}, {"channels": 7}, {"channels": [400]}]
)
def test_wrong_fields_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(fields)).removesuffix("s")):
        TensorFormat(**fields)
    with pytest.raises(TypeError, match="ChannelStatistics"):
        TensorFormat(statistics=3)  # type: ignore[arg-type]


def test_statistics_are_loaded_from_a_path(tmp_path: Path) -> None:
    statistics = ChannelStatistics.preset("dctnet")
    path = tmp_path / "statistics.json"
    statistics.save(path)
    assert TensorFormat(statistics=path) == TensorFormat(statistics=str(path)) == TensorFormat(statistics=statistics)
    assert replace(TensorFormat(), statistics=path).statistics == statistics  # type: ignore[arg-type]
    path.write_text("[1]")
    with pytest.raises(ValueError, match=r"statistics\.json: not channel statistics"):
        TensorFormat(statistics=path)
    with pytest.raises(FileNotFoundError, match=r"gone\.json"):
        TensorFormat(statistics=tmp_path / "gone.json")


def test_unknown_fields_of_a_newer_version_are_an_error() -> None:
    with pytest.raises(ValueError, match='the field "gamma" is unknown; a newer version'):
        TensorFormat.from_json(TensorFormat().to_json().replace('"dtype"', '"gamma": 1, "dtype"'))
    with pytest.raises(ValueError, match='the field "layout" is missing'):
        TensorFormat.from_dict({"channels": {}, "chroma": "fancy", "dtype": "float32", "statistics": None})
