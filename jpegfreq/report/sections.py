"""The sections that reports are put together from: values in, HTML out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jpegfreq.report.figures import png_bytes, profile_figure
from jpegfreq.report.page import Section, image_html, table_html, text_html
from jpegfreq.report.profile import PROFILE_HEADINGS, profile_cells

if TYPE_CHECKING:
    from jpegfreq.report.profile import Profile

__all__ = ["profile_section"]


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
