"""Read JPEG files as DCT coefficients and frequency tensors, without decoding them to pixels.

Importing this package is cheap: whatever needs Numba, Rich or PyTorch is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from jpegfreq._extras import needs_extra
from jpegfreq._resample import resample
from jpegfreq.batch import read_batch, read_coefficients_batch
from jpegfreq.coefficients import Coefficients, read_coefficients
from jpegfreq.errors import JpegError, MalformedJpegError, TruncatedJpegError, UnsupportedJpegError
from jpegfreq.header import Component, Header, read_header
from jpegfreq.writer import write_jpeg, write_jpeg_batch

if TYPE_CHECKING:
    # `as` marks a name that this module exports.
    from jpegfreq import assembly as assembly
    from jpegfreq import blocks as blocks
    from jpegfreq import channels as channels
    from jpegfreq import compat as compat
    from jpegfreq import crops as crops
    from jpegfreq import failures as failures
    from jpegfreq import models as models
    from jpegfreq import report as report
    from jpegfreq import sources as sources
    from jpegfreq import statistics as statistics
    from jpegfreq import store as store
    from jpegfreq import structure as structure
    from jpegfreq import torch as torch
    from jpegfreq import views as views
    from jpegfreq import writer as writer
    from jpegfreq.assembly.tensor import to_frequency_tensor
    from jpegfreq.channels import ChannelSelection
    from jpegfreq.format import TensorFormat
    from jpegfreq.statistics import ChannelStatistics

__version__ = "0.1.0"

# The module of each name that is imported when it is first used. Type checkers read the imports above instead.
_LAZY_NAMES: dict[str, str] = {
    "ChannelSelection": "jpegfreq.channels",
    "ChannelStatistics": "jpegfreq.statistics",
    "TensorFormat": "jpegfreq.format",
    "to_frequency_tensor": "jpegfreq.assembly.tensor",
}
# The documented submodules, imported when they are first used; `torch` and most of `models` need the extra "train".
_LAZY_MODULES = (
    "assembly",
    "blocks",
    "channels",
    "compat",
    "crops",
    "failures",
    "models",
    "report",
    "sources",
    "statistics",
    "store",
    "structure",
    "torch",
    "views",
    "writer",
)

__all__ = [
    "ChannelSelection",
    "ChannelStatistics",
    "Coefficients",
    "Component",
    "Header",
    "JpegError",
    "MalformedJpegError",
    "TensorFormat",
    "TruncatedJpegError",
    "UnsupportedJpegError",
    "read_batch",
    "read_coefficients",
    "read_coefficients_batch",
    "read_header",
    "resample",
    "to_frequency_tensor",
    "write_jpeg",
    "write_jpeg_batch",
]


def __getattr__(name: str) -> object:
    if name in _LAZY_MODULES:
        with needs_extra(f"jpegfreq.{name}"):
            return importlib.import_module(f"{__name__}.{name}")
    if name not in _LAZY_NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_LAZY_NAMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY_NAMES, *_LAZY_MODULES})
