"""Write bench/results/accuracy.jsonl into bench/README.md, as tables and heat maps."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import report

README = Path(__file__).resolve().parent / "README.md"
BEGIN, END = "<!-- accuracy: written by python -m bench.accuracy -->", "<!-- end of accuracy -->"

Run = dict[str, Any]


def load(log: Path) -> list[Run]:
    """Load the finished runs, oldest first."""
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] if log.exists() else []


def write(log: Path, readme: Path = README) -> None:
    """Put the tables between the markers."""
    text = readme.read_text(encoding="utf-8")
    readme.write_text(report.replaced(text, markdown(load(log)), (BEGIN, END)), encoding="utf-8")


def markdown(runs: Sequence[Run]) -> str:
    """Write one section per experiment: runs of the same data set, epochs, batch size and recipe."""
    if not runs:
        return "Nothing has been trained yet."
    experiments: dict[str, list[Run]] = {}
    for run in runs:
        experiments.setdefault(run["experiment"], []).append(run)
    return "\n\n".join(_section(name, members) for name, members in experiments.items())


def _section(name: str, runs: Sequence[Run]) -> str:
    rows: dict[str, list[Run]] = {}
    for run in sorted(runs, key=lambda run: (run["baseline"], run["row"] != run["baseline"], run["row"], run["seed"])):
        rows.setdefault(run["row"], []).append(run)
    lines = [
        f"### {name}",
        "Top-1 is that of the last epoch, not of the best. The difference to RGB is to the same network on RGB, over "
        "the seeds that both have. After ± stands the standard deviation over seeds.",
        "| row | seeds | top-1 (%) | difference to RGB (percentage points) | channels on | multiply-adds (GMAC) | "
        "weights (millions) | waiting for input (s per epoch) | computing (s per epoch) | images per second |",
        "| --- | --: | --: | --: | --: | --: | --: | --: | --: | --: |",
    ]
    lines[2:] = ["\n".join([*lines[2:], *(_row(row, members, rows) for row, members in rows.items())])]
    lines += [_expected(rows), _heat(rows)]
    return "\n\n".join(line for line in lines if line)


def _row(name: str, runs: Sequence[Run], rows: dict[str, list[Run]]) -> str:
    first = runs[0]
    accuracies = [run["top1"] * 100 for run in runs]
    spread = f" ± {statistics.stdev(accuracies):.1f}" if len(runs) > 1 else ""
    difference = _difference(runs, rows.get(first["baseline"], []))
    on = [run["channels_on"] for run in runs if run["channels_on"] is not None]
    cells = [
        name,
        str(len(runs)),
        f"{statistics.mean(accuracies):.1f}{spread}",
        "" if name == first["baseline"] else difference,
        f"{statistics.mean(on):.1f}" if on else "",
        f"{first['macs'] / 1e9:.3f}",
        f"{first['parameters'] / 1e6:.2f}",
        f"{statistics.mean(run['seconds_waiting'] / run['epochs'] for run in runs):.2f}",
        f"{statistics.mean(run['seconds_computing'] / run['epochs'] for run in runs):.1f}",
        f"{statistics.mean(run['images_per_second'] for run in runs):.1f}",
    ]
    return "| " + " | ".join(cells) + " |"


def _difference(runs: Sequence[Run], others: Sequence[Run]) -> str:
    """Give mean and standard deviation in percentage points, over the seeds that both have; "" if there are none."""
    other = {run["seed"]: run["top1"] for run in others}
    paired = [(run["top1"] - other[run["seed"]]) * 100 for run in runs if run["seed"] in other]
    spread = f" ± {statistics.stdev(paired):.1f}" if len(paired) > 1 else ""
    return f"{statistics.mean(paired):+.1f}{spread}" if paired else ""


# What the paper suggests at this scale: row, compared with, expected and aimed-at difference in percentage points.
EXPECTED = (
    ("ResNet-18, DCT-24", "ResNet-18, RGB", 0.5, 2),
    ("MobileNetV2, DCT-24", "MobileNetV2, RGB", 0.5, 2),
    ("ResNet-18, DCT-64", "ResNet-18, RGB", 1, 3),
    ("ResNet-18, DCT-192, gated", "ResNet-18, DCT-192", -1, 0),
    ("ResNet-18, DCT-192, one std, gated", "ResNet-18, DCT-192, one std", -1, 0),
    ("ResNet-18, DCT-24, learned", "ResNet-18, DCT-24", 0, 0.5),
    ("ResNet-18, DCT-24, learned with one std", "ResNet-18, DCT-24", 0, 0.5),
)


def _expected(rows: dict[str, list[Run]]) -> str:
    lines = [
        "| difference in top-1 (percentage points) | expected | aim | measured | seeds |",
        "| --- | --: | --: | --: | --: |",
    ]
    for row, other, expected, aim in EXPECTED:
        difference = _difference(rows.get(row, []), rows.get(other, []))
        seeds = {run["seed"] for run in rows.get(row, [])} & {run["seed"] for run in rows.get(other, [])}
        measured = difference or "not trained"
        lines.append(f"| {row} minus {other} | {expected:+g} | {aim:+g} | {measured} | {len(seeds)} |")
    return "\n".join(lines)


def _heat(rows: dict[str, list[Run]]) -> str:
    parts = []
    for runs in rows.values():
        for run in runs:
            if run.get("heat_figure"):
                ratios = run["heat_ratios"]
                parts.append(
                    f"{run['row']}, seed {run['seed']}: the mean on-rate of luma divided by that of chroma is "
                    f"{ratios['luma_over_chroma']:.2f}, that of the 16 lowest frequencies divided by that of the 32 "
                    f"highest is {ratio(ratios['low_over_high'])}.\n\n"
                    f"![how often each channel is on](results/{run['heat_figure']})"
                )
    return "\n\n".join(parts)


def ratio(value: float) -> str:
    """Format a ratio of on-rates; it is infinite if the channels of the denominator are never on."""
    return "infinite (those are never on)" if math.isinf(value) else f"{value:.2f}"
