"""Which tests `pytest --quick` runs: those that reach nothing slow. `make quick` uses it.

A test is left out if its file imports something slow at its top, or if the test itself, or a helper or fixture of the
same file that it uses, imports or names it. Only source text is read, so leaving a file out never imports PyTorch.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
SLOW_IMPORTS = ("torch", "torchvision", "ray", "hypothesis", "conseal", "jpegfreq.torch", "jpegfreq.models")
SLOW_NAMES = {"data_files", "page_faults"}  # thousands of real files; a browser
SLOW_FILES = {
    "test_sanitizers.py",  # compiles the fuzz targets
    "test_split.py",  # decodes 500 files twice
    "test_write_errors.py",  # runs every command on a full disk
    "test_verify.py",  # starts libjpeg again and again
    "test_extras.py",  # starts a process for every package that can be missing
}


def _imported(node: ast.AST) -> Iterator[str]:
    """Yield what the statements below a node import, and what `pytest.importorskip` asks for."""
    for each in ast.walk(node):
        if isinstance(each, ast.Import):
            yield from (alias.name for alias in each.names)
        elif isinstance(each, ast.ImportFrom) and each.module:
            yield each.module
            yield from (f"{each.module}.{alias.name}" for alias in each.names)
        elif isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute) and each.func.attr == "importorskip":
            yield from (argument.value for argument in each.args if isinstance(argument, ast.Constant))


def _slow(node: ast.AST) -> bool:
    """Tell whether a node's own text names or imports something slow, our helper modules followed to their imports."""
    if {each.id for each in ast.walk(node) if isinstance(each, ast.Name)} & SLOW_NAMES:
        return True
    seen: set[str] = set()
    waiting = list(_imported(node))
    while waiting:
        name = waiting.pop()
        if any(f"{name}.".startswith(f"{slow}.") for slow in SLOW_IMPORTS):
            return True
        path = ROOT / Path(*name.split(".")).with_suffix(".py")
        if name not in seen and name.startswith(("tests.", "bench.")) and path.exists():
            waiting += [inner for statement in _statements(path)[1] for inner in _imported(statement)]
        seen.add(name)
    return False


@cache
def _statements(path: Path) -> tuple[dict[str, ast.FunctionDef], list[ast.stmt]]:
    """A file's functions by name, and everything else at its top level."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    functions = {node.name: node for node in body if isinstance(node, ast.FunctionDef)}
    return functions, [node for node in body if not isinstance(node, ast.FunctionDef)]


@cache
def is_slow_file(path: Path) -> bool:
    """Tell whether importing the file reaches something slow, so that no test of it can be quick."""
    return path.name in SLOW_FILES or any(map(_slow, _statements(path)[1]))


@cache
def is_slow_test(path: Path, name: str) -> bool:
    """Tell whether a test of the file, or a function of the same file that it uses, reaches something slow."""
    functions = _statements(path)[0]
    reached, waiting = set(), [name]
    while waiting:
        function = functions.get(waiting.pop())
        if function is None or function.name in reached:
            continue
        reached.add(function.name)
        if _slow(function):
            return True
        waiting += [each.id for each in ast.walk(function) if isinstance(each, ast.Name)]
        waiting += [argument.arg for argument in function.args.args]  # fixtures
    return False
