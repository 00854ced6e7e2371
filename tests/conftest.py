"""Fixtures that several test files share."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, is_hypothesis_test, settings

from tests.oracle import Oracle, OracleUnavailable, build, libraries
from tests.quick import is_slow_file, is_slow_test
from tests.support import unavailable

_ALL_KINDS = list(HealthCheck)
settings.register_profile("usual", max_examples=100, deadline=None, derandomize=True, suppress_health_check=_ALL_KINDS)
settings.register_profile("long", max_examples=2000, deadline=None, suppress_health_check=_ALL_KINDS)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="run only the tests that reach nothing slow (tests/quick.py)")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Return None, which lets others decide, unless --quick leaves the file out."""
    left_out = config.option.quick and collection_path.suffix == ".py" and is_slow_file(collection_path)
    return True if left_out else None


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("long" if config.option.markexpr == "long" else "usual")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out slow tests for --quick; `-m long` runs every property too, over many more examples."""
    if config.option.quick:
        slow = [item for item in items if is_slow_test(item.path, getattr(item, "originalname", item.name))]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]
    if config.option.markexpr == "long":
        for item in items:
            if is_hypothesis_test(getattr(item, "obj", None)):
                item.add_marker("long")


@pytest.fixture(scope="session")
def oracles(tmp_path_factory: pytest.TempPathFactory) -> list[Oracle]:
    """Drive every installed libjpeg of ABI 62, the best first."""
    found = libraries()
    if not found:
        unavailable("no libjpeg of ABI 62 (Pillow's wheel or Debian's libjpeg62-turbo)")
    try:
        built = build(tmp_path_factory.mktemp("oracle"))
        return [Oracle(built, library) for library in found]
    except OracleUnavailable as reason:
        unavailable(str(reason))


@pytest.fixture(scope="session")
def oracle(oracles: list[Oracle]) -> Oracle:
    """Drive libjpeg-turbo 3 where it is installed (it reads 12-bit files), else the system's."""
    return oracles[0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Eleven good images of two classes."""
    from tests.torch_folders import make_folder

    return make_folder(tmp_path / "images")


@pytest.fixture
def mixed(folder: Path) -> Path:
    """The same folder with five more files that are not good images."""
    from tests.torch_folders import add_strays

    return add_strays(folder)
