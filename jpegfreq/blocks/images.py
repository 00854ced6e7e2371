"""Lossless edits of whole images, and their counterparts for planes under the same names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, overload

import numpy as np

from jpegfreq._arguments import check_choice, check_type, whole_number
from jpegfreq._segments import with_orientation, with_size, without_color_profile
from jpegfreq._words import counted
from jpegfreq.blocks import planes as of_planes
from jpegfreq.coefficients import Coefficients, _checked_table
from jpegfreq.crops import checked_box
from jpegfreq.header import Upright

if TYPE_CHECKING:
    import numpy.typing as npt

    from jpegfreq.header import Header

__all__ = [
    "Edge",
    "crop",
    "flip_horizontal",
    "flip_vertical",
    "grey",
    "requantize",
    "rotate",
    "transpose",
    "upright",
]

_Number = TypeVar("_Number", bound=np.generic)

# What becomes of MCUs that are not whole; the package's text explains it.
Edge: TypeAlias = Literal["refuse", "keep", "trim"]
_EDGES = ("refuse", "keep", "trim")

# No, one, two and three quarter turns clockwise.
_QUARTER_TURNS = (
    Upright(False, False, False),
    Upright(True, True, False),
    Upright(False, True, True),
    Upright(True, False, True),
)
# Mirroring a block's rows or columns changes the sign of its odd vertical or horizontal frequencies. The whole matrices
# are multiplied four times as fast as one row that is repeated.
_ODD = np.array([1, -1] * 4, np.int16)
_SIGNS = {
    (False, False): np.ones((8, 8), np.int16),
    (True, False): np.repeat(_ODD, 8).reshape(8, 8),
    (False, True): np.tile(_ODD, (8, 1)),
    (True, True): np.outer(_ODD, _ODD),
}
_LONGEST_INTERVAL = 65535  # T.81 B.2.4.4: Ri has 16 bits


@overload
def flip_horizontal(plane: Coefficients, *, edge: Edge = "refuse") -> Coefficients: ...
@overload
def flip_horizontal(plane: npt.NDArray[_Number]) -> npt.NDArray[_Number]: ...
def flip_horizontal(plane: Any, *, edge: Edge = "refuse") -> Any:
    """Mirror a plane or an image left to right.

    Args:
        plane: [..., blocks_high, blocks_wide, 8, 8], signed, whose padding samples in the last blocks move to the left;
            or a whole image.
        edge: of an image: what becomes of the last MCUs if they are not whole: "refuse", "keep" or "trim".

    Returns:
        A new array of the same shape and type, or a new image.

    Raises:
        ValueError: the image's width is not a multiple of its MCU's, and `edge` is "refuse"; or nothing is left of it.

    >>> flip_horizontal(np.arange(64).reshape(1, 1, 8, 8))[0, 0, 0].tolist()
    [0, -1, 2, -3, 4, -5, 6, -7]
    """
    if isinstance(plane, Coefficients):
        return _turned(plane, Upright(False, True, False), edge)
    return of_planes.flip_horizontal(plane)


@overload
def flip_vertical(plane: Coefficients, *, edge: Edge = "refuse") -> Coefficients: ...
@overload
def flip_vertical(plane: npt.NDArray[_Number]) -> npt.NDArray[_Number]: ...
def flip_vertical(plane: Any, *, edge: Edge = "refuse") -> Any:
    """Mirror a plane or an image top to bottom, otherwise like `flip_horizontal`.

    >>> flip_vertical(np.arange(64).reshape(1, 1, 8, 8))[0, 0, :, 0].tolist()
    [0, -8, 16, -24, 32, -40, 48, -56]
    """
    if isinstance(plane, Coefficients):
        return _turned(plane, Upright(False, False, True), edge)
    return of_planes.flip_vertical(plane)


@overload
def transpose(plane: Coefficients) -> Coefficients: ...
@overload
def transpose(plane: npt.NDArray[_Number]) -> npt.NDArray[_Number]: ...
def transpose(plane: Any) -> Any:
    """Exchange the rows and columns of a plane or an image; this is possible for every size.

    Args:
        plane: [..., blocks_high, blocks_wide, 8, 8], or a whole image.

    Returns:
        A new array [..., blocks_wide, blocks_high, 8, 8], or a new image, with its quantization tables transposed.

    >>> transpose(np.arange(64).reshape(1, 1, 8, 8))[0, 0, 0].tolist()
    [0, 8, 16, 24, 32, 40, 48, 56]
    """
    if isinstance(plane, Coefficients):
        return _turned(plane, Upright(True, False, False), "refuse")
    return of_planes.transpose(plane)


@overload
def rotate(plane: Coefficients, quarter_turns: int, *, edge: Edge = "refuse") -> Coefficients: ...
@overload
def rotate(plane: npt.NDArray[_Number], quarter_turns: int) -> npt.NDArray[_Number]: ...
def rotate(plane: Any, quarter_turns: int, *, edge: Edge = "refuse") -> Any:
    """Turn a plane or an image clockwise.

    Args:
        plane: [..., blocks_high, blocks_wide, 8, 8], signed; or a whole image.
        quarter_turns: how many turns of 90 degrees; negative numbers turn it the other way.
        edge: as for `flip_horizontal`.

    Returns:
        A new array or image; its sides are exchanged if the number of turns is odd.

    Raises:
        ValueError: as for `flip_horizontal`.

    >>> rotate(np.zeros((2, 3, 8, 8)), 1).shape
    (3, 2, 8, 8)
    """
    if isinstance(plane, Coefficients):
        return _turned(plane, _QUARTER_TURNS[whole_number("quarter_turns", quarter_turns) % 4], edge)
    return of_planes.rotate(plane, quarter_turns)


def upright(coefficients: Coefficients, *, edge: Edge = "refuse") -> Coefficients:
    """Turn an image as its EXIF orientation asks, without loss.

    Args:
        coefficients: as `read_coefficients` gives them.
        edge: as for `flip_horizontal`.

    Returns:
        Coefficients of the upright image, with orientation 1, which the segments that were read state, too; the
        argument itself if it is already upright.

    Raises:
        ValueError: an axis to be mirrored does not end with a whole MCU, and `edge` is "refuse"; or nothing is left of
            it. `resample` with `apply_orientation=True` turns any image.
    """
    check_type("coefficients", coefficients, Coefficients, ", as read_coefficients returns them")
    orientation = coefficients.header.orientation
    if orientation == 1:
        return coefficients
    turned = _turned(coefficients, Upright.of(orientation), edge)
    return replace(turned, header=replace(turned.header, orientation=1), segments=with_orientation(turned.segments, 1))


def crop(coefficients: Coefficients, box: Sequence[int], *, edge: Edge = "refuse") -> Coefficients:
    """Cut a box out of an image, without loss.

    Args:
        coefficients: as `read_coefficients` gives them.
        box: (top, left, height, width) in pixels. It may end anywhere.
        edge: what happens if the box does not begin with an MCU: "refuse" it, "keep" the MCUs in which it begins, as
            jpegtran does, so that the crop is a little larger, or "trim" them off, so that it is a little smaller.

    Returns:
        Coefficients of the box.

    Raises:
        TypeError: the box is not four whole numbers.
        ValueError: the box is empty or reaches beyond the image; or it begins inside an MCU, and `edge` is "refuse"; or
            nothing is left of it.
    """
    check_type("coefficients", coefficients, Coefficients, ", as read_coefficients returns them")
    check_choice("edge", edge, _EDGES)
    header = coefficients.header
    top, left, height, width = checked_box(box, header.height, header.width)
    sides = []
    for begin, size, mcu, what in zip((top, left), (height, width), _mcu_size(header), ("top", "left"), strict=True):
        if begin % mcu and edge == "refuse":
            raise ValueError(
                f"cannot crop at {what} {begin} without loss: {begin} is not a multiple of {mcu}, the MCU's size"
            )
        first = begin // mcu if edge == "keep" else _ceiling(begin, mcu)
        if first * mcu >= begin + size:
            raise ValueError(f"nothing is left of the box if it begins with an MCU of {mcu} pixels at its {what}")
        sides.append((first, begin + size - first * mcu))
    (first_row, height), (first_column, width) = sides
    return _cut(coefficients, first_row, first_column, height, width)


def grey(coefficients: Coefficients) -> Coefficients:
    """Keep only the luma of an image, without loss.

    Args:
        coefficients: of a YCbCr or grey image.

    Returns:
        Coefficients of the grey image, without the colour profile that its segments may hold; the argument itself if it
        is grey already.

    Raises:
        ValueError: the image has no luma component, or its luma has fewer samples than the image has pixels.
    """
    check_type("coefficients", coefficients, Coefficients, ", as read_coefficients returns them")
    header = coefficients.header
    if header.color == "grey":
        return coefficients
    if header.color != "YCbCr":
        raise ValueError(f"cannot make an image of colour {header.color} grey without loss: only YCbCr has luma")
    luma = header.components[0]
    most_vertical, most_horizontal = _most_sampling(header)
    if (luma.vertical_sampling_factor, luma.horizontal_sampling_factor) != (most_vertical, most_horizontal):
        raise ValueError(
            "cannot make the image grey without loss: its luma has the sampling factors "
            f"{luma.horizontal_sampling_factor} x {luma.vertical_sampling_factor}, and other components have up to "
            f"{most_horizontal} x {most_vertical}"
        )
    return replace(
        coefficients,
        header=replace(
            header,
            color="grey",
            components=(replace(luma, horizontal_sampling_factor=1, vertical_sampling_factor=1),),
            restart_interval=_restart_interval(header, header.height, header.width, ((1, 1),)),
        ),
        planes=coefficients.planes[:1],
        quantization_tables=coefficients.quantization_tables[:1],
        segments=without_color_profile(coefficients.segments),
    )


def requantize(coefficients: Coefficients, tables: Sequence[npt.ArrayLike]) -> Coefficients:
    """Quantize an image again with other tables, which rounds and so loses detail.

    Args:
        coefficients: as `read_coefficients` gives them.
        tables: one per component: [8, 8], natural order, whole numbers from 1 to 65535 (to 255 in a baseline file).

    Returns:
        Coefficients of the same image: each is the nearest multiple of the new table's entry, halves away from zero.

    Raises:
        ValueError: there are not as many tables as components, a table has another shape or a value out of range, or a
            coefficient does not fit into 16 bits.
    """
    check_type("coefficients", coefficients, Coefficients, ", as read_coefficients returns them")
    if len(tables) != len(coefficients.planes):
        raise ValueError(
            f"an image of {counted(len(coefficients.planes), 'component')} needs as many tables, not {len(tables)}"
        )
    wanted = [_checked_table(i, table) for i, table in enumerate(tables)]
    planes = []
    for i, (plane, old, new) in enumerate(
        zip(coefficients.planes, coefficients.quantization_tables, wanted, strict=True)
    ):
        values = plane.astype(np.int64) * old
        quantized = np.sign(values) * ((2 * np.abs(values) + new) // (2 * new.astype(np.int64)))
        if quantized.size and np.abs(quantized).max() > np.iinfo(np.int16).max:
            raise ValueError(
                f"component {i}: a coefficient of {np.abs(values).max()} does not fit into 16 bits with this table"
            )
        planes.append(quantized.astype(np.int16))
    numbers: dict[bytes, int] = {}
    for table in wanted:
        numbers.setdefault(table.tobytes(), len(numbers))
    components = tuple(
        replace(component, quantization_table_id=numbers[table.tobytes()])
        for component, table in zip(coefficients.header.components, wanted, strict=True)
    )
    return replace(
        coefficients,
        header=replace(coefficients.header, components=components),
        planes=tuple(planes),
        quantization_tables=tuple(wanted),
    )


def _turned(image: Coefficients, turn: Upright, edge: Edge) -> Coefficients:
    """Turn an image and its quantization tables; the package's text explains `edge`."""
    check_choice("edge", edge, _EDGES)
    header = image.header
    if turn.transpose:
        image = _transposed(image)
    height, width = image.header.height, image.header.width
    mcu_height, mcu_width = _mcu_size(image.header)
    rows, columns = height // mcu_height, width // mcu_width
    for mirror, size, mcu, what in (
        (turn.mirror_columns, width, mcu_width, "columns"),
        (turn.mirror_rows, height, mcu_height, "rows"),
    ):
        if mirror and size % mcu and edge == "refuse":
            raise ValueError(
                f"cannot mirror {size} {what} without loss: {size} is not a multiple of {mcu}, the MCU's size"
            )
        if mirror and size < mcu and edge == "trim":
            raise ValueError(f"nothing is left of {size} {what} if they are trimmed to whole MCUs of {mcu}")
    if edge == "trim":
        height = rows * mcu_height if turn.mirror_rows else height
        width = columns * mcu_width if turn.mirror_columns else width
        if (height, width) != (image.header.height, image.header.width):
            image = _cut(image, 0, 0, height, width)
    if turn.mirror_columns or turn.mirror_rows:
        planes = (
            _mirrored(plane, rows * vertical * turn.mirror_rows, columns * horizontal * turn.mirror_columns)
            for plane, (vertical, horizontal) in zip(image.planes, _mcu_blocks(image.header), strict=True)
        )
        image = replace(image, planes=tuple(planes))
    if (height, width) != (header.height, header.width):
        image = replace(image, segments=with_size(image.segments, height, width))
    return image


def _mirrored(plane: npt.NDArray[np.int16], rows: int, columns: int) -> npt.NDArray[np.int16]:
    """Copy a plane; its first so many rows and columns of blocks are mirrored, and the others stay in their place."""
    out = np.empty(plane.shape, np.int16)
    for high, mirror_rows in ((slice(rows), True), (slice(rows, None), False)):
        for wide, mirror_columns in ((slice(columns), True), (slice(columns, None), False)):
            part = plane[high, wide][:: -1 if mirror_rows else 1, :: -1 if mirror_columns else 1]
            np.multiply(part, _SIGNS[mirror_rows, mirror_columns], out=out[high, wide])
    return out


def _transposed(image: Coefficients) -> Coefficients:
    header = image.header
    components = tuple(
        replace(
            component,
            horizontal_sampling_factor=component.vertical_sampling_factor,
            vertical_sampling_factor=component.horizontal_sampling_factor,
            blocks_high=component.blocks_wide,
            blocks_wide=component.blocks_high,
        )
        for component in header.components
    )
    sampling = tuple((c.horizontal_sampling_factor, c.vertical_sampling_factor) for c in components)
    return replace(
        image,
        header=replace(
            header,
            height=header.width,
            width=header.height,
            components=components,
            restart_interval=_restart_interval(header, header.width, header.height, sampling),
        ),
        planes=tuple(of_planes.transpose(plane) for plane in image.planes),
        quantization_tables=tuple(np.ascontiguousarray(table.T) for table in image.quantization_tables),
    )


def _cut(image: Coefficients, first_row: int, first_column: int, height: int, width: int) -> Coefficients:
    """Cut out the image of this height and width in pixels that begins with this MCU row and MCU column."""
    header = image.header
    most_vertical, most_horizontal = _most_sampling(header)
    components, planes = [], []
    for component, plane, (vertical, horizontal) in zip(
        header.components, image.planes, _mcu_blocks(header), strict=True
    ):
        # T.81 A.1.1: the samples of a component, then its blocks.
        high = _ceiling(_ceiling(height * component.vertical_sampling_factor, most_vertical), 8)
        wide = _ceiling(_ceiling(width * component.horizontal_sampling_factor, most_horizontal), 8)
        top, left = first_row * vertical, first_column * horizontal
        planes.append(plane[top : top + high, left : left + wide].copy())
        components.append(replace(component, blocks_high=high, blocks_wide=wide))
    sampling = tuple((c.horizontal_sampling_factor, c.vertical_sampling_factor) for c in components)
    return replace(
        image,
        header=replace(
            header,
            height=height,
            width=width,
            components=tuple(components),
            restart_interval=_restart_interval(header, height, width, sampling),
        ),
        planes=tuple(planes),
        segments=with_size(image.segments, height, width),
    )


def _ceiling(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)


def _most_sampling(header: Header) -> tuple[int, int]:
    """Return the largest vertical and the largest horizontal sampling factor."""
    return (
        max(component.vertical_sampling_factor for component in header.components),
        max(component.horizontal_sampling_factor for component in header.components),
    )


def _mcu_blocks(header: Header) -> list[tuple[int, int]]:
    """Return how many rows and columns of blocks each component has per MCU; a lone component has one (T.81 A.2.2)."""
    if len(header.components) == 1:
        return [(1, 1)]
    return [(c.vertical_sampling_factor, c.horizontal_sampling_factor) for c in header.components]


def _mcu_size(header: Header) -> tuple[int, int]:
    """Return the height and width of an MCU in pixels."""
    if len(header.components) == 1:
        return 8, 8
    most_vertical, most_horizontal = _most_sampling(header)
    return 8 * most_vertical, 8 * most_horizontal


def _restart_interval(header: Header, height: int, width: int, sampling: Sequence[tuple[int, int]]) -> int:
    """Return the restart interval of an edited image: whole MCU rows stay whole MCU rows.

    Args:
        header: of the image before.
        height: of the image after, in pixels.
        width: likewise.
        sampling: horizontal and vertical sampling factors of its components.
    """
    _, mcu_width = _mcu_size(header)
    rows, rest = divmod(header.restart_interval, _ceiling(header.width, mcu_width))
    wide = 8 if len(sampling) == 1 else 8 * max(horizontal for horizontal, _ in sampling)
    interval = rows * _ceiling(width, wide)
    return header.restart_interval if rest or interval > _LONGEST_INTERVAL else interval
