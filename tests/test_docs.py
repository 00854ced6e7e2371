"""The documentation is true: examples print what their comments say, commands exist, links lead somewhere."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jpegfreq.cli import command_parsers, main
from tests.images import make_jpeg

ROOT = Path(__file__).parents[1]
PAGES = [path.relative_to(ROOT).as_posix() for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))]


def examples(page: str) -> list[str]:
    """List the Python examples of a page; they run one after another, in one namespace."""
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)


def commands(page: str) -> list[str]:
    """List the lines of a page's indented blocks that start jpegfreq, without their comments."""
    lines = re.findall(
        r"^    ((?:torchrun .* -m )?jpegfreq .*)$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE
    )
    return [re.sub(r"^torchrun .* -m ", "", line) for line in lines]


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


def run(blocks: list[str], page: str) -> None:
    names: dict[str, Any] = {}
    for block in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block, page, "exec"), names)
        assert printed.getvalue().splitlines() == promised(block), block


@pytest.mark.usefixtures("folder")
def test_examples_that_need_numpy_alone_print_what_they_say() -> None:
    blocks = [block for block in examples("README.md") if not re.search(r"jpegfreq\.(torch|models)", block)]
    assert sum(len(promised(block)) for block in blocks) >= 4
    run(blocks, "README.md")


@pytest.mark.parametrize("page", [page for page in PAGES if examples(page)])
@pytest.mark.usefixtures("folder")
def test_examples_print_what_they_say(page: str) -> None:
    pytest.importorskip("torchvision")
    pytest.importorskip("timm")
    blocks = examples(page)
    for package in ("accelerate", "datasets", "lightning", "lmdb", "onnxruntime", "webdataset"):
        if re.search(rf"^(?:import|from) {package}\b", "\n".join(blocks), re.MULTILINE):
            pytest.importorskip(package)
    assert any(map(promised, blocks))
    run(blocks, page)


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)])
def test_commands_are_accepted(page: str) -> None:
    for line in commands(page):
        name, *arguments = shlex.split(line, comments=True)[1:]
        if "..." not in arguments and "|" not in name:
            command_parsers()[name].parse_args(arguments)


def test_the_site_builds_and_every_link_leads_somewhere(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    assert (tmp_path / "command-line" / "index.html").read_text(encoding="utf-8").count("usage: jpegfreq") > 10
    html = "".join(page.read_text(encoding="utf-8") for page in tmp_path.rglob("*.html"))
    loaded = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="?(https?:[^" >]+)', html)
    assert not loaded, f"pages load {loaded[:3]} from the network"
