"""JPEG files written again from their coefficients: turned, cropped, or in another process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from jpegfreq import blocks
from jpegfreq._segments import without_further_images
from jpegfreq.coefficients import Coefficients, read_coefficients
from jpegfreq.crops import Box
from jpegfreq.structure import read_structure
from jpegfreq.writer import write_jpeg

__all__ = ["TURNS", "Transcoding", "holds_further_images"]

# The turns of an image by their names.
TURNS: dict[str, Callable[[Coefficients, blocks.Edge], Coefficients]] = {
    "rotate 90": lambda image, edge: blocks.rotate(image, 1, edge=edge),
    "rotate 180": lambda image, edge: blocks.rotate(image, 2, edge=edge),
    "rotate 270": lambda image, edge: blocks.rotate(image, 3, edge=edge),
    "flip horizontal": lambda image, edge: blocks.flip_horizontal(image, edge=edge),
    "flip vertical": lambda image, edge: blocks.flip_vertical(image, edge=edge),
    "transpose": lambda image, edge: blocks.transpose(image),
}


@dataclass(frozen=True)
class Transcoding:
    """What becomes of each file, in this order. Only the first image of an MPO file is kept.

    Attributes:
        upright: turn it as its EXIF orientation asks.
        turn: then turn it, whatever its orientation: one of TURNS, or None.
        crop: then cut out this box; None for the whole image.
        grey: then keep only the luma.
        edge: what becomes of MCUs that are not whole; see `jpegfreq.blocks`.
        process: as for `write_jpeg`.
        optimize: as for `write_jpeg`.
        restart_rows: as for `write_jpeg`.
        strip: leave out all segments that decoding does not need.
    """

    upright: bool = False
    turn: str | None = None
    crop: Box | None = None
    grey: bool = False
    edge: blocks.Edge = "keep"
    process: Literal["keep", "baseline", "progressive"] = "keep"
    optimize: bool = True
    restart_rows: int | None = None
    strip: bool = False

    def apply(self, data: bytes) -> bytes:
        """Transcode one file.

        Raises:
            JpegError: the file cannot be read, or not be written in this way.
            ValueError: an edit is not possible without loss.
        """
        image = read_coefficients(data, segments=not self.strip)
        image = replace(image, segments=without_further_images(image.segments))
        if self.upright:
            image = blocks.upright(image, edge=self.edge)
        if self.turn is not None:
            image = TURNS[self.turn](image, self.edge)
        if self.crop is not None:
            image = blocks.crop(image, self.crop, edge=self.edge)
        if self.grey:
            image = blocks.grey(image)
        return write_jpeg(
            image,
            process=self.process,
            optimize=self.optimize,
            restart_rows=self.restart_rows,
            segments="strip" if self.strip else "keep",
        )


def holds_further_images(data: bytes) -> bool:
    """Return whether a JPEG names images that follow its first one, as an MPO file does.

    Raises:
        JpegError: the file is not a JPEG.
    """
    return any(
        segment.name == "APP2" and data.startswith(b"MPF\0", segment.offset_bytes + 4)
        for segment in read_structure(data, damage="keep").segments
    )
