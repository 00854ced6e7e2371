"""The page that shows which channels a network needs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from jpegfreq._words import as_often, counted
from jpegfreq.channels import COMPONENT_NAMES
from jpegfreq.report.figures import heat_figure, needs_figure, png_bytes
from jpegfreq.report.page import Section, image_html, page, table_html, text_html

if TYPE_CHECKING:
    from jpegfreq.models.analysis.needs import Needs

__all__ = ["needs_cells", "needs_headings", "needs_page", "needs_sections"]


def needs_headings(needs: Needs) -> tuple[str, ...]:
    """Return the headings of `needs_cells`."""
    accuracy = () if needs.full_accuracy is None else ("accuracy (%)",)
    return ("channels", "chosen by", "same answers (%)", *accuracy)


def needs_cells(needs: Needs) -> list[list[str]]:
    """Return a row of text for each choice at the numbers of channels that were asked for, and for all channels."""
    everything = len(needs.heat[needs.counts[0]].channels)
    rows = []
    for count in (*needs.counts, everything):
        for found in needs.measured:
            if len(found.selection) == count and (count < everything or found.by == "gate"):
                name = {"gate": "the gate", "preset": "the preset", "energy": "most energy"}[found.by]
                accuracy = [] if found.accuracy is None else [f"{100 * found.accuracy:.1f}"]
                rows.append([str(count), name if count < everything else "", f"{100 * found.agreement:.1f}", *accuracy])
    return rows


def needs_sections(needs: Needs) -> list[Section]:
    """Make the sections: the table and the curve, then the heat map of the smallest number of channels."""
    count = needs.counts[0]
    learned = needs.of("gate", count)
    rows = needs_cells(needs)
    how = (
        f"{needs.source}: a gate in front of the network learned from {counted(needs.images, 'image')} which channels "
        "its answers need; its weights did not change. Then channels near each cut were compared one by one. Same "
        "answers are those on all channels. Everything here is measured on "
        f"{counted(needs.held_out, 'other image')}, with the channels that are left out at their mean, and nothing was "
        "retrained."
    )
    image = (
        ""
        if needs.gated_agreement is None
        else f"The gate decides image by image: it leaves {needs.heat[count].mean_channels_on:.1f} channels open on "
        f"average, and {needs.gated_agreement:.1%} of the answers are then the same as on all channels."
    )
    strong = [n for n, row in enumerate(rows) if row[1] == "the gate"]
    table = Section(
        "How many channels are enough",
        text_html(*filter(None, (how, image)))
        + table_html(needs_headings(needs), rows, strong=strong)
        + image_html(png_bytes(needs_figure(needs)), alt="answers that stay the same, by number of channels"),
    )
    heat = needs.heat[count]
    parts = [sum(channel // 64 == component for channel in learned.selection) for component in range(3)]
    split = ", ".join(f"{part} of {name}" for part, name in zip(parts, COMPONENT_NAMES, strict=True))
    explained = text_html(
        f"The probability that the gate opens each channel when about {count} are left, in per cent. The block's mean "
        "is at the top left, finer horizontal detail to the right, finer vertical detail downwards. The frames mark "
        f"the {count} that were chosen: {split}.",
        *(
            f"{more} open {as_often(ratio)} {less}."
            for more, ratio, less in (
                ("Luma is", heat.luma_over_chroma, "chroma"),
                ("The 16 lowest frequencies are", heat.low_over_high, "the 32 highest"),
            )
            if not math.isnan(ratio)  # the channels may lack either
        ),
    )
    figure = heat_figure(heat, learned.selection, values="on_probability")
    map_section = Section("Which channels", explained + image_html(png_bytes(figure), alt="heat map of probabilities"))
    return [table, map_section]


def needs_page(needs: Needs) -> str:
    """Make the whole page."""
    after = Section(
        "Train on them",
        text_html(
            f"`learned{needs.counts[0]}.json` and its neighbours are taken by `--channels` wherever a preset is. This "
            "trains the same network further on these channels alone:",
            f"`jpegfreq train TRAINING VALIDATION --weights MODEL --channels learned{needs.counts[0]}.json --out RUN`",
        ),
    )
    lead = "Which frequency channels a trained network needs, found without changing it."
    return page("What this network needs", lead, [*needs_sections(needs), after])
