"""What every function that makes frequency tensors checks first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from jpegfreq import _native
from jpegfreq.errors import UnsupportedJpegError

if TYPE_CHECKING:
    import numpy.typing as npt

    from jpegfreq.format import TensorFormat
    from jpegfreq.header import Header

__all__ = ["TorchTensor", "check_array", "check_color", "check_out"]


@runtime_checkable
class TorchTensor(Protocol):
    """A torch tensor, known by what no NumPy array has, so that nothing here imports torch."""

    @property
    def requires_grad(self) -> bool:
        """Whether torch records what is done with it."""

    def is_contiguous(self) -> bool:
        """Tell whether its values lie one after the other."""

    def data_ptr(self) -> int:
        """Return the address of its first value."""


def check_color(header: Header, format: TensorFormat) -> None:
    """Refuse an image whose components are not Y, Cb and Cr.

    Raises:
        UnsupportedJpegError: the image is RGB, CMYK, YCCK (unless the format holds luma channels only) or of unknown
            colour.
    """
    if refusal := _native.color_refusal(header.color, format.selection.luma_only):
        raise UnsupportedJpegError(refusal)


def check_out(out: npt.NDArray[Any] | TorchTensor, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Refuse an array or a torch tensor that a result of this shape and dtype cannot be written to.

    A tensor may be bfloat16 where the dtype is float32.

    Raises:
        TypeError: it is neither a NumPy array nor a torch tensor.
        ValueError: its shape, dtype, device or memory layout does not fit.
    """
    if isinstance(out, np.ndarray):
        check_array(out, shape, dtype)
    elif isinstance(out, TorchTensor):
        _check_tensor(out, shape, dtype)
    else:
        raise TypeError(f"out must be a NumPy array or a torch tensor, not {type(out).__name__}")


def _check_tensor(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if out.device.type != "cpu":
        raise ValueError(f"out must be a tensor on the CPU, not on {out.device}")
    dtypes = ("float32", "bfloat16") if dtype == np.float32 else (dtype.name,)
    found, found_shape = str(out.dtype).removeprefix("torch."), tuple(out.shape)
    if found not in dtypes or found_shape != shape:
        raise ValueError(f"out must be {' or '.join(dtypes)} {shape}, not {found} {found_shape}")
    if out.requires_grad:
        raise ValueError("out must not require gradients: give its .detach()")
    if str(out.layout) != "torch.strided" or not out.is_contiguous() or out.data_ptr() % out.element_size():
        raise ValueError("out must be contiguous and aligned")


def check_array(out: npt.NDArray[Any], shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
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
