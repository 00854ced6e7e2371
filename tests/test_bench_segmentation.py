"""bench.segmentation writes each run to its log, and the log to a section of the README."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from bench import segmentation, segmentation_report  # noqa: E402
from tests.scenes import scene_folder  # noqa: E402


def test_a_gated_run_becomes_a_line_a_figure_and_a_section(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("train", "val"):
        scene_folder(tmp_path / "data" / part)
    readme, results = tmp_path / "README.md", tmp_path / "results"
    results.mkdir()
    readme.write_text("before\n" + "\nold\n".join(segmentation_report.MARKERS) + "\nafter\n")
    other = {"row": "ResNet-18, gated", "experiment": "flowers", "seed": 0, "channels_on": 24.0}
    ratios = {"luma_over_chroma": 1.25, "low_over_high": 1.5}
    (results / "accuracy.jsonl").write_text(json.dumps({**other, "heat_ratios": ratios}) + "\n")
    monkeypatch.setattr(segmentation, "LOG", results / "segmentation.jsonl")
    monkeypatch.setattr(segmentation_report.write, "__defaults__", (readme, None))
    row = segmentation.Row("FCN, gated", "segmentation", 32, gated=True)
    monkeypatch.setattr(segmentation, "ROWS", (row,))
    arguments = ["--data", str(tmp_path / "data"), "--runs", str(tmp_path / "runs"), "--rows", "0", "--threads", "1"]
    options = ["--epochs", "1", "--batch-size", "2"]
    assert segmentation.main([*arguments, *options]) == 0
    (line,) = segmentation.LOG.read_text().splitlines()
    run = json.loads(line)
    assert (run["row"], run["classes"], run["images"]) == ("FCN, gated", 2, {"train": 2, "val": 2})
    assert len(run["heat"]["on_rate"]) == 192
    assert run["curve"][0]["channels_on"] == 192
    assert (results / "segmentation-heat.png").is_file()
    assert str(tmp_path) not in line
    text = readme.read_text()
    assert text.startswith("before")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "192.0 (steered to 32)" in text
    assert "| ResNet-18, gated, flowers, seed 0 | 24.0 | 1.25 | 1.50 |" in text
