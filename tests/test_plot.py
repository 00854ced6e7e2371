"""`jpegfreq plot`: the curves of training runs."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")

from jpegfreq.cli import main
from jpegfreq.report.figures import png_bytes
from jpegfreq.report.run import read_run, run_figure, run_page

LOG = """epoch,learning_rate,loss,accuracy,validation_loss,top1,top5,channels_expected,channels_on,left_out
1,0.1,2.0,0.3,1.9,0.35,nan,{expected},{on},0
2,0.05,1.5,0.5,1.4,0.55,nan,{expected},{on},1
"""


def make_run(folder: Path, *, gated: bool) -> Path:
    folder.mkdir()
    (folder / "log.csv").write_text(LOG.format(expected=3.5 if gated else "nan", on=3 if gated else "nan"))
    if gated:
        epochs = [{"epoch": n, "on_rate": [1.0, 0.5, 0.0]} for n in (1, 2)]
        (folder / "gate.json").write_text(json.dumps({"channels": [0, 65, 130], "epochs": epochs}))
    return folder


def titles(figure) -> list[str]:
    return [axes.get_title() for axes in figure.get_axes()]


def test_a_static_run_has_curves_of_what_it_logged(tmp_path: Path) -> None:
    run = read_run(make_run(tmp_path / "static", gated=False))
    assert run.columns["top1"] == [0.35, 0.55]
    figure = run_figure([run])
    assert titles(figure) == ["loss", "accuracy (%)", "learning rate"]
    labels = [line.get_label() for line in figure.get_axes()[1].get_lines()]
    assert labels == ["training", "validation"]  # no top-5 of so few classes
    assert list(figure.get_axes()[1].get_lines()[1].get_ydata()) == pytest.approx([35, 55])


def test_a_gated_run_shows_how_often_each_channel_is_on(tmp_path: Path) -> None:
    run = read_run(make_run(tmp_path / "gated", gated=True))
    figure = run_figure([run])
    assert "channels on" in titles(figure)
    luma, cb, cr = (
        next(axes for axes in figure.get_axes() if axes.get_title().startswith(n)) for n in ("Y", "Cb", "Cr")
    )
    for axes, frequency, rate in ((luma, 0, 1.0), (cb, 1, 0.5), (cr, 2, 0.0)):
        shown = axes.get_images()[0].get_array()
        assert shown.shape == (2, 64)
        assert shown[1, frequency] == rate
        assert shown.mask.sum() == 2 * 63


def test_several_runs_are_drawn_together_and_listed_on_a_page(tmp_path: Path) -> None:
    runs = [read_run(make_run(tmp_path / name, gated=name == "b")) for name in ("a", "b")]
    labels = [line.get_label() for line in run_figure(runs).subfigs[0].get_axes()[0].get_lines()]
    assert labels == ["a: training", "a: validation", "b: training", "b: validation"]
    html = run_page(runs)
    assert ">a</td>" in html
    assert "55.0%" in html
    assert not math.isnan(runs[0].columns["loss"][0])


def test_runs_of_any_name_are_drawn_and_stand_in_the_legend(tmp_path: Path) -> None:
    runs = [read_run(make_run(tmp_path / name, gated=False)) for name in ("_a", "b$x^$")]
    figure = run_figure(runs)
    axes = figure.subfigs[0].axes[0]
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == [" _a: training", " _a: validation", r"b\$x^\$: training", r"b\$x^\$: validation"]
    assert png_bytes(figure, dpi=20)[1:4] == b"PNG"


def test_the_command_writes_figures_and_pages_and_names_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(make_run(tmp_path / "run", gated=True))
    for name in ("curves.png", "curves.svg", "curves.html"):
        assert main(["plot", run, "--out", str(tmp_path / name)]) == 0
        assert (tmp_path / name).stat().st_size > 1000
    capsys.readouterr()
    for folder, out, message in (
        (tmp_path / "missing", "x.png", "has no log.csv"),
        (run, "x.txt", "must end in"),
        (run, "run/log.csv", "belongs to the input"),
        (run, "no/x.html", "no such folder"),
    ):
        assert main(["plot", str(folder), "--out", str(tmp_path / out)]) == 2
        assert message in capsys.readouterr().err
    (tmp_path / "run" / "log.csv").write_text("epoch,loss\nx,1\n")
    assert main(["plot", run, "--out", str(tmp_path / "x.png")]) == 2
    assert "is not the log of a run" in capsys.readouterr().err
    (tmp_path / "run" / "log.csv").write_text("epoch,loss\n1,1\n")
    (tmp_path / "run" / "gate.json").write_text("{}")
    assert main(["plot", run, "--out", str(tmp_path / "x.png")]) == 2
    assert "does not hold the rates of a gate" in capsys.readouterr().err
