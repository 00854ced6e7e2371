"""Drop-ins for other packages that read and write the DCT coefficients of JPEG files: jpeg2dct, jpegio and jpeglib.

Each module has the functions and classes of its package that deal with coefficients, under the same names. Import them
from here, or let programs that import the package find the drop-in instead:

    import jpegfreq.compat

    jpegfreq.compat.install("jpeglib")  # before anything imports jpeglib
    import conseal  # finds jpegfreq.compat.jpeglib

docs/coming-from.md shows what stays and what differs.
"""

from __future__ import annotations

import importlib
import sys

from jpegfreq._arguments import check_choice

__all__ = ["install"]

# The modules of each package, the package first.
_MODULES = {"jpeg2dct": ("jpeg2dct", "jpeg2dct.numpy"), "jpegio": ("jpegio",), "jpeglib": ("jpeglib",)}


def install(package: str) -> None:
    """Make `import` find the drop-in for a package, in this process.

    Args:
        package: "jpeg2dct", "jpegio" or "jpeglib".

    Raises:
        ValueError: there is no drop-in for this package.
        RuntimeError: the package itself was imported before, and other modules may hold parts of it.
    """
    check_choice("package", package, _MODULES)
    for name in _MODULES[package]:
        ours = importlib.import_module(f"{__name__}.{name}")
        if sys.modules.get(name, ours) is not ours:
            raise RuntimeError(f"{name} is imported already: call jpegfreq.compat.install({package!r}) before that")
    for name in _MODULES[package]:
        sys.modules[name] = importlib.import_module(f"{__name__}.{name}")
