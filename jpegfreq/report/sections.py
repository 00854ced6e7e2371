"""The sections of the reports: values in, HTML out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from jpegfreq.report.figures import heat_figure, png_bytes
from jpegfreq.report.page import Section, image_html, text_html

if TYPE_CHECKING:
    from jpegfreq.channels import ChannelSelection
    from jpegfreq.models.analysis.heatmap import HeatMap

__all__ = ["heat_section", "prediction_tile"]


def heat_section(heat: HeatMap, selection: ChannelSelection, title: str = "Which channels the gate uses") -> Section:
    """Make the section that holds a heat map, its figures, and the selection that was learned from it."""
    by_component = [sum(channel // 64 == component for channel in selection) for component in range(3)]
    text = text_html(
        f"On {heat.images} images that were not used for training, the model uses {heat.mean_channels_on:.1f} of "
        f"{len(heat.channels)} channels per image on average. Each cell is one channel: the block's mean at the top "
        "left, finer horizontal detail to the right, finer vertical detail downwards. Its number is the percentage of "
        "images for which the gate lets the channel through.",
        f"The on-rate of luma is {_ratio(heat.luma_over_chroma)} times that of chroma, and the on-rate of the lowest "
        f"16 frequencies is {_ratio(heat.low_over_high)} times that of the highest 32.",
        f"The frames mark the {len(selection)} channels used most often ({by_component[0]} of Y, {by_component[1]} of "
        f"Cb, {by_component[2]} of Cr), the selection `{selection.name}`: {', '.join(selection.channel_names)}. A "
        "model trained on these alone needs no gate, and its input is "
        f"{len(heat.channels) / len(selection):.1f} times smaller.",
    )
    rates = image_html(png_bytes(heat_figure(heat, selection)), alt="heat map of on-rates")
    likely = text_html("Channels that are on equally often are ranked by their mean probability of being on:")
    probabilities = png_bytes(heat_figure(heat, selection, values="on_probability"))
    return Section(title, text + rates + likely + image_html(probabilities, alt="heat map of probabilities"))


def _ratio(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "infinitely many"


def prediction_tile(jpeg: bytes, true: str, predicted: str, probability: float) -> str:
    """Make a tile that shows a small image and what the model predicts for it."""
    sign = "right" if true == predicted else f"wrong: it is {true}"
    return image_html(jpeg, alt=true, caption=f"{predicted} {probability:.0%} ({sign})")
