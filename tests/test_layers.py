"""One path, one direction: which module may import which. A new module needs a line here."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

DECODER = {"_native", "_arguments", "_json", "_words", "_memory", "errors", "header", "coefficients"}
FORMAT = {"_arguments", "_json", "_words", "errors", "channels", "statistics", "format"}
TENSORS = DECODER | FORMAT | {"", "failures", "crops", "views", "assembly.*", "_resample", "batch"}
SOURCES = {"_files", "_json", "_words", "sources.*"}
EDITS = {"_segments", "blocks.*", "structure", "writer"}

# What a module may import of jpegfreq, for types alone or in earnest. A name that ends in ".*" stands for a folder's
# modules, which may also import one another; "*" is everything.
ALLOWED = {
    "jpegfreq": {"*"},
    "jpegfreq.__main__": {"cli.*"},
    "jpegfreq._arguments": set(),
    "jpegfreq._extras": set(),
    "jpegfreq._json": set(),
    "jpegfreq._words": set(),
    "jpegfreq.errors": set(),
    "jpegfreq.failures": {"errors"},
    "jpegfreq._files": set(),
    "jpegfreq._dct": set(),
    "jpegfreq._quality": set(),
    "jpegfreq._memory": {"_native"},
    "jpegfreq.crops": {"_arguments"},
    "jpegfreq.views": {"_arguments", "header", "crops"},
    "jpegfreq.header": {"_native"},
    "jpegfreq.coefficients": {"_native", "_arguments", "errors", "header"},
    "jpegfreq.structure": DECODER,
    "jpegfreq.channels": {"_arguments", "_json", "_words"},
    "jpegfreq.statistics": {"_arguments", "_files", "_json", "channels"},
    "jpegfreq.format": {"_arguments", "_json", "_words", "channels", "statistics"},
    "jpegfreq.assembly.*": DECODER | FORMAT,
    "jpegfreq._segments": set(),
    "jpegfreq.blocks.*": DECODER - {"_native"} | {"_dct", "_segments", "crops"},
    "jpegfreq._resample": DECODER | FORMAT | {"assembly.*", "crops"},
    "jpegfreq.batch": DECODER | FORMAT | {"assembly.*", "crops", "_resample"},
    "jpegfreq.writer": DECODER | {"_files", "batch"},
    "jpegfreq.sources.*": {"_native", "errors", "_extras", "_files", "_json", "_memory", "_words"},
    "jpegfreq.compat.*": DECODER - {"_native"} | {"_files", "_quality", "_segments", "channels", "structure", "writer"},
    "jpegfreq.store.*": {"_extras"} | TENSORS - {"_native"} | SOURCES | EDITS,
    "jpegfreq.torch.*": {"_extras"} | TENSORS - {"_native"} | SOURCES | {"_dct"},
    "jpegfreq.models.pixel_layer": FORMAT | {"_dct"},
    "jpegfreq.models.stems": FORMAT | {"models.pixel_layer"},
    "jpegfreq.models.frontend": FORMAT | {"models.pixel_layer", "models.stems", "views"},
    "jpegfreq.models.networks.*": FORMAT | {"models.gate", "models.pixel_layer"},
    "jpegfreq.models.*": {"_extras"} | TENSORS - {"_native"} | SOURCES | {"_dct", "store.*", "torch.*"},
    "jpegfreq.report.*": {"*"},
    "jpegfreq.cli.*": {"*"},
}

# Packages that only some modules may import.
ONLY_IN = {
    "torch": ("jpegfreq.torch.", "jpegfreq.models.", "jpegfreq.report.pipelines"),
    "torchvision": ("jpegfreq.torch.", "jpegfreq.models.", "jpegfreq.report.pipelines"),
    "numba": ("jpegfreq.assembly.kernels",),
    "ray": ("jpegfreq.store.ray_engine",),
    "rich": ("jpegfreq.cli.", "jpegfreq.report."),
    "xxhash": ("jpegfreq.store.",),
    "matplotlib": ("jpegfreq.cli.", "jpegfreq.report."),
}


def modules() -> Iterator[tuple[str, Path]]:
    for folder, package in ((ROOT / "jpegfreq", "jpegfreq"), (ROOT / "models", "jpegfreq.models")):
        for path in sorted(folder.rglob("*.py")):
            parts = [package, *path.relative_to(folder).with_suffix("").parts]
            yield ".".join(parts).removesuffix(".__init__"), path


MODULES = dict(modules())


def imports(name: str, path: Path) -> Iterator[tuple[str, int]]:
    """Each module that a module imports anywhere in its text, in full, and the line."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.rsplit(".", node.level - 1)[0] if node.level else ""
            module = ".".join(filter(None, (base, node.module)))
            for alias in node.names:
                inner = f"{module}.{alias.name}"
                yield inner if inner in MODULES or inner == "jpegfreq._native" else module, node.lineno


def rule(name: str) -> str | None:
    """The key of ALLOWED under which a module stands."""
    if name in ALLOWED:
        return name
    return next((key for key in ALLOWED if key.endswith(".*") and f"{name}.".startswith(key[:-1])), None)


def permitted(name: str, target: str) -> bool:
    key = rule(name)
    assert key is not None, f"{name} has no line in ALLOWED"
    if key.endswith(".*") and f"{target}.".startswith(key[:-1]):
        return True
    short = target.removeprefix("jpegfreq").removeprefix(".")
    return any(
        allowed == "*" or short == allowed or (allowed.endswith(".*") and f"{short}.".startswith(allowed[:-1]))
        for allowed in ALLOWED[key]
    )


@pytest.mark.parametrize("name", MODULES)
def test_module_imports_only_from_its_left(name: str) -> None:
    for target, line in imports(name, MODULES[name]):
        if target.split(".")[0] == "jpegfreq":
            assert permitted(name, target), f"{MODULES[name]}:{line} imports {target}"


@pytest.mark.parametrize("name", MODULES)
def test_heavy_packages_stay_where_they_belong(name: str) -> None:
    for target, line in imports(name, MODULES[name]):
        homes = ONLY_IN.get(target.split(".")[0])
        if homes is not None:
            assert f"{name}.".startswith(homes), f"{MODULES[name]}:{line} imports {target}"


def test_models_is_never_a_top_level_package() -> None:
    for folder in ("jpegfreq", "models", "tests", "bench"):
        for path in (ROOT / folder).rglob("*.py"):
            for target, line in imports(folder, path):
                assert target.split(".")[0] != "models", f"{path}:{line} imports models; it is jpegfreq.models"


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("*.py")), ids=lambda path: path.name)
def test_tests_share_helpers_through_helper_modules_only(path: Path) -> None:
    inside = re.findall(r"\bfrom tests\.test_\w+ import|\bimport tests\.test_\w+", path.read_text())
    assert not inside, f"{path}: {inside}: move what both need into a helper module beside them"


def test_native_core_knows_no_python_and_bindings_include_only_the_contract() -> None:
    for path in (ROOT / "native" / "src").iterdir():
        text = path.read_text()
        assert "Python.h" not in text, path
        assert "nanobind" not in text, path
    contract = {path.name for path in (ROOT / "native" / "include").iterdir()}
    own = {path.name for path in (ROOT / "native" / "bindings").glob("*.h")}
    for path in (ROOT / "native" / "bindings").iterdir():
        for line in path.read_text().splitlines():
            if line.startswith('#include "'):
                assert line.split('"')[1] in contract | own, f"{path}: {line}"


def test_importing_jpegfreq_imports_nothing_heavy() -> None:
    code = "import jpegfreq, sys; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numba", "rich", "torch", "torchvision", "matplotlib", "PIL", "ray"} & set(loaded)
