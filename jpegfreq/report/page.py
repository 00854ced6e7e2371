"""An HTML page that contains everything it shows: it needs no other file and no network."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from jpegfreq._files import write_whole

__all__ = [
    "Section",
    "Tile",
    "figures_html",
    "image_html",
    "page",
    "table_html",
    "text_html",
    "tiles_html",
    "write_page",
]

_STYLE = """
:root {
  color-scheme: light dark; --ground: #f4f6f8; --card: #fff; --ink: #1d2b36; --soft: #51606d; --line: #dde3e8;
  --ours: #0b6b4a; --theirs: #5b6672; --band: #14323f; --warn: #fff4d6; --warn-line: #b98900;
  --stage-0: #7d8a96; --stage-1: #c2570c; --stage-2: #b4307f; --stage-3: #2563b8; --stage-4: #6a4fc4;
  --stage-5: #12805c;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #10171c; --card: #182128; --ink: #e3eaef; --soft: #a5b3be; --line: #2f3c46;
    --ours: #57d3a4; --theirs: #b3bfc9; --band: #0c2530; --warn: #3a2f10; --warn-line: #d9a92a;
    --stage-0: #8d9aa6; --stage-1: #f08a4b; --stage-2: #e56db3; --stage-3: #6ea8f0; --stage-4: #a994f2;
    --stage-5: #3fbf8f;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, "Segoe UI", sans-serif; }
body { overflow-wrap: anywhere; }
header { background: var(--band); color: #fff; padding: 1.6rem 1rem 1.4rem; }
main, nav, footer { max-width: 68rem; margin: 0 auto; }
header > div { max-width: 66rem; margin: 0 auto; }
h1 { margin: 0 0 .4rem; font-size: 1.7rem; line-height: 1.2; }
header p { margin: 0; max-width: 50rem; color: #d5e5eb; }
nav { padding: .7rem 1rem 0; font-size: .95rem; display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; }
nav a { color: var(--ours); }
main { padding: .3rem 1rem 2rem; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
section { padding: 1rem 1.1rem; margin: 1rem 0; }
h2 { margin: 0 0 .5rem; font-size: 1.25rem; line-height: 1.3; }
h3 { margin: 1.1rem 0 .4rem; font-size: 1rem; }
p { max-width: 50rem; margin: .5rem 0 .8rem; }
img { max-width: 100%; height: auto; display: block; border-radius: 4px; background: #fff; }
figure { margin: 1rem 0; }
figcaption { color: var(--soft); font-size: .9rem; margin-top: .4rem; }
table { border-collapse: collapse; font-size: .95rem; margin: .6rem 0; }
.wide { overflow-x: auto; }
th, td { padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th { color: var(--soft); font-weight: 600; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
td.number { white-space: nowrap; }
th { overflow-wrap: normal; }
tr.strong td { color: var(--ours); font-weight: 600; }
@media (max-width: 60rem) {  /* a table of many columns becomes a list: each row a block, each cell with its heading */
  .many thead { display: none; }
  .many, .many tbody, .many tr { display: block; }
  .many tr { border-bottom: 2px solid var(--line); padding: .3rem 0; }
  .many td { display: flex; justify-content: space-between; gap: 1rem; border: 0; padding: .1rem 0; text-align: right; }
  .many td::before { content: attr(data-heading); color: var(--soft); text-align: left; }
}
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 1rem; }
.tiles figure { margin: 0; }
code { background: var(--ground); padding: .1rem .35rem; border-radius: 4px; font-size: .92em; }
footer { color: var(--soft); font-size: .9rem; padding: 0 1rem 2rem; }
.warning { background: var(--warn); border-left: 4px solid var(--warn-line); padding: .5rem .8rem; margin: .6rem 0; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(140px, 1fr)); gap: .6rem; margin: .8rem 0; }
.figures > div { border: 1px solid var(--line); border-radius: 8px; padding: .5rem .7rem; }
.figures .label { font-size: .9rem; color: var(--soft); line-height: 1.3; }
.figures .values { display: flex; flex-wrap: wrap; align-items: baseline; gap: 0 .45rem; line-height: 1.25; }
.figures .today { font-size: 1.15rem; color: var(--theirs); }
.figures .then { font-size: 1.6rem; font-weight: 650; color: var(--ours); }
.figures .detail { font-size: .85rem; color: var(--soft); line-height: 1.35; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1rem; font-size: .9rem; margin: .3rem 0 .6rem; padding: 0; }
.legend li { list-style: none; }
.legend i { display: inline-block; width: .8rem; height: .8rem; border-radius: 3px; margin-right: .35rem; }
.bars { margin: 0; padding: 0; }
.bars li { list-style: none; margin: .55rem 0; }
.bars .what { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 1rem; font-size: .95rem; }
.bars .figure { font-variant-numeric: tabular-nums; color: var(--soft); }
.bars .ours { color: var(--ours); font-weight: 600; }
.bars .note { font-size: .85rem; color: var(--soft); }
.bar { display: flex; gap: 1px; height: .95rem; margin-top: .15rem; }
.bar span { display: block; height: 100%; min-width: 1px; }
.bar span:first-child { border-radius: 3px 0 0 3px; }
.bar span:last-child { border-radius: 0 3px 3px 0; }
.s0 { background: var(--stage-0); } .s1 { background: var(--stage-1); } .s2 { background: var(--stage-2); }
.s3 { background: var(--stage-3); } .s4 { background: var(--stage-4); } .s5 { background: var(--stage-5); }
"""


_FEW = 3  # columns that a phone has room for


@dataclass(frozen=True)
class Section:
    """A part of a page: its heading, and HTML that the functions of this module made."""

    title: str
    html: str


@dataclass(frozen=True)
class Tile:
    """One figure of a page's headline.

    Attributes:
        label: what is compared.
        today: with the RGB pipeline; "" without one to compare with.
        then: with jpegfreq.
        detail: what to know about it.
    """

    label: str
    today: str
    then: str
    detail: str


def text_html(*paragraphs: str) -> str:
    """Make paragraphs of plain text; text between backticks becomes code."""
    parts = []
    for paragraph in paragraphs:
        pieces = [escape(piece) for piece in paragraph.split("`")]
        parts.append("<p>" + "".join(f"<code>{p}</code>" if n % 2 else p for n, p in enumerate(pieces)) + "</p>")
    return "\n".join(parts)


def image_html(data: bytes, *, alt: str, caption: str = "") -> str:
    """Make a figure that holds a PNG or JPEG file inline."""
    kind = "png" if data.startswith(b"\x89PNG") else "jpeg"
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    encoded = base64.b64encode(data).decode("ascii")
    return f'<figure><img alt="{escape(alt)}" src="data:image/{kind};base64,{encoded}">{below}</figure>'


def tiles_html(tiles: Sequence[str]) -> str:
    """Put small images side by side."""
    return '<div class="tiles">' + "".join(tiles) + "</div>"


def figures_html(tiles: Sequence[Tile]) -> str:
    """Put figures side by side, as the headline of a page."""
    return f'<div class="figures">{"".join(map(_tile, tiles))}</div>'


def _tile(tile: Tile) -> str:
    today = f'<span class="today">{escape(tile.today)} →</span> ' if tile.today else ""
    return (
        f'<div><div class="label">{escape(tile.label)}</div><div class="values">{today}'
        f'<span class="then">{escape(tile.then)}</span></div><div class="detail">{escape(tile.detail)}</div></div>'
    )


def table_html(headings: Sequence[str], rows: Sequence[Sequence[str]], *, strong: Sequence[int] = ()) -> str:
    """Make a table of plain text; a column whose cells are all numbers is aligned to the right.

    On a narrow screen, a table of more than three columns becomes a list, in which each cell has its heading beside it.

    Args:
        headings: of the columns.
        rows: their cells.
        strong: indices of the rows to highlight.
    """
    right = [
        bool(rows) and all(row[n][:1].isdigit() or row[n][:1] in "-+" for row in rows) for n in range(len(headings))
    ]

    many = len(headings) > _FEW

    def cells(tag: str, values: Sequence[str]) -> str:
        marks = [' class="number"' if number else "" for number in right]
        if many and tag == "td":
            marks = [f'{mark} data-heading="{escape(h)}"' for mark, h in zip(marks, headings, strict=True)]
        return "".join(f"<{tag}{mark}>{escape(v)}</{tag}>" for mark, v in zip(marks, values, strict=True))

    body = "".join(
        f"<tr{' class=' + chr(34) + 'strong' + chr(34) if n in strong else ''}>{cells('td', row)}</tr>"
        for n, row in enumerate(rows)
    )
    head = cells("th", headings)
    table = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return f'<div class="wide"><table{" class=many" if many else ""}>{table}</table></div>'


def page(title: str, lead: str, sections: Sequence[Section], *, footer: str = "") -> str:
    """Make the whole page.

    Args:
        title: of the page.
        lead: a sentence below the title.
        sections: in order; each gets a link at the top, unless there is only one.
        footer: a line below.
    """
    several = sections if len(sections) > 1 else ()
    links = "".join(f'<a href="#s{n}">{escape(section.title)}</a>' for n, section in enumerate(several))
    body = "\n".join(
        f'<section id="s{n}"><h2>{escape(section.title)}</h2>\n{section.html}</section>'
        for n, section in enumerate(sections)
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<header><div><h1>{escape(title)}</h1><p>{escape(lead)}</p></div></header>
{f'<nav aria-label="sections">{links}</nav>' if links else ""}
<main>
{body}
</main>
<footer>{escape(footer)}</footer>
</body>
</html>
"""


def write_page(path: Path, html: str) -> None:
    """Write a page whole or not at all."""
    write_whole(path, html)
