"""The sections that reports are put together from: values in, HTML out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from jpegfreq.report.figures import heat_figure, png_bytes, profile_figure
from jpegfreq.report.page import Section, image_html, table_html, text_html
from jpegfreq.report.profile import PROFILE_HEADINGS, profile_cells

if TYPE_CHECKING:
    from jpegfreq.channels import ChannelSelection
    from jpegfreq.models.analysis.heatmap import HeatMap
    from jpegfreq.report.profile import Profile

__all__ = ["heat_section", "prediction_tile", "profile_section"]


def profile_section(profile: Profile, title: str = "What decoding costs on your files") -> Section:
    """Table and chart of a profile."""
    ours = [n for n, row in enumerate(profile.rows) if row.ours]
    explained = (
        f"{profile.images} photographs, {profile.size_bytes / 1e6:.1f} MB, from memory, on one thread; every decoder "
        "in turn, CPU time, median of the rounds. An RGB decoder gives pixels; jpegfreq stops before the inverse DCT "
        "and gives the frequencies that the file holds."
    )
    parts = [
        text_html(profile.verdict, explained),
        image_html(png_bytes(profile_figure(profile)), alt="CPU time of each decoder"),
        table_html(PROFILE_HEADINGS, profile_cells(profile), strong=ours),
    ]
    if profile.left_out:
        parts.append(text_html(f"{len(profile.left_out)} files are left out, because not every decoder reads them:"))
        parts.append(table_html(("file", "why"), [list(pair) for pair in profile.left_out[:20]]))
    return Section(title, "\n".join(parts))


def heat_section(heat: HeatMap, selection: ChannelSelection, title: str = "Which channels the gate uses") -> Section:
    """A heat map, what it comes to, and the selection that was learned from it."""
    by_component = [sum(channel // 64 == component for channel in selection) for component in range(3)]
    text = text_html(
        f"Over {heat.images} pictures that were not trained on, a picture uses {heat.mean_channels_on:.1f} of "
        f"{len(heat.channels)} channels on average. Each cell is one channel: top left the block's mean, to the right "
        "finer detail from left to right, downwards finer detail from top to bottom; its number is the share of the "
        "pictures, in per cent, for which the gate lets the channel through.",
        f"On-rate of luma over chroma: {_ratio(heat.luma_over_chroma)}; of the lowest 16 frequencies over the highest "
        f"32: {_ratio(heat.low_over_high)}.",
        f"Framed are the {len(selection)} channels used most often ({by_component[0]} of Y, {by_component[1]} of Cb, "
        f"{by_component[2]} of Cr), the selection `{selection.name}`: {', '.join(selection.channel_names)}. A model "
        "trained on them alone needs no gate, and its input is "
        f"{len(heat.channels) / len(selection):.1f} times smaller.",
    )
    rates = image_html(png_bytes(heat_figure(heat, selection)), alt="heat map of on-rates")
    likely = text_html("Channels that are on equally often are told apart by their mean probability of being on:")
    probabilities = png_bytes(heat_figure(heat, selection, values="on_probability"))
    return Section(title, text + rates + likely + image_html(probabilities, alt="heat map of probabilities"))


def _ratio(value: float) -> str:
    return "not defined (nothing of the other is on)" if not math.isfinite(value) else f"{value:.2f}"


def prediction_tile(jpeg: bytes, true: str, predicted: str, probability: float) -> str:
    """A small picture, and what the model takes it for."""
    sign = "right" if true == predicted else f"wrong: it is {true}"
    return image_html(jpeg, alt=true, caption=f"{predicted} {probability:.0%} ({sign})")
