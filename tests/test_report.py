"""Profiles, figures and pages."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")

from jpegfreq.channels import ChannelSelection
from jpegfreq.cli import main
from jpegfreq.report.figures import curves_figure, heat_figure, png_bytes, profile_figure
from jpegfreq.report.page import Section, image_html, page, table_html, text_html
from jpegfreq.report.profile import Decoder, Profile, Row, profile
from jpegfreq.report.sections import profile_section
from tests.images import make_jpeg


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for n in range(3):
        (folder / f"{n}.jpg").write_bytes(make_jpeg(64, 48, seed=n))
    return folder


MADE_UP = Profile(
    (Row("Pillow", "uint8 RGB", False, 4e-3, 1.0), Row("jpegfreq", "int16 coefficients", True, 1e-3, 4.0)),
    2, 5000, "Pillow", (("<odd>.jpg", "Pillow: no"),),
)  # fmt: skip


def test_profile_times_every_decoder_on_the_same_readable_images(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, int]] = []

    def method(name: str, ours: bool) -> Decoder:
        return Decoder(name, "x", ours, lambda images: seen.append((name, len(images))))

    def failing(images: list[bytes]) -> None:
        if b"broken" in images:
            raise ValueError("not an image")

    (photos / "broken.jpg").write_bytes(b"broken")
    monkeypatch.setattr("jpegfreq.report.profile.rgb_decoders", lambda: [Decoder("strict", "RGB", False, failing)])
    monkeypatch.setattr("jpegfreq.report.profile.our_decoders", lambda: [method("a", True), method("b", True)])
    measured = profile(sorted(photos.iterdir()), rounds=2)
    assert measured.images == 3
    assert measured.left_out == (("broken.jpg", "strict: not an image"),)
    assert [row.name for row in measured.rows] == ["strict", "a", "b"]
    assert seen.count(("a", 3)) == seen.count(("b", 3)) == 2  # a round each
    assert measured.best_rgb == "strict"


def test_the_verdict_tells_how_much_time_is_saved() -> None:
    assert "75% of the CPU time is saved" in MADE_UP.verdict
    assert "0.8 core hours per million images" in MADE_UP.verdict


def test_profile_command_writes_table_chart_and_page(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    html, chart, times = tmp_path / "r.html", tmp_path / "c.png", tmp_path / "t.json"
    options = ["--rounds", "1", "--html", str(html), "--figure", str(chart), "--json", str(times)]
    assert main(["profile", str(photos), *options]) == 0
    assert "jpegfreq" in capsys.readouterr().out
    assert chart.read_bytes().startswith(b"\x89PNG")
    assert json.loads(times.read_text())["images"] == 3
    assert "data:image/png;base64," in html.read_text()


def test_page_is_self_contained_and_escapes_what_it_shows() -> None:
    text = page("Title & more", "lead", [profile_section(MADE_UP), Section("x", text_html("run `a < b` now"))])
    assert "Title &amp; more" in text
    assert "<code>a &lt; b</code>" in text
    assert "&lt;odd&gt;.jpg" in text
    assert "<odd>" not in text
    assert not re.search(r'(?:src|href)="(?!data:|#)', text)


def test_columns_of_numbers_stand_right() -> None:
    assert table_html(("name", "ms"), [["a", "1.5"], ["b", "-"]]).count('class="number"') == 3
    assert 'class="strong"' in table_html(("name",), [["a"]], strong=[0])


def test_heat_map_is_drawn_with_gaps_and_a_framed_selection() -> None:
    pytest.importorskip("torch")
    from jpegfreq.models.analysis.heatmap import HeatMap

    rates = tuple(k / 100 if k < 90 else math.nan for k in range(192))
    figure = heat_figure(HeatMap(rates, rates, 7, "test"), ChannelSelection((0, 1, 64)))
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[0] == "Y: on in 32 % of the images on average"
    assert titles[2] == "Cr: not among the inputs"
    assert "7 images" in figure.get_suptitle()
    assert png_bytes(figure, dpi=40).startswith(b"\x89PNG")


def test_figures_are_drawn() -> None:
    assert png_bytes(profile_figure(MADE_UP), dpi=40).startswith(b"\x89PNG")
    curves = curves_figure({"loss": {"training": [2.0, 1.0]}, "accuracy": {"a": [0.1, 0.5], "b": [0.2, 0.4]}})
    assert image_html(png_bytes(curves, dpi=40), alt="curves").startswith(
        '<figure><img alt="curves" src="data:image/png'
    )
