"""Print what pyproject.toml requires: to build, to run, and for the extras named on the command line."""

import sys
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
requirements = [*project["build-system"]["requires"], "cmake", "ninja", *project["project"]["dependencies"]]
for extra in sys.argv[1:]:
    requirements += project["project"]["optional-dependencies"][extra]
print("\n".join(requirements))
