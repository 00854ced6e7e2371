"""Facts about a JPEG file: its parts, tables and quality, and how its coefficients are distributed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from jpegfreq._quality import tables_of_quality
from jpegfreq.channels import COMPONENT_NAMES
from jpegfreq.coefficients import Coefficients
from jpegfreq.header import Header
from jpegfreq.structure import Structure


@dataclass(frozen=True)
class Quality:
    """The quality setting of libjpeg that corresponds to some tables.

    Attributes:
        value: 1 to 100.
        exact: whether the tables are exactly those of that quality, or only the nearest.
    """

    value: int
    exact: bool


def estimated_quality(tables: Sequence[npt.NDArray[np.integer[Any]]]) -> Quality:
    """Find the quality whose tables, K.1 and K.2 as libjpeg scales them, are nearest to these (luma first)."""

    def distance(quality: int) -> float:
        luma, chroma = tables_of_quality(quality)
        expected = (luma, *[chroma] * (len(tables) - 1))
        return float(sum(np.abs(np.log(table / e)).sum() for table, e in zip(tables, expected, strict=True)))

    distances = [distance(quality) for quality in range(1, 101)]
    best = int(np.argmin(distances))
    return Quality(best + 1, distances[best] == 0)


def component_names(header: Header) -> tuple[str, ...]:
    """Name the components by the image's kind of colour."""
    if header.color in ("grey", "YCbCr", "YCCK"):
        return (*COMPONENT_NAMES, "K")[: len(header.components)]
    if header.color in ("RGB", "CMYK"):
        return tuple(header.color)
    return tuple(f"component {component.identifier}" for component in header.components)


def subsampling(header: Header) -> str:
    """Write the sampling factors in the usual way: "4:2:0", or else "2x2, 1x1, 1x1"."""
    factors = [(c.horizontal_sampling_factor, c.vertical_sampling_factor) for c in header.components]
    if len(factors) == 1:
        return "one component"
    (h, v), *others = factors
    known = {(1, 1): "4:4:4", (2, 1): "4:2:2", (2, 2): "4:2:0", (1, 2): "4:4:0", (4, 1): "4:1:1", (4, 2): "4:1:0"}
    if len(set(others)) == 1 and h % others[0][0] == 0 and v % others[0][1] == 0:
        ratio = (h // others[0][0], v // others[0][1])
        if ratio in known:
            return known[ratio]
    return ", ".join(f"{h}x{v}" for h, v in factors)


def file_facts(path: str, size_bytes: int, structure: Structure, coefficients: Coefficients | None) -> dict[str, Any]:
    """Collect everything that `inspect` shows, as --json prints it."""
    header = structure.header
    names = component_names(header)
    tables = [table for table in structure.quantization_tables if table is not None]
    quality = estimated_quality(tables) if tables and header.color in ("grey", "YCbCr", "YCCK") else None
    damage = structure.damage or (coefficients.damage if coefficients else None)
    return {
        "file": path,
        "size_bytes": size_bytes,
        "height": header.height,
        "width": header.width,
        "process": header.process,
        "precision": header.precision,
        "color": header.color,
        "subsampling": subsampling(header),
        "restart_interval": header.restart_interval,
        "orientation": header.orientation,
        "bits_per_pixel": round(8 * size_bytes / max(1, header.height * header.width), 3),
        "estimated_quality": quality and quality.value,
        "quality_is_exact": quality and quality.exact,
        "components": [
            {
                "name": name,
                "identifier": component.identifier,
                "sampling": [component.horizontal_sampling_factor, component.vertical_sampling_factor],
                "blocks": [component.blocks_high, component.blocks_wide],
                "quantization_table_id": component.quantization_table_id,
                "quantization_table": None if table is None else table.tolist(),
                "coefficients": plane_facts(coefficients.planes[c]) if coefficients else None,
            }
            for c, (name, component, table) in enumerate(
                zip(names, header.components, structure.quantization_tables, strict=True)
            )
        ],
        "scans": [
            {
                "components": [names[part.index] for part in scan.components],
                "spectral_selection": [scan.Ss, scan.Se],
                "successive_approximation": [scan.Ah, scan.Al],
                "restart_interval": scan.restart_interval,
                "offset_bytes": scan.offset_bytes,
                "data_size_bytes": scan.data_size_bytes,
                "huffman_tables": [f"{table.kind} {table.identifier}" for table in scan.huffman_tables],
            }
            for scan in structure.scans
        ],
        "segments": [
            {"name": segment.name, "offset_bytes": segment.offset_bytes, "size_bytes": segment.size_bytes}
            for segment in structure.segments
        ],
        "damage": damage and str(damage),
    }


def plane_facts(plane: npt.NDArray[np.int16]) -> dict[str, Any]:
    """Describe how one component's quantized coefficients are distributed.

    Returns:
        Shares and counts. "nonzero" is [8, 8], the share of blocks in which frequency [v, u] is not zero.
    """
    blocks = plane.reshape(-1, 8, 8)
    nonzero = np.zeros((8, 8), np.int64)
    flat_blocks = 0
    step = 1 << 16  # blocks at a time: the masks stay small for any image
    for start in range(0, len(blocks), step):
        mask = blocks[start : start + step] != 0
        nonzero += mask.sum(axis=0)
        flat_blocks += int((~mask.reshape(len(mask), 64)[:, 1:].any(axis=1)).sum())
    count = max(1, len(blocks))
    return {
        "nonzero_per_block": round(float(nonzero.sum()) / count, 3),
        "flat_blocks": round(flat_blocks / count, 4),
        "frequencies_in_use": int((nonzero > 0).sum()),
        "smallest": int(blocks.min(initial=0)),
        "largest": int(blocks.max(initial=0)),
        "nonzero": np.round(nonzero / count, 4).tolist(),
    }
