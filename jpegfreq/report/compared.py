"""Compared models as a table, and what one has to know to compare them fairly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jpegfreq._words import counted

if TYPE_CHECKING:
    from jpegfreq.models.analysis.compare import ComparedModel

__all__ = ["EXPLAINED", "compared_table", "differences"]

EXPLAINED = (
    "Same answers is the share of images with the first model's answer. GMAC are billions of multiply-adds per image. "
    "kB per image is the size of the network's input, as float16 values of frequencies or 8-bit values of pixels. "
    "ms to read is CPU time on one thread, from the file to the normalized tensor."
)
_NOTED = 1.05  # multiply-adds that differ by less are not worth a remark


def compared_table(rows: Sequence[ComparedModel]) -> tuple[list[str], list[list[str]]]:
    """Make the headings, and a row of text per model; columns in which no model has a value are left out."""
    columns: dict[str, list[str | None]] = {
        "model": [f"{row.name} ({_short(row.architecture)})" for row in rows],
        "input": [" x ".join(map(str, row.input_shape)) for row in rows],
        "top-1": [f"{row.top1:.1%}" for row in rows],
        "top-5": [None if row.top5 is None else f"{row.top5:.1%}" for row in rows],
        "same answers": [None if row.agreement is None else f"{row.agreement:.1%}" for row in rows],
        "GMAC": [f"{row.macs / 1e9:.3g}" for row in rows],
        "million parameters": [f"{row.parameters / 1e6:.1f}" for row in rows],
        "kB per image": [f"{row.input_bytes / 1e3:.1f}" for row in rows],
        "ms to read": [f"{row.read_milliseconds:.2f}" for row in rows],
        "ms to copy": [
            None if row.transfer_milliseconds is None else f"{row.transfer_milliseconds:.4f}" for row in rows
        ],
    }
    shown = {name: cells for name, cells in columns.items() if any(cell is not None for cell in cells)}
    return list(shown), [
        ["-" if cell is None else cell for cell in cells] for cells in zip(*shown.values(), strict=True)
    ]


def _short(architecture: str) -> str:
    """Leave out the folders of a file that makes a network: "nets.py:make"."""
    return architecture.rpartition("/")[2]


def differences(rows: Sequence[ComparedModel]) -> list[str]:
    """List in words what differs between the models beside their accuracy: inputs, sizes and multiply-adds."""
    found = []
    channels = {
        row.name: "pixels" if row.input_shape[1:] == row.size else counted(row.input_shape[0], "channel")
        for row in rows
    }
    if len(set(channels.values())) > 1:
        found.append("The inputs differ: " + _listed(channels) + ".")
    sizes = {row.name: f"{row.size[0]} x {row.size[1]} px" for row in rows}
    if len(set(sizes.values())) > 1:
        found.append("The networks see images of different sizes: " + _listed(sizes) + ".")
    least, most = min(rows, key=lambda row: row.macs), max(rows, key=lambda row: row.macs)
    if most.macs > _NOTED * least.macs:
        found.append(
            f"The multiply-adds differ: {least.name} needs {least.macs / 1e9:.3g} GMAC, {most.name} "
            f"{most.macs / 1e9:.3g} GMAC."
        )
    return found


def _listed(values: dict[str, str]) -> str:
    """Put values in words, each with the models that have it."""
    models: dict[str, list[str]] = {}
    for model, value in values.items():
        models.setdefault(value, []).append(model)
    return "; ".join(f"{value} ({', '.join(names)})" for value, names in models.items())
