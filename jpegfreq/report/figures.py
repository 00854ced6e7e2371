"""The figures of the reports: heat maps, and answers against channels."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from jpegfreq._extras import needs_extra
from jpegfreq._files import printable
from jpegfreq._words import counted
from jpegfreq.channels import COMPONENT_NAMES, ChannelSelection

with needs_extra(__name__):
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from jpegfreq.models.analysis.heatmap import HeatMap
    from jpegfreq.models.analysis.needs import Needs

__all__ = ["as_drawn", "heat_figure", "needs_figure", "png_bytes"]

_OURS, _THEIRS = "#1b7f5c", "#9aa5b1"


def heat_figure(
    heat: HeatMap,
    selection: ChannelSelection | None = None,
    *,
    values: Literal["on_rate", "on_probability"] = "on_rate",
) -> Figure:
    """Draw three 8 x 8 maps, for Y, Cb and Cr, of how often each frequency is on, in per cent, on one colour scale.

    Args:
        heat: the heat map; a dot marks a channel that is not an input of the model.
        selection: channels to draw a frame around.
        values: "on_rate", the share of images that use a channel; or "on_probability", the mean probability.
    """
    figure = Figure(figsize=(13.2, 5.2), layout="constrained")
    axes = figure.subplots(1, 3)
    rate = values == "on_rate"
    chosen = set() if selection is None else set(selection)
    shared = ScalarMappable(Normalize(0, 1), "viridis")
    for component, name in enumerate(COMPONENT_NAMES):
        rates = np.array(getattr(heat, values)[64 * component : 64 * component + 64]).reshape(8, 8)
        axis = axes[component]
        axis.set_facecolor("#f1f3f5")
        axis.imshow(np.ma.masked_invalid(rates), cmap=shared.cmap, norm=shared.norm)
        _frequency_axes(axis, f"{name}: {_percent(rates, rate)}")
        for k, value in enumerate(rates.flat):
            v, u = divmod(k, 8)
            if math.isnan(value):
                axis.text(u, v, "·", ha="center", va="center", color="#9aa5b1")
                continue
            axis.text(u, v, f"{100 * value:.0f}", ha="center", va="center", fontsize=9, color=_on(value))
            if 64 * component + k in chosen:
                _frame(axis, u, v)
    figure.colorbar(
        shared,
        ax=axes,
        shrink=0.85,
        label="share of images that use the channel" if rate else "mean probability of being on",
    )
    framed = (
        "" if selection is None else f"; framed: the {counted(len(selection), 'channel')} of {as_drawn(selection.name)}"
    )
    what = (
        f"How often each channel is on, % of {counted(heat.images, 'image')}: {heat.mean_channels_on:.1f} of "
        f"{counted(len(heat.channels), 'channel')} per image"
        if rate
        else f"Mean probability that a channel is on, %, over {counted(heat.images, 'image')}"
    )
    figure.suptitle(what + framed, fontsize=13)
    return figure


def _percent(rates: np.ndarray[Any, Any], rate: bool) -> str:
    known = rates[~np.isnan(rates)]
    if not known.size:
        return "not among the inputs"
    mean = f"{100 * known.mean():.0f} %"
    return f"on in {mean} of the images on average" if rate else f"mean {mean}"


def _on(value: float) -> str:
    return "black" if value > 0.6 else "white"


def _frame(axes: Axes, u: int, v: int) -> None:
    x, y = np.array([-0.44, 0.44, 0.44, -0.44, -0.44]) + u, np.array([-0.44, -0.44, 0.44, 0.44, -0.44]) + v
    axes.plot(x, y, color="#ff5a36", linewidth=2)


def _frequency_axes(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=12)
    axes.set_xticks(range(8))
    axes.set_yticks(range(8))
    axes.set_xlim(-0.5, 7.5)
    axes.set_ylim(7.5, -0.5)
    axes.set_xlabel("horizontal frequency u \N{RIGHTWARDS ARROW}")
    axes.set_ylabel("\N{LEFTWARDS ARROW} vertical frequency v")
    axes.tick_params(length=0)


def needs_figure(needs: Needs) -> Figure:
    """Draw how many answers of a network stay the same on fewer channels, by who chose the channels."""
    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    axes = figure.subplots()
    for by, colour, label in (
        ("energy", _THEIRS, "most energy"),
        ("preset", "#c77f1a", "the presets"),
        ("gate", _OURS, "the gate"),
    ):
        points = sorted((len(found.selection), 100 * found.agreement) for found in needs.measured if found.by == by)
        axes.plot(*zip(*points, strict=True), marker="o", markersize=4, color=colour, label=label)
    counts = sorted({len(found.selection) for found in needs.measured if found.by == "gate"})
    axes.set_xscale("log")
    axes.set_xticks(counts, [str(count) for count in counts], fontsize=9)
    axes.minorticks_off()
    axes.set_xlabel("number of channels; all others stand at their mean")
    axes.set_ylabel(f"answers as on all channels\n(% of {counted(needs.held_out, 'held-out image')})")
    axes.grid(color="#e3e7eb")
    axes.legend(frameon=False, loc="lower right")
    _bare(axes)
    return figure


def _bare(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)


def as_drawn(name: str) -> str:
    """Return a name as matplotlib must get it to draw it: dollar signs are no formula, and no character is missing."""
    return printable(name).replace("$", r"\$")


def png_bytes(figure: Figure, *, dpi: int = 110) -> bytes:
    """Return a figure as the bytes of a PNG file."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=dpi)
    return file.getvalue()
