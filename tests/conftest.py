"""Fixtures that several test files share."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, is_hypothesis_test, settings

from tests.oracle import Oracle, OracleUnavailable, build, libraries
from tests.support import unavailable

_ALL_KINDS = list(HealthCheck)
settings.register_profile("usual", max_examples=100, deadline=None, derandomize=True, suppress_health_check=_ALL_KINDS)
settings.register_profile("long", max_examples=2000, deadline=None, suppress_health_check=_ALL_KINDS)


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("long" if config.option.markexpr == "long" else "usual")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """`-m long` runs every property too, over many more examples."""
    if config.option.markexpr == "long":
        for item in items:
            if is_hypothesis_test(getattr(item, "obj", None)):
                item.add_marker("long")


@pytest.fixture(scope="session")
def oracles(tmp_path_factory: pytest.TempPathFactory) -> list[Oracle]:
    """Every libjpeg of ABI 62 that is here, the best first."""
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
    """libjpeg-turbo 3 where there is one (it reads 12-bit files), else the system's."""
    return oracles[0]
