"""The curves of training runs, from the log.csv and gate.json that a run writes."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from jpegfreq._extras import needs_extra
from jpegfreq._files import read_text
from jpegfreq._json import parse_json
from jpegfreq.channels import COMPONENT_NAMES
from jpegfreq.report.page import Section, image_html, page, table_html

with needs_extra(__name__):
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

from jpegfreq.report.figures import as_drawn, png_bytes

__all__ = ["RunLog", "read_run", "run_figure", "run_page"]

# What each panel shows: columns of log.csv, how its curves are labelled, and the line's style.
_PANELS = {
    "loss": (("loss", "training", "--"), ("validation_loss", "validation", "-")),
    "accuracy (%)": (("accuracy", "training", "--"), ("top1", "validation", "-"), ("top5", "validation, top-5", ":")),
    "channels on": (("channels_on", "on", "-"), ("channels_expected", "expected in training", "--")),
    "learning rate": (("learning_rate", "", "-"),),
}
_COLOURS = ("#1b7f5c", "#b5532c", "#3b6ea8", "#8a5fa8", "#6b6b2f", "#555f69")


@dataclass(frozen=True)
class RunLog:
    """What a run logged.

    Attributes:
        name: of its folder.
        columns: the values of log.csv by column, one per epoch; NaN where there is none.
        channels: the tensor channels of the gate's rates; () without a gate.
        rates: [epochs, channels], the share of the validation images for which the gate turned the channel on.
    """

    name: str
    columns: dict[str, list[float]]
    channels: tuple[int, ...]
    rates: npt.NDArray[np.float64]


def read_run(folder: Path) -> RunLog:
    """Read the log of a training run.

    Args:
        folder: as `jpegfreq train` or `jpegfreq dense` wrote it.

    Raises:
        FileNotFoundError: it holds no log.csv; a run writes that after its first epoch.
        ValueError: a file is damaged.
    """
    log, gate = folder / "log.csv", folder / "gate.json"
    if not log.is_file():
        raise FileNotFoundError(f"{folder} has no log.csv, which a run writes after its first epoch")
    try:
        with log.open(encoding="utf-8", newline="") as file:
            lines = list(csv.DictReader(file))
        columns = {name: [float(line[name] or math.nan) for line in lines] for name in lines[0]}
    except (ValueError, IndexError, TypeError) as error:
        raise ValueError(f"{log} is not the log of a run: {error}") from error
    channels: tuple[int, ...] = ()
    rates = np.zeros((0, 0))
    if gate.is_file():
        try:
            known: dict[str, Any] = parse_json(read_text(gate))
            channels = tuple(int(channel) for channel in known["channels"])
            rates = np.array([line["on_rate"] for line in known["epochs"]], np.float64).reshape(-1, len(channels))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{gate} does not hold the rates of a gate: {error!r}") from error
    return RunLog(folder.resolve().name, columns, channels, rates)


def run_figure(runs: Sequence[RunLog]) -> Figure:
    """Draw the curves of runs over their epochs, and below them how often each gate turned each channel on.

    Args:
        runs: at least one; each has a colour of its own.
    """
    panels = {title: curves for title, curves in _PANELS.items() if any(_known(run, curves[0][0]) for run in runs)}
    gated = [run for run in runs if run.rates.size]
    figure = Figure(figsize=(max(4.3 * len(panels), 8.6), 3.5 + 3.2 * len(gated)), layout="constrained")
    rows = figure.subfigures(1 + len(gated), 1, height_ratios=[3.5, *[3.2] * len(gated)], squeeze=False)[:, 0]
    for axes, (title, curves) in zip(rows[0].subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        for n, run in enumerate(runs):
            for column, label, style in curves:
                if not _known(run, column):
                    continue
                values = np.array(run.columns[column]) * (100 if title.endswith("(%)") else 1)
                # matplotlib leaves a label that begins with "_" out of the legend: a space comes before it
                own = as_drawn(run.name) if len(runs) > 1 else ""
                names = [name for name in (f" {own}" if own.startswith("_") else own, label) if name]
                axes.plot(
                    run.columns["epoch"], values, style, color=_COLOURS[n % len(_COLOURS)], label=": ".join(names),
                    marker="o", markersize=3,
                )  # fmt: skip
        axes.set_title(title, fontsize=12)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(color="#e3e7eb")
        axes.spines[["top", "right"]].set_visible(False)
        if axes.get_legend_handles_labels()[0]:  # an empty label is none
            axes.legend(frameon=False, fontsize=9)
    for row, run in zip(rows[1:], gated, strict=True):
        _draw_rates(row, run, titled=len(runs) > 1)
    return figure


def _known(run: RunLog, column: str) -> bool:
    return not all(map(math.isnan, run.columns.get(column, [])))


def _draw_rates(figure: Any, run: RunLog, *, titled: bool) -> None:
    """Draw, per component, a map of epochs over channels: how often each channel is on."""
    axes = figure.subplots(1, len(COMPONENT_NAMES), squeeze=False)[0]
    channels = np.array(run.channels)
    for component, name in enumerate(COMPONENT_NAMES):
        grid = np.full((len(run.rates), 64), math.nan)
        own = channels // 64 == component
        grid[:, channels[own] % 64] = run.rates[:, own]
        image = axes[component].imshow(
            np.ma.masked_invalid(grid), aspect="auto", vmin=0, vmax=1, cmap="viridis", interpolation="nearest",
            extent=(-0.5, 63.5, len(run.rates) + 0.5, 0.5),
        )  # fmt: skip
        axes[component].set_facecolor("#f1f3f5")
        axes[component].set_title(f"{name}: share of images that use each channel", fontsize=11)
        axes[component].set_xlabel("frequency 8 v + u")
        axes[component].set_xticks(range(0, 64, 8))
        axes[component].yaxis.set_major_locator(MaxNLocator(integer=True))
    axes[0].set_ylabel("epoch")
    figure.colorbar(image, ax=list(axes), shrink=0.9)
    if titled:
        figure.suptitle(as_drawn(run.name), fontsize=12)


def run_page(runs: Sequence[RunLog]) -> str:
    """Make an HTML page with the figure, and the numbers of each run's last epoch."""
    shown = ("epoch", "loss", "accuracy", "validation_loss", "top1", "top5", "channels_on", "left_out")
    names = [name for name in shown if any(_known(run, name) for run in runs)]
    rows = [
        [run.name, *(_text(name, run.columns[name][-1]) if _known(run, name) else "" for name in names)] for run in runs
    ]
    words = {"top1": "validation accuracy", "top5": "validation, top-5", "accuracy": "training accuracy"}
    headings = ["run", *(words.get(name, name.replace("_", " ")) for name in names)]
    picture = image_html(png_bytes(run_figure(runs)), alt="curves of the training runs over their epochs")
    sections = [Section("Curves", picture), Section("Last epoch", table_html(headings, rows))]
    return page("Training runs", ", ".join(run.name for run in runs), sections)


def _text(name: str, value: float) -> str:
    if math.isnan(value):
        return ""
    if name in ("accuracy", "top1", "top5"):
        return f"{value:.1%}"
    return f"{value:.0f}" if name in ("epoch", "left_out") else f"{value:.3g}"
