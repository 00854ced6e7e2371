"""What every function that makes frequency tensors checks first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from jpegfreq import _native
from jpegfreq.errors import UnsupportedJpegError

if TYPE_CHECKING:
    import numpy.typing as npt

    from jpegfreq.format import TensorFormat
    from jpegfreq.header import Header

__all__ = ["check_color", "check_out"]


def check_color(header: Header, format: TensorFormat) -> None:
    """Refuse an image whose components are not Y, Cb and Cr.

    Raises:
        UnsupportedJpegError: the image is RGB, CMYK, YCCK (unless the format holds luma channels only) or of unknown
            colour.
    """
    if refusal := _native.color_refusal(header.color, format.selection.luma_only):
        raise UnsupportedJpegError(refusal)


def check_out(out: npt.NDArray[Any], shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Refuse an array that a result of this shape and dtype cannot be written to.

    Raises:
        TypeError: it is no NumPy array.
        ValueError: its shape, dtype or memory layout does not fit.
    """
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be a NumPy array, not {type(out).__name__}; of a torch tensor, its .numpy()")
    if out.shape != shape or out.dtype != dtype:
        raise ValueError(f"out must be {dtype} {shape}, not {out.dtype} {out.shape}")
    if not (out.flags.c_contiguous and out.flags.writeable and out.flags.aligned):
        raise ValueError("out must be C-contiguous, aligned and writable")
