"""JSON files that are damaged or made up: each is refused in one line that names the file, or read as it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jpegfreq import ChannelSelection, ChannelStatistics, TensorFormat
from jpegfreq._json import parse_json
from jpegfreq.cli import main
from tests.images import make_jpeg

DEEP = "[" * 100_000 + "]" * 100_000


@pytest.fixture(autouse=True)
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    Path("photos", "0.jpg").write_bytes(make_jpeg(40, 40))


def refusal(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(words) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


@pytest.mark.parametrize(
    "words",
    [
        ["decode", "photos", "--channels", "x.json", "--out", "out"],
        ["decode", "photos", "--statistics", "x.json", "--out", "out"],
        ["stats", "--merge", "x.json", "--out", "out.json"],
    ],
    ids=" ".join,
)
def test_json_that_is_nested_too_deeply_is_refused_by_name(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("x.json").write_text(DEEP)
    line = refusal(words, capsys)
    assert "x.json" in line
    assert "nested too deeply" in line


@pytest.mark.parametrize(
    "read", [ChannelSelection.from_json, ChannelStatistics.from_json, TensorFormat.from_json, parse_json]
)
def test_json_that_is_nested_too_deeply_is_a_value_error(read: Any) -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        read(DEEP)


@pytest.mark.parametrize(
    ("channels", "message"),
    [
        ([0, 0], "channels must differ; 0 is there twice"),
        ([192], "channels must be 0 to 191"),
        ([-1], "channels must be 0 to 191"),
        ([1.0], "each of channels must be a whole number"),
        ([float("nan")], "each of channels must be a whole number"),
        ([[[[]]]], "each of channels must be a whole number"),
        ([], "at least one channel"),
        ("0,1", "not a channel selection"),
        (None, "not a channel selection"),
    ],
)
def test_selections_that_name_no_channels_are_refused(
    channels: Any, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("x.json").write_text(json.dumps({"name": "mine", "channels": channels}))
    line = refusal(["decode", "photos", "--channels", "x.json", "--out", "out"], capsys)
    assert "x.json" in line
    assert message in line


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": None}, "images must be a whole number of at least 0, not None"),
        ({"images": "10"}, "images must be a whole number of at least 0, not '10' (str)"),
        ({"images": -1}, "images must be a whole number of at least 0, not -1 (int)"),
        ({"source": 3}, "source must be text, not 3 (int)"),
        ({"on_rate": [0.5] * 191}, "on_rate needs 192 values"),
        ({"on_rate": [1.5] * 192}, "on_rate holds a value outside 0 to 1"),
        ({"on_rate": [[]] * 192}, "a rate is not a number"),
        ({"on_rate": [float("nan")] * 192}, "must hold the same channels"),
        ({"on_rate": None}, "a rate is not a number"),
    ],
)
def test_heat_maps_that_are_none_are_refused(
    change: dict[str, Any], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    heat = {"images": 10, "source": "made up", "on_rate": [0.5] * 192, "on_probability": [0.5] * 192}
    Path("x.json").write_text(json.dumps(heat | change))
    line = refusal(["select", "x.json", "-k", "2", "--out", "out.json"], capsys)
    assert "x.json" in line
    assert message in line


def test_a_source_cannot_move_the_terminals_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    heat = {"images": 10, "source": "a\x1b[2Jb", "on_rate": [0.5] * 192, "on_probability": [0.5] * 192}
    Path("x.json").write_text(json.dumps(heat))
    assert main(["select", "x.json", "-k", "2", "--out", "out.json"]) == 0
    assert "\x1b" not in "".join(capsys.readouterr())
