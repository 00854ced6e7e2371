"""The Python examples in README.md and docs/pretrained.md run in order, and print what their comments say."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import pytest

from jpegfreq.cli import main
from tests.images import make_jpeg

ROOT = Path(__file__).parents[1]


def examples(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)


BLOCKS = examples("README.md")
WITHOUT_TORCH = [block for block in BLOCKS if "jpegfreq.torch" not in block and "jpegfreq.models" not in block]


def promised(block: str) -> list[str]:
    """List what the comments after the block's print calls say they print."""
    return re.findall(r"^ *print\(.*\)  # (.*)$", block, re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with everything that the examples name."""
    monkeypatch.chdir(tmp_path)
    photo = make_jpeg(500, 375, subsampling="4:2:0", quality=90)
    Path("photo.jpg").write_bytes(photo)
    Path("cut.jpg").write_bytes(photo[: 2 * len(photo) // 3])
    for name in ("photos", "train/a", "train/b"):
        Path(name).mkdir(parents=True)
        (Path(name) / "photo.jpg").write_bytes(photo)
    assert main(["stats", "photos", "--size", "224", "--out", "stats.json"]) == 0
    convert = "convert photos --out store --channels 24 --size 224 --dtype float16 --statistics stats.json"
    assert main(convert.split()) == 0
    return tmp_path


def run(blocks: list[str], page: str = "README.md") -> None:
    names: dict[str, Any] = {}
    for block in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block, page, "exec"), names)
        assert printed.getvalue().splitlines() == promised(block), block


@pytest.mark.usefixtures("folder")
def test_examples_that_need_numpy_alone_print_what_they_say() -> None:
    assert sum(len(promised(block)) for block in WITHOUT_TORCH) >= 4
    run(WITHOUT_TORCH)


@pytest.mark.usefixtures("folder")
def test_all_examples_print_what_they_say() -> None:
    pytest.importorskip("torch")
    run(BLOCKS)


@pytest.mark.usefixtures("folder")
def test_examples_of_pretrained_networks_print_what_they_say() -> None:
    pytest.importorskip("torchvision")
    pytest.importorskip("timm")
    blocks = examples("docs/pretrained.md")
    assert sum(len(promised(block)) for block in blocks) >= 5
    run(blocks, "docs/pretrained.md")
