"""Quantized DCT coefficients back to JPEG bytes: the exact inverse of `read_coefficients`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, overload

import numpy as np

from jpegfreq import _native
from jpegfreq._arguments import check_choice, check_flag, check_type, given, whole_number
from jpegfreq._files import write_whole
from jpegfreq._words import counted
from jpegfreq.batch import _return_errors, _thread_count
from jpegfreq.coefficients import COMPONENTS, Coefficients
from jpegfreq.header import Component, Header

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Process: TypeAlias = Literal[
        "keep", "baseline", "extended", "progressive", "arithmetic extended", "arithmetic progressive"
    ]
    Segments: TypeAlias = Literal["keep", "strip"] | Sequence[tuple[int, bytes]]

__all__ = ["ScanParameters", "write_jpeg", "write_jpeg_batch"]

_PROCESSES = ("keep", "baseline", "extended", "progressive", "arithmetic extended", "arithmetic progressive")
_HEADER_PROCESSES = (*_PROCESSES[1:], "lossless")
_MOST_RESTART_ROWS = 65535
# The numbers of a header, with the largest that its segments have room for.
_HEADER_NUMBERS = {"height": 65535, "width": 65535, "precision": 255, "restart_interval": 65535, "orientation": 255}
_COMPONENT_NUMBERS = {
    "identifier": 255,
    "horizontal_sampling_factor": 255,
    "vertical_sampling_factor": 255,
    "quantization_table_id": 255,
    "blocks_high": 65535,
    "blocks_wide": 65535,
}


class ScanParameters(NamedTuple):
    """What one scan of a written file holds (T.81 B.2.3, G.1.1.1).

    Attributes:
        components: which components, counted from 0, in the order of the frame.
        Ss: first coefficient in zigzag order.
        Se: last coefficient in zigzag order.
        Ah: how many low bits the scan before it left out; 0 for the first scan of a coefficient.
        Al: how many low bits this scan leaves out.
    """

    components: tuple[int, ...]
    Ss: int = 0
    Se: int = 63
    Ah: int = 0
    Al: int = 0


def write_jpeg(
    coefficients: Coefficients,
    path: str | os.PathLike[str] | None = None,
    *,
    process: Process = "keep",
    optimize: bool = True,
    restart_rows: int | None = None,
    segments: Segments = "keep",
    scans: Sequence[ScanParameters | tuple[Any, ...]] | None = None,
) -> bytes:
    """Write coefficients as a JPEG file, without any loss: reading the file gives the same coefficients.

    The file has the size, sampling, tables, colour and orientation that `coefficients.header` and
    `coefficients.quantization_tables` say. Where the kept segments say something else about the orientation, the EXIF
    tag is changed; where they do not tell the colour or the orientation, an Adobe or EXIF segment is added. It
    releases the GIL.

    Args:
        coefficients: from `read_coefficients`, `Coefficients.from_planes`, or an edit of either.
        path: also write the bytes to this file, whole or not at all.
        process: "keep" for the process of the header, where "baseline" becomes "extended" if the tables or the
            precision need it; or "baseline", "extended", "progressive", "arithmetic extended" or "arithmetic
            progressive". Few programs read arithmetic coding.
        optimize: use the Huffman tables that make this file smallest. False: those of T.81 K.3, which is possible for
            sequential Huffman files with 8 bits per sample.
        restart_rows: rows of MCUs between restart markers; 0 for no markers; None for the restart interval of the
            header.
        segments: "keep" writes `coefficients.segments`. "strip" leaves them out and writes a JFIF or Adobe segment for
            the colour, as libjpeg does; so does "keep" if the segments were not read. Or a sequence of (marker,
            bytes): 0xE0 to 0xEF or 0xFE, and at most 65533 bytes.
        scans: the scans of the file; None for one scan of all components, or for libjpeg's default script if the
            process is progressive. Where an MCU would have more than ten blocks, each component gets its own scan.

    Returns:
        The bytes of the file.

    Raises:
        ValueError: the coefficients do not fit their header or the process; the message names the component, block and
            frequency of a value out of range. Or an option does not fit.
        TypeError: an argument has the wrong type.
        OSError: the path cannot be written.
        MemoryError: there is no room for the file.

    >>> from jpegfreq import read_coefficients
    >>> write_jpeg(read_coefficients(gray_16x8))[:2].hex()
    'ffd8'
    """
    image = (*_image("coefficients", coefficients, process, segments), "")
    data = _native.write_jpeg(image, check_flag("optimize", optimize), _restart_rows(restart_rows), _scans(scans))
    if path is not None:
        write_whole(Path(path), data)
    return data


@overload
def write_jpeg_batch(
    coefficients: Iterable[Coefficients],
    *,
    process: Process = "keep",
    optimize: bool = True,
    restart_rows: int | None = None,
    segments: Segments = "keep",
    scans: Sequence[ScanParameters | tuple[Any, ...]] | None = None,
    threads: int | None = None,
    errors: Literal["raise"] = "raise",
) -> list[bytes]: ...
@overload
def write_jpeg_batch(
    coefficients: Iterable[Coefficients],
    *,
    process: Process = "keep",
    optimize: bool = True,
    restart_rows: int | None = None,
    segments: Segments = "keep",
    scans: Sequence[ScanParameters | tuple[Any, ...]] | None = None,
    threads: int | None = None,
    errors: Literal["return"],
) -> list[bytes | ValueError | MemoryError]: ...
def write_jpeg_batch(
    coefficients: Iterable[Coefficients],
    *,
    process: Process = "keep",
    optimize: bool = True,
    restart_rows: int | None = None,
    segments: Segments = "keep",
    scans: Sequence[ScanParameters | tuple[Any, ...]] | None = None,
    threads: int | None = None,
    errors: Literal["raise", "return"] = "raise",
) -> list[bytes] | list[bytes | ValueError | MemoryError]:
    """Write many images in native threads.

    Args:
        coefficients: the Coefficients of each image.
        process: as for `write_jpeg`, as are optimize, restart_rows, segments and scans.
        optimize: see there.
        restart_rows: see there.
        segments: see there.
        scans: see there.
        threads: how many threads write; None for one per usable core.
        errors: "raise" raises the first error, which names its image; "return" puts each error in the position of its
            image.

    Returns:
        The bytes of each file, in the order of `coefficients`.

    Raises:
        ValueError: as for `write_jpeg`, with `errors="raise"`.
        TypeError: an argument has the wrong type, for both values of `errors`.

    >>> from jpegfreq import read_coefficients
    >>> [data[:2].hex() for data in write_jpeg_batch([read_coefficients(gray_16x8)] * 2)]
    ['ffd8', 'ffd8']
    """
    keep_errors = _return_errors(errors)
    results: list[Any] = []
    images = []
    for i, one in enumerate(coefficients):
        try:
            images.append((*_image(f"coefficients[{i}]", one, process, segments), f"coefficients[{i}]: "))
            results.append(None)
        except ValueError as error:
            if not keep_errors:
                raise
            results.append(error)
    written = iter(
        _native.write_jpeg_batch(
            images,
            check_flag("optimize", optimize),
            _restart_rows(restart_rows),
            _scans(scans),
            _thread_count(threads),
            keep_errors,
        )
    )
    return [next(written) if result is None else result for result in results]


def _image(name: str, coefficients: Any, process: str, segments: Any) -> tuple[Any, ...]:
    """Return what the native writer takes for one image, with the types that it relies on."""
    check_type(name, coefficients, Coefficients)
    header = coefficients.header
    check_type(f"{name}.header", header, Header)
    _check_header(f"{name}.header", header)
    count = len(header.components)
    planes = tuple(
        _array(f"{name}.planes[{c}]", plane, np.int16, 4) for c, plane in enumerate(tuple(coefficients.planes))
    )
    tables = tuple(
        _array(f"{name}.quantization_tables[{c}]", table, np.uint16, 2)
        for c, table in enumerate(tuple(coefficients.quantization_tables))
    )
    if len(planes) != count or len(tables) != count:
        raise ValueError(
            f"{name} has {counted(count, 'component')}, {counted(len(planes), 'plane')} and "
            f"{counted(len(tables), 'quantization table')}; every component needs one of each"
        )
    for c, component in enumerate(header.components):
        if planes[c].shape[:2] != (component.blocks_high, component.blocks_wide):
            raise ValueError(
                f"{name}.planes[{c}] has {planes[c].shape[0]} x {planes[c].shape[1]} blocks, but the header says "
                f"{component.blocks_high} x {component.blocks_wide}"
            )
    kept: tuple[tuple[int, bytes], ...] | None = None  # a segment for the colour is written then
    if not isinstance(segments, str):
        kept = _segments(segments)
    else:
        check_choice("segments", segments, ("keep", "strip"))
        if segments == "keep" and coefficients.segments is not None:
            kept = _segments(coefficients.segments)
    check_choice("process", process, _PROCESSES)
    keep = process == "keep"
    return header, planes, tables, header.process if keep else process, keep, kept or (), kept is None


def _check_header(name: str, header: Header) -> None:
    _check_numbers(name, header, _HEADER_NUMBERS)
    check_choice(f"{name}.color", header.color, COMPONENTS)
    check_choice(f"{name}.process", header.process, _HEADER_PROCESSES)
    check_type(f"{name}.components", header.components, tuple)
    if not 1 <= len(header.components) <= 4:
        raise ValueError(f"{name} must have 1 to 4 components, not {len(header.components)}")
    for c, component in enumerate(header.components):
        check_type(f"{name}.components[{c}]", component, Component)
        _check_numbers(f"{name}.components[{c}]", component, _COMPONENT_NUMBERS)


def _check_numbers(name: str, owner: object, fields: dict[str, int]) -> None:
    for field, most in fields.items():
        value = getattr(owner, field)
        if type(value) is not int or not 0 <= value <= most:
            whole_number(f"{name}.{field}", value, least=0, most=most)


def _array(name: str, array: Any, dtype: type, axes: int) -> Any:
    if not isinstance(array, np.ndarray) or array.dtype != dtype:
        kind = f"an array of {array.dtype}" if isinstance(array, np.ndarray) else given(array)
        raise TypeError(f"{name} must be an array of {np.dtype(dtype)}, not {kind}")
    if array.ndim != axes or array.shape[-2:] != (8, 8):
        raise ValueError(f"{name} must have the shape {['[8, 8]', '[.., .., 8, 8]'][axes == 4]}, not {array.shape}")
    return np.ascontiguousarray(array)


def _segments(segments: Any) -> tuple[tuple[int, bytes], ...]:
    try:
        pairs = list(segments)
    except TypeError:
        raise TypeError(
            f'segments must be "keep", "strip" or a list of (marker, bytes), not {given(segments)}'
        ) from None
    return tuple(_segment(i, pair) for i, pair in enumerate(pairs))


def _segment(position: int, segment: Any) -> tuple[int, bytes]:
    try:
        marker, body = segment
    except (TypeError, ValueError):
        raise TypeError(f"segments[{position}] must be (marker, bytes), not {given(segment)}") from None
    check_type(f"segments[{position}][1]", body, bytes)
    return whole_number(f"segments[{position}][0]", marker, least=0, most=255), body


def _restart_rows(rows: int | None) -> int:
    return -1 if rows is None else whole_number("restart_rows", rows, least=0, most=_MOST_RESTART_ROWS)


def _scans(scans: Any) -> list[ScanParameters]:
    if scans is None:
        return []
    try:
        given_scans = list(scans)
    except TypeError:
        raise TypeError(f"scans must be a list of (components, Ss, Se, Ah, Al), not {given(scans)}") from None
    checked = []
    for i, scan in enumerate(given_scans):
        try:
            parameters = ScanParameters(*scan)
            components = tuple(whole_number("", component, least=0, most=255) for component in parameters.components)
            numbers = [whole_number("", number, least=0, most=255) for number in parameters[1:]]
        except (TypeError, ValueError):
            raise ValueError(f"scans[{i}] must be (components, Ss, Se, Ah, Al), not {scan!r}") from None
        checked.append(ScanParameters(components, *numbers))
    if not checked:
        raise ValueError("scans must have at least one scan; None is for the default")
    return checked


def _from_status(image: str, segment: str, message: str, clause: str, place: tuple[int, ...] | None) -> ValueError:
    """Make the error for what the native writer refused; `image` begins the message, if it is one of a batch."""
    text = f"{segment}: {message}" if segment else message
    if place is not None:
        component, row, column, v, u, value = place
        text = f"component {component}, block ({row}, {column}), frequency (v={v}, u={u}): {value} is {message}"
    return ValueError(f"{image}cannot write the JPEG: {text}" + (f" (T.81 {clause})" if clause else ""))
