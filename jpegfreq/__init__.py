"""JPEG bytes straight to DCT-coefficient tensors: entropy decoding, no pixel decode.

Importing this package costs little: what needs Numba, Rich or PyTorch is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from jpegfreq.batch import read_batch, read_coefficients_batch
from jpegfreq.coefficients import Coefficients, read_coefficients
from jpegfreq.errors import JpegError, MalformedJpegError, TruncatedJpegError, UnsupportedJpegError
from jpegfreq.header import Component, Header, read_header

# Not on first use: the function has its module's name, and must win whoever imports the module first.
from jpegfreq.resample import resample

if TYPE_CHECKING:
    from jpegfreq.channels import ChannelSelection
    from jpegfreq.format import TensorFormat
    from jpegfreq.statistics import ChannelStatistics
    from jpegfreq.tensor import to_frequency_tensor

__version__ = "0.1.0"

# Where each name lives that is imported on first use (for type checkers: under TYPE_CHECKING above). A function named
# as its own module, such as resample, cannot be lazy: importing the module would hide it.
_LAZY: dict[str, str] = {
    "ChannelSelection": "jpegfreq.channels",
    "ChannelStatistics": "jpegfreq.statistics",
    "TensorFormat": "jpegfreq.format",
    "to_frequency_tensor": "jpegfreq.tensor",
}

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
]


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
