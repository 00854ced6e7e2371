"""A profile as a page that is read in ten seconds, and explained below."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import jpegfreq
from jpegfreq._words import counted
from jpegfreq.report.page import Section, figures_html, page, table_html, text_html
from jpegfreq.report.pipelines import COLOR, CROP, DECODE, ENTROPY, NORMALIZE, ONE_CALL
from jpegfreq.report.profile import READ, Profile, Row

__all__ = ["STAGES", "profile_page", "profile_sections"]

# The stages in the order of their colours. A stage that could not be told apart has the colour of its first part.
STAGES = (READ, ENTROPY, COLOR, CROP, NORMALIZE, ONE_CALL)
_SHOWN_FAILURES = 20


def profile_page(profile: Profile) -> str:
    """Make the whole page."""
    first, *others = profile_sections(profile)
    footer = (
        f"Measured by jpegfreq {jpegfreq.__version__} on {profile.machine['processor']}, {profile.machine['cores']} "
        f"cores, {profile.machine['system']}, Python {profile.machine['python']}: "
        + ", ".join(f"{name} {version}" for name, version in profile.machine["versions"].items() if name != "jpegfreq")
        + "."
    )
    return page("What training input costs", profile.verdict, [first, *others], footer=footer)


def profile_sections(profile: Profile) -> list[Section]:
    """Make the sections: the headline, the pipelines with their stages, the files, whole images, the method."""
    return [
        Section("In short", _headline(profile)),
        Section("From file to batch", _pipelines(profile)),
        Section("The files", _files(profile)),
        Section("Whole images, apart from training", _whole(profile)),
        Section("How it was measured", _method(profile)),
    ]


def _headline(profile: Profile) -> str:
    today, then = profile.today_row, profile.then_row
    compared = f"{_names(today)} today, and " if today else ""
    return (
        figures_html(profile.tiles)
        + "".join(f'<p class="warning">Take care: {escape(warning)}.</p>' for warning in profile.warnings)
        + text_html(
            f"Compared are {compared}{_names(then)}, both from file to a normalized batch of random crops. Networks "
            "trained on RGB take 48 channels through `jpegfreq.models.from_rgb`, without being trained again."
        )
    )


def _names(row: Row) -> str:
    return f"{row.name} ({row.input}, {row.dtype})"


def _pipelines(profile: Profile) -> str:
    longest = max(row.seconds for row in profile.rows)
    legend = "".join(
        f'<li><i class="s{n}"></i>{escape(stage)}</li>'
        for n, stage in enumerate(STAGES)
        if any(stage in row.stages for row in profile.rows)
    )
    groups = (
        ("The same network input: crops of 224 px", [row for row in profile.rows if row.shape[-1] in (224, 28)]),
        ("The input of the paper's networks: crops of 448 px", [row for row in profile.rows if row.shape[-1] == 56]),
    )
    return (
        text_html(
            "Milliseconds of one core per image. jpegfreq does everything after entropy decoding in one call: it "
            "crops, resizes and normalizes coefficients, and makes no pixels."
        )
        + f'<ul class="legend">{legend}</ul>'
        + "".join(f"<h3>{escape(title)}</h3>{_bars(rows, longest)}" for title, rows in groups)
    )


def _bars(rows: Sequence[Row], longest: float) -> str:
    return '<ul class="bars">' + "".join(_bar(row, longest) for row in rows) + "</ul>"


def _bar(row: Row, longest: float) -> str:
    parts = "".join(
        f'<span class="s{1 if stage == DECODE else STAGES.index(stage)}" style="width:{100 * seconds / longest:.2f}%">'
        "</span>"
        for stage, seconds in row.stages.items()
    )
    told = ", ".join(f"{stage} {1e3 * seconds:.2f} ms" for stage, seconds in row.stages.items())
    name = f"{row.name}: {row.input}, {row.dtype}"
    figure = f"{1e3 * row.seconds:.2f} ms · {row.images_per_second:,.0f}/s · {row.size_bytes / 1e3:.0f} kB"
    note = f'<div class="note">{escape(row.note)}</div>' if row.note else ""
    return (
        f'<li><div class="what"><span{" class=ours" if row.ours else ""}>{escape(name)}</span>'
        f'<span class="figure">{figure}</span></div>'
        f'<div class="bar" role="img" aria-label="{escape(told)}" title="{escape(told)}">{parts}</div>{note}</li>'
    )


def _files(profile: Profile) -> str:
    text = text_html(f"{profile.sampling}. A file has {profile.mean_size_bytes / 1e3:,.0f} kB on average.")
    rows = [[kind.name, f"{kind.files:,}", f"{kind.share:.1%}", f"{kind.measured:,}"] for kind in profile.kinds]
    text += table_html(("kind", "files", "share", "measured"), rows)
    if profile.left_out:
        text += text_html(
            f"Left out, because not every pipeline can read them: {counted(len(profile.left_out), 'file')}."
        )
        text += table_html(("file", "reason"), [list(pair) for pair in profile.left_out[:_SHOWN_FAILURES]])
        if len(profile.left_out) > _SHOWN_FAILURES:
            text += text_html(f"The first {_SHOWN_FAILURES} are shown; `--json` lists all.")
    return text


def _whole(profile: Profile) -> str:
    text = text_html(
        "Decoding whole images from memory, without a crop. No network takes these results as they are; they matter to "
        "programs that read whole images."
    )
    rows = [
        [f"{row.name}: {row.result}", f"{1e3 * row.seconds:.2f}", f"{1 / max(row.seconds, 1e-9):,.0f}"]
        for row in profile.whole
    ]
    ours = [n for n, row in enumerate(profile.whole) if row.ours]
    return text + table_html(("decoder and result", "ms per image", "images/s"), rows, strong=ours)


def _method(profile: Profile) -> str:
    missing = f" Not measured: {', '.join(profile.missing)}." if profile.missing else ""
    return text_html(
        f"Batches of 50 images went through all pipelines in turn, {profile.rounds} times, on one thread; the figures "
        "are medians of the CPU time. The crops are random, as for training, and the same for all. Files were read "
        "from the system's cache: a slow disk or network adds the same to every pipeline." + missing,
        "RGB libraries decode in one call. How much of it is entropy decoding was measured with the same or a similar "
        "decoder at 1/8 of the size, where hardly any other work is left; for jpegfreq, with crops of one pixel's "
        "width.",
    )
