"""The installed package: names, types, version and documentation."""

from __future__ import annotations

import ast
import doctest
import importlib
import importlib.metadata
import pkgutil
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import jpegfreq
from jpegfreq import _native
from tests.images import make_jpeg

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "jpegfreq"


def modules() -> list[str]:
    """List every module of the package except those that need extras."""
    names = [info.name for info in pkgutil.walk_packages([str(PACKAGE)], "jpegfreq.", onerror=lambda _: None)]
    return [
        name
        for name in names
        if not name.startswith(("jpegfreq.torch", "jpegfreq.models", "jpegfreq._native")) and "__main__" not in name
    ]


def test_version_is_the_distributions() -> None:
    assert jpegfreq.__version__ == importlib.metadata.version("jpegfreq")
    assert f"version: {jpegfreq.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_every_public_name_exists() -> None:
    assert sorted(jpegfreq.__all__) == jpegfreq.__all__ or set(jpegfreq.__all__) <= set(dir(jpegfreq))
    for name in jpegfreq.__all__:
        assert getattr(jpegfreq, name) is not None
        assert name in dir(jpegfreq)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        jpegfreq.nonsense  # noqa: B018


def test_package_is_typed() -> None:
    assert (PACKAGE / "py.typed").exists()


def test_native_stub_matches_the_module() -> None:
    """Compare all names, and the parameters of every function in order."""
    stub = ast.parse((PACKAGE / "_native.pyi").read_text())
    functions = {node.name: [a.arg for a in node.args.args] for node in stub.body if isinstance(node, ast.FunctionDef)}
    classes = {node.name for node in stub.body if isinstance(node, ast.ClassDef)}
    public = {name for name in dir(_native) if not name.startswith("_")}
    assert public == set(functions) | classes
    for name, parameters in functions.items():
        signature = getattr(_native, name).__doc__.splitlines()[0]
        inside = signature[signature.index("(") + 1 : signature.rindex(") ->")]
        assert re.findall(r"(?:^|, )(\w+)(?=:)", inside) == parameters, signature


@pytest.mark.parametrize("name", modules())
def test_examples_in_docstrings_hold(name: str) -> None:
    module: ModuleType = importlib.import_module(name)
    names = {**vars(module), "gray_16x8": make_jpeg(16, 8, "L")}
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, name, extraglobs=names):
        runner.run(test)
    assert runner.failures == 0


@pytest.mark.long
def test_source_installs_into_an_empty_environment(tmp_path: Path) -> None:
    """A C++ compiler is enough, because the build installs its own tools."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", f"-Cbuild-dir={tmp_path / 'build'}", ROOT], check=True)
    code = "import jpegfreq, jpegfreq.models, sys; print(jpegfreq.read_header(sys.stdin.buffer.read()).width)"
    run = subprocess.run([python, "-c", code], input=make_jpeg(40, 24), cwd=tmp_path, capture_output=True, check=True)
    assert run.stdout == b"40\n"
