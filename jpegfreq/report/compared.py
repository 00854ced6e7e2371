"""Compared models as the cells of a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jpegfreq.models.analysis.compare import ComparedModel

__all__ = ["COMPARED_HEADINGS", "compared_cells"]

COMPARED_HEADINGS = (
    "model", "input", "top-1", "top-5", "same answers", "GMAC", "million parameters", "kB per image",
    "ms to read", "ms to copy",
)  # fmt: skip


def compared_cells(rows: Sequence[ComparedModel]) -> list[list[str]]:
    """Make one row of text per model, under COMPARED_HEADINGS."""
    return [
        [
            f"{row.name} ({row.architecture})",
            " x ".join(map(str, row.input_shape)),
            f"{row.top1:.1%}",
            f"{row.top5:.1%}",
            "-" if row.agreement is None else f"{row.agreement:.1%}",
            f"{row.macs / 1e9:.3g}",
            f"{row.parameters / 1e6:.1f}",
            f"{row.input_bytes / 1e3:.1f}",
            f"{row.read_milliseconds:.2f}",
            f"{row.transfer_milliseconds:.4f}",
        ]
        for row in rows
    ]
