"""Fixtures that several test files share."""

from __future__ import annotations

import pytest

from tests.oracle import Oracle, OracleUnavailable, build, libraries
from tests.support import unavailable


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
