"""A missing package is an error that names the extra to install, from Python as from the command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import jpegfreq
from jpegfreq._extras import MissingExtraError, needs_extra
from tests.images import make_jpeg

SUBMODULES = (
    "assembly",
    "batch",
    "blocks",
    "channels",
    "coefficients",
    "crops",
    "errors",
    "failures",
    "format",
    "header",
    "models",
    "report",
    "sources",
    "statistics",
    "store",
    "structure",
    "torch",
    "views",
)


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


def last_line(code: str) -> str:
    found = run(code)
    assert found.returncode == 1
    return found.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("package", "statement", "what", "extra"),
    [
        ("torch", "import jpegfreq.torch", "jpegfreq.torch", "train"),
        ("torch", "import jpegfreq; jpegfreq.torch", "jpegfreq.torch", "train"),
        ("torch", "from jpegfreq.models import create_model", "jpegfreq.models.create_model", "train"),
        ("safetensors", "import jpegfreq; jpegfreq.models.load_model", "jpegfreq.models.load_model", "train"),
        ("matplotlib", "import jpegfreq.report.figures", "jpegfreq.report.figures", "plot"),
        ("h5py", "from jpegfreq.store.coefficients import *; StoredCoefficients('x')", "StoredCoefficients", "storage"),
    ],
)
def test_python_names_the_extra(package: str, statement: str, what: str, extra: str) -> None:
    line = last_line(f"import sys; sys.modules[{package!r}] = None; {statement}")
    assert line.endswith(
        f"MissingExtraError: {what} needs {package}, which is not installed: pip install 'jpegfreq[{extra}]', "
        f"or pip install '.[{extra}]' in a source checkout"
    )


@pytest.mark.parametrize(
    ("package", "arguments", "extra"),
    [
        ("torch", ["train", "{photos}", "{photos}", "--out", "{out}"], "train"),
        ("torch", ["predict", "{photos}", "{photos}/a.jpg"], "train"),
        ("matplotlib", ["show", "{photos}/a.jpg", "--out", "{out}.png"], "plot"),
        ("h5py", ["convert", "{photos}", "--coefficients", "--out", "{out}"], "storage"),
        ("ray", ["convert", "{photos}", "--engine", "ray", "--out", "{out}"], "ray"),
    ],
)
def test_every_command_names_the_extra(package: str, arguments: list[str], extra: str, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(make_jpeg(64, 64))
    named = [text.format(photos=tmp_path / "photos", out=tmp_path / "out") for text in arguments]
    code = f"import sys; sys.modules[{package!r}] = None; from jpegfreq.cli import main; sys.exit(main(sys.argv[1:]))"
    found = run(code, *named)
    assert found.returncode == 2
    assert f"needs {package}, which is not installed: pip install 'jpegfreq[{extra}]'" in found.stderr
    assert "Traceback" not in found.stderr


def test_packages_without_an_extra_keep_their_own_error() -> None:
    with pytest.raises(ModuleNotFoundError) as caught, needs_extra("this"):
        import nothing_of_this_name  # type: ignore[import-not-found]  # noqa: F401
    assert not isinstance(caught.value, MissingExtraError)


@pytest.mark.parametrize("name", SUBMODULES)
def test_every_documented_submodule_is_reachable(name: str) -> None:
    if name == "torch":
        pytest.importorskip("torch", reason="the extra `train` is not installed")
    code = f"import jpegfreq, types; assert isinstance(jpegfreq.{name}, types.ModuleType)"
    found = run(f"{code}; dir(jpegfreq).index('{name}')")
    assert found.returncode == 0, found.stderr


def test_every_documented_name_is_reachable_and_resample_is_a_function() -> None:
    for name in jpegfreq.__all__:
        assert name in dir(jpegfreq)
        assert callable(getattr(jpegfreq, name))
    code = "import jpegfreq.crops, jpegfreq._resample, jpegfreq; assert jpegfreq.resample.__name__ == 'resample'"
    assert run(code).returncode == 0
    with pytest.raises(AttributeError, match="'jpegfreq' has no attribute 'nothing'"):
        jpegfreq.nothing  # noqa: B018
