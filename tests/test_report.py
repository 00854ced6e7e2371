"""Profiles, what they say of a folder, figures and pages."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import os
import re
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from jpegfreq.channels import ChannelSelection
from jpegfreq.cli import main
from jpegfreq.report import profile as profile_module
from jpegfreq.report.figures import heat_figure, png_bytes
from jpegfreq.report.folder import sum_up
from jpegfreq.report.laps import Laps
from jpegfreq.report.machine import Noise
from jpegfreq.report.page import Section, image_html, page, table_html, text_html
from jpegfreq.report.pipelines import CROP, DECODE, ENTROPY, ONE_CALL, Draw, Pipeline, ours, rgb_pipelines
from jpegfreq.report.profile import READ, Prepared, Profile, Row, WholeRow, profile
from jpegfreq.report.profile_page import STAGES, profile_page
from jpegfreq.report.rounds import Rounds
from jpegfreq.report.sampling import Files, FolderKind, even_sample, kinds_of, scan, size_class, spread_order
from tests.browser import page_faults
from tests.images import make_jpeg


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for n in range(3):
        (folder / f"{n}.jpg").write_bytes(make_jpeg(64, 48, seed=n))
    return folder


def row(name: str, seconds: float, ours: bool, **changes: Any) -> Row:
    stages = {READ: 0.1 * seconds, ENTROPY: 0.5 * seconds, ONE_CALL if ours else CROP: 0.4 * seconds}
    values: dict[str, Any] = {
        "name": name, "input": "48 channels of 224 px" if ours else "RGB of 224 px", "ours": ours,
        "shape": (48, 28, 28) if ours else (3, 224, 224), "dtype": "float16" if ours else "float32",
        "size_bytes": 75264 if ours else 602112, "seconds": seconds, "seconds_low": 0.9 * seconds,
        "seconds_high": 1.1 * seconds, "stages": stages, "note": "",
    }  # fmt: skip
    return Row(**{**values, **changes})


MADE_UP = Profile(
    files=1_281_167, scanned=2000, measured=200, cut=0, mean_size_bytes=110e3,
    kinds=(FolderKind("baseline", "4:2:0", "0.1 to 0.5 Mpx", 1500, 0.75, 150),
           FolderKind("progressive", "4:4:4", "8 Mpx or more", 500, 0.25, 50)),
    rows=(row("Pillow + torchvision", 4e-3, False, note="a note that is long enough to need more than one line here"),
          row("jpegfreq", 1e-3, True),
          row("jpegfreq", 1.5e-3, True, input="24 channels of 448 px", shape=(24, 56, 56))),
    whole=(WholeRow("Pillow", "uint8 RGB", False, 2e-3), WholeRow("jpegfreq", "int16 coefficients", True, 5e-4)),
    today="Pillow + torchvision", speed_up=4.0, speed_up_low=3.9, speed_up_high=4.2,
    prepared=Prepared(8e-4, 1.25, 1.02), target_rate=3000, rounds=5, left_out=(("<odd>.jpg", "Pillow: no"),),
    missing=("DALI on the CPU (not installed)",), warnings=("other programs used 40% of this machine's cores",),
    machine={"processor": "a processor", "cores": 2, "system": "Linux", "python": "3.11", "versions": {"numpy": "2"}},
    seconds_taken=12,
)  # fmt: skip


# --- which files are measured


def test_sampling_gives_every_common_kind_its_share(photos: Path) -> None:
    for n in range(30):
        (photos / f"a{n}.jpg").write_bytes(make_jpeg(32, 32, seed=n, subsampling="4:2:0"))
        (photos / f"b{n}.jpg").write_bytes(make_jpeg(32, 32, seed=n, progressive=True, subsampling="4:4:4"))
    (photos / "broken.jpg").write_bytes(b"\xff\xd8 broken")
    files = Files([photos])
    found = scan(files, 2000)
    assert len(files) == 64
    assert len(found.files) == 63
    assert [Path(name).name for name, _ in found.failed] == ["broken.jpg"]
    chosen = even_sample(found.files, 21)
    assert [file.index for file in chosen] == sorted(file.index for file in chosen)
    kinds = kinds_of(found.files, chosen)
    assert {(kind.process, kind.sampling): (kind.files, kind.measured) for kind in kinds} == {
        ("baseline", "4:2:0"): (33, 11),
        ("progressive", "4:4:4"): (30, 10),
    }
    assert sum(kind.share for kind in kinds) == pytest.approx(1)
    assert even_sample(found.files, 100) == list(found.files)
    ordered = spread_order(found.files)
    assert sorted(file.index for file in ordered) == [file.index for file in found.files]
    for count in (8, 16, 40):
        assert sum(file.kind[0] == "progressive" for file in ordered[:count]) == pytest.approx(count * 30 / 63, abs=1.5)


def test_only_so_many_headers_are_read_of_a_large_folder(photos: Path) -> None:
    assert len(scan(Files([photos]), 2).files) == 2


def test_sizes_are_classed_by_megapixels() -> None:
    assert [size_class(pixels) for pixels in (99_999, 100_000, 499_999, 2_000_000, 8_000_000)] == [
        "below 0.1 Mpx", "0.1 to 0.5 Mpx", "0.1 to 0.5 Mpx", "2 to 8 Mpx", "8 Mpx or more",
    ]  # fmt: skip


def test_files_come_from_folders_shards_lists_and_files_and_count_once(photos: Path, tmp_path: Path) -> None:
    shard = tmp_path / "shard.tar"
    with tarfile.open(shard, "w") as archive:
        member = tarfile.TarInfo("x.jpg")
        data = make_jpeg(40, 40, seed=9)
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    single = tmp_path / "no_suffix"
    single.write_bytes(make_jpeg(16, 16))
    files = Files([photos, shard, single, str(photos), tmp_path / "photos"])
    assert len(files) == 5
    assert [Path(files.name(n)).name for n in range(5)] == ["0.jpg", "1.jpg", "2.jpg", "x.jpg", "no_suffix"]
    assert files.read(3) == data
    header, size_bytes = files.header(3)
    assert (header.width, size_bytes) == (40, len(data))
    assert files.header(4)[0].width == 16
    with pytest.raises(FileNotFoundError, match="gone"):
        Files([tmp_path / "gone"])


# --- the times


def fake(name: str, seen: list[tuple[str, int]], is_ours: bool = False) -> Pipeline:
    def run(images: Sequence[bytes], draws: Sequence[Draw], laps: Laps) -> None:
        assert len(images) == len(draws)
        seen.append((name, len(images)))
        laps.lap(ONE_CALL if is_ours else DECODE)
        if not is_ours:
            laps.lap(CROP)

    words, dtype = ("48 channels of 224 px", "float16") if is_ours else ("RGB of 224 px", "float32")
    return Pipeline(name, words, (3, 8, 8), dtype, is_ours, run, "" if is_ours else "none")


def test_profile_times_every_pipeline_on_the_same_readable_images(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torchvision")
    seen: list[tuple[str, int]] = []
    slow, fast, mine = fake("slow", seen), fake("fast", seen), fake("jpegfreq", seen, is_ours=True)

    def strict(images: Sequence[bytes], draws: Sequence[Draw], laps: Laps) -> None:
        if any(len(image) < 1000 for image in images):
            raise ValueError("too small")
        slow.run(images, draws, laps)
        sum(range(100_000 * len(images)))
        laps.lap(CROP)

    (photos / "small.jpg").write_bytes(make_jpeg(8, 8, quality=10, optimize=True))
    monkeypatch.setattr(
        profile_module, "rgb_pipelines", lambda are_large: ([dataclasses.replace(slow, run=strict), fast], ["absent"])
    )
    monkeypatch.setattr(profile_module, "_our_pipelines", lambda: [mine])
    told: list[float] = []
    measured = profile([photos], seconds=10, target_rate=100, progress=lambda what, share: told.append(share))
    assert (measured.files, measured.measured, measured.cut) == (4, 3, 0)
    assert measured.left_out == ((str(photos / "small.jpg"), "slow: too small"),)
    assert [each.name for each in measured.rows] == ["slow", "fast", "jpegfreq"]
    assert measured.rounds >= 3
    assert seen.count(("fast", 3)) == seen.count(("jpegfreq", 3)) == measured.rounds
    assert measured.today == "fast"
    assert measured.missing == ("absent (not installed)",)
    assert told == sorted(told)
    assert told[-1] <= 1
    for each in measured.rows:
        assert sum(each.stages.values()) == pytest.approx(each.seconds)
        assert each.seconds_low <= each.seconds <= each.seconds_high
    assert ENTROPY in measured.rows[0].stages
    assert profile([photos], seconds=0.1, today="slow").today == "slow"
    with pytest.raises(ValueError, match="no installed pipeline is called 'gone'; there are: slow, fast"):
        profile([photos], today="gone")


def test_a_library_that_fails_on_a_batch_is_left_out_and_named(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torchvision")
    seen: list[tuple[str, int]] = []
    good, mine = fake("good", seen), fake("jpegfreq", seen, is_ours=True)

    def breaks(images: Sequence[bytes], draws: Sequence[Draw], laps: Laps) -> None:
        good.run(images, draws, laps)
        if len(images) > 1:
            raise RuntimeError("broken")

    bad = dataclasses.replace(good, name="bad", run=breaks)
    monkeypatch.setattr(profile_module, "rgb_pipelines", lambda are_large: ([bad, good], []))
    monkeypatch.setattr(profile_module, "_our_pipelines", lambda: [mine])
    measured = profile([photos], seconds=5)
    assert [each.name for each in measured.rows] == ["good", "jpegfreq"]
    assert measured.missing == ("bad (it fails on these files)",)
    assert measured.rounds >= 3
    assert measured.left_out == ()


def test_fewer_images_are_measured_where_time_is_short(photos: Path) -> None:
    pytest.importorskip("torchvision")
    seen: list[tuple[str, int]] = []
    files = Files([photos])
    sample = list(scan(files, 10).files)
    draws = {file.index: ((0, 0, 8, 8), False) for file in sample}
    rounds = Rounds(files, [fake("a", seen)], draws, fake("jpegfreq", seen, is_ours=True))
    chosen, left_out = rounds.readable(sample, 0, lambda what, share: None)
    assert len(chosen) == 2  # the first loads what is loaded at first use, and takes no time
    assert left_out == []
    timed = rounds.time(chosen, 0, lambda what, share: None)  # the time is over
    assert len(timed) == 1
    assert rounds.count == 3
    assert seen[-6:].count(("jpegfreq", 1)) == len(rounds.prepared) == 3
    assert rounds.prepared_size_ratio > 0


def test_a_folder_that_no_pipeline_can_read_is_an_error(tmp_path: Path) -> None:
    pytest.importorskip("torchvision")
    (tmp_path / "a.jpg").write_bytes(make_jpeg(64, 64)[:300])
    with pytest.raises(ValueError, match="there is no image that every pipeline can read"):
        profile([tmp_path], seconds=1)


def test_every_installed_pipeline_makes_the_same_crop() -> None:
    torch = pytest.importorskip("torch")
    from jpegfreq.models import from_rgb

    data = make_jpeg(400, 300, quality=95)
    draw: Draw = ((20, 30, 240, 250), True)
    found, missing = rgb_pipelines(are_large=True)
    assert {"torchvision", "OpenCV", "simplejpeg + OpenCV"} <= {pipeline.name for pipeline in found}
    assert not {pipeline.name for pipeline in found} & set(missing)
    pixels = {}
    for pipeline in found:
        batch = pipeline.run([data], [draw], Laps())
        pixels[pipeline.name] = np.asarray(np.from_dlpack(batch[0]) if pipeline.decoder == "DALI" else batch[0]).copy()
        assert pixels[pipeline.name].shape == pipeline.shape
    mine = ours(192, 224, "float32")
    tensor = torch.from_numpy(mine.run([data], [draw], Laps()).copy())
    network = from_rgb(
        torch.nn.Identity(), size=224, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), format=mine.format
    )
    with torch.no_grad():
        reference = network(tensor)[0].numpy()
    for name, values in pixels.items():
        distance = np.abs(values - reference).mean() * 255 * 0.226
        assert distance < (1 if name in ("torchvision", "Pillow + torchvision", "DALI on the CPU") else 4), name


def test_noise_counts_other_programs() -> None:
    with Noise() as noise:
        sum(range(1000))
    assert noise.wall_seconds > 0
    assert noise.cpu_seconds >= 0
    assert 0 <= noise.others_share <= 1
    cores = os.cpu_count() or 1
    assert Noise(wall_seconds=2, others_seconds=0.5 * cores).others_share == 0.25
    assert Noise(wall_seconds=2, others_seconds=2.1 * cores).others_share == 1  # the ticks of the clock are coarse
    assert Noise(wall_seconds=0.0002, others_seconds=0.01).others_share == 0  # one tick in a moment says nothing


# --- what it says


def test_the_headline_answers_what_it_costs_today_and_then() -> None:
    assert MADE_UP.verdict == (
        "Today an image costs 4.00 ms of one core, from file to batch (Pillow + torchvision). With jpegfreq it costs "
        "1.00 ms: 4.0 times as fast (3.9 to 4.2 between rounds)."
    )
    tiles = {tile.label: (tile.today, tile.then) for tile in MADE_UP.tiles}
    assert tiles == {
        "images/s per core": ("250", "1,000"),
        "cores to feed 3,000 images/s": ("12.0", "3.0"),
        "CPU hours per epoch": ("1.4", "0.36"),
        "kB per image to the accelerator": ("602", "75"),
        "images/s per core after jpegfreq prepare": ("1,000", "1,250"),
    }
    headline = json.loads(MADE_UP.to_json())["headline"]
    assert headline["today"]["cpu_hours_per_epoch"] == pytest.approx(1281167 * 4e-3 / 3600)
    assert headline["then"]["bytes_per_image"] == 75264


def test_without_an_rgb_library_the_headline_gives_our_figures_alone() -> None:
    alone = dataclasses.replace(
        MADE_UP, rows=MADE_UP.rows[1:], today=None, speed_up=None, speed_up_low=None, speed_up_high=None
    )
    assert "No RGB library is installed" in alone.verdict
    assert {tile.today for tile in alone.tiles} == {""}
    assert "None" not in profile_page(alone)


def test_profile_command_prints_and_writes_everything(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torchvision")
    html, figures = tmp_path / "r.html", tmp_path / "p.json"
    assert main(["profile", str(photos), "--seconds", "1", "--html", str(html), "--json", str(figures)]) == 0
    printed = capsys.readouterr().out
    assert "images/s per core" in printed
    assert "baseline, 4:2:0, below 0.1 Mpx" in printed
    written = json.loads(figures.read_text())
    assert written["files"] == 3
    assert {each["input"] for each in written["rows"] if each["ours"]} >= {
        "192 channels of 224 px", "48 channels of 224 px", "24 channels of 224 px", "24 channels of 448 px",
    }  # fmt: skip
    assert html.read_text().count('class="bar"') == len(written["rows"])
    assert main(["profile", str(tmp_path / "gone")]) == 2
    assert "gone: no such folder" in capsys.readouterr().err


# --- a folder summed up


def test_inspect_sums_up_a_folder(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "grey.jpg").write_bytes(make_jpeg(32, 16, "L", quality=90, progressive=True))
    (photos / "restart.jpg").write_bytes(make_jpeg(32, 16, quality=90, restart_marker_rows=1))
    (photos / "cut.jpg").write_bytes(make_jpeg(64, 64)[:-300])
    (photos / "no.jpg").write_bytes(b"no image")
    assert main(["inspect", "--json", str(photos)]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["files"] == 7
    assert found["processes"] == {"baseline": 5, "progressive": 1}
    assert found["samplings"] == {"4:2:0": 5, "grey": 1}
    assert found["qualities"] == {"75": 3, "90": 2}
    assert found["restart_markers"] == 1
    assert found["failed"] == {"truncated": 1, "not a JPEG": 1}
    assert found["height"] == {"smallest": 16, "median": 48, "largest": 64}
    assert sum(kind["files"] for kind in found["kinds"]) == 6
    assert main(["inspect", str(photos)]) == 1
    printed = capsys.readouterr()
    assert "baseline: 5 (83%)" in printed.out
    assert "cut.jpg" in printed.err


def test_summaries_count_every_file_once(photos: Path) -> None:
    told: list[int] = []
    summary = sum_up(Files([photos]), lambda count, size_bytes: told.append(count))
    assert sum(told) == summary.files == 3
    assert summary.failures == []


# --- pages and figures


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_profile_page_fits_phones_and_desks_in_light_and_dark(dark: bool, tmp_path: Path) -> None:
    text = profile_page(MADE_UP)
    found = page_faults(text, tmp_path, dark=dark)
    assert found.pop("ground") < 0.1 if dark else found.pop("ground") > 0.7
    assert found == {"390": [], "768": [], "1280": []}


def test_tables_of_many_columns_fit_phones(tmp_path: Path) -> None:
    headings = (
        "model", "input", "top-1", "top-5", "same answers", "GMAC", "million parameters", "kB per image", "ms to read",
        "ms to copy",
    )  # fmt: skip
    rows = [["runs/frequencies-of-24-channels (resnet18)", "24 x 56 x 56", *["12.34"] * (len(headings) - 2)]] * 3
    text = page("Compared", "lead", [Section("Models", table_html(headings, rows, strong=[1]))])
    for dark in (False, True):
        found = page_faults(text, tmp_path, dark=dark)
        assert [found[width] for width in ("390", "768", "1280")] == [[], [], []]


def test_a_page_with_faults_is_found_faulty(tmp_path: Path) -> None:
    bad = page("t", "l", [Section("s", '<h4>x</h4><p style="font-size:9px;color:#aaa;width:900px">small</p><img>')])
    found = " ".join(page_faults(bad, tmp_path, dark=False, widths=(390,))["390"])
    for fault in ("px wide", "9 px", "contrast", "no description", "follows level 2"):
        assert fault in found


def test_page_is_self_contained_and_escapes_what_it_shows() -> None:
    text = profile_page(MADE_UP)
    assert "&lt;odd&gt;.jpg" in text
    assert "<odd>" not in text
    assert text.count('class="bar"') == len(MADE_UP.rows)
    assert not re.search(r'(?:src|href)="(?!data:|#)', text)
    other = page("Title & more", "lead", [Section("x", text_html("run `a < b` now"))])
    assert "Title &amp; more" in other
    assert "<code>a &lt; b</code>" in other
    assert "<nav" not in other


def test_every_stage_has_a_colour() -> None:
    text = profile_page(MADE_UP)
    for n, _ in enumerate(STAGES):
        assert text.count(f"--stage-{n}:") == 2


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
    picture = image_html(png_bytes(figure, dpi=40), alt="heat map")
    assert picture.startswith('<figure><img alt="heat map" src="data:image/png')
