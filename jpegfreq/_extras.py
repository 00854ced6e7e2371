"""Optional packages: an error that names the extra to install, where one of them is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["MissingExtraError", "needs_extra"]

# The extra of pyproject.toml that brings each package.
_EXTRAS = {
    "PIL": "train",
    "fsspec": "remote",
    "h5py": "storage",
    "hdf5plugin": "storage",
    "matplotlib": "plot",
    "pycocotools": "detection",
    "ray": "ray",
    "safetensors": "train",
    "tensorboard": "train",
    "torch": "train",
    "torchmetrics": "detection",
    "torchvision": "train",
}


class MissingExtraError(ModuleNotFoundError):
    """A package of an extra is not installed; the message says how to install it."""


@contextmanager
def needs_extra(what: str) -> Iterator[None]:
    """Turn the ModuleNotFoundError of a package that an extra brings into one that names the extra.

    Args:
        what: what needs the package: a module, a function or an option.

    Raises:
        MissingExtraError: the package is missing.
    """
    try:
        yield
    except MissingExtraError:
        raise
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in _EXTRAS:
            raise
        extra = _EXTRAS[package]
        raise MissingExtraError(
            f"{what} needs {package}, which is not installed: pip install 'jpegfreq[{extra}]', "
            f"or pip install '.[{extra}]' in a source checkout",
            name=error.name,
        ) from error
