"""An HTML page that contains everything it shows: it needs no other file and no network."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from jpegfreq._files import write_whole

__all__ = ["Section", "image_html", "page", "table_html", "text_html", "tiles_html", "write_page"]

_STYLE = """
:root { --ink: #22303c; --soft: #5c6b79; --line: #e3e7eb; --ours: #1b7f5c; --ground: #f7f8f9; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.55 system-ui, "Segoe UI", sans-serif; }
header { background: #14323f; color: #fff; padding: 3rem 1.5rem 2.5rem; }
header > div, main, nav { max-width: 1080px; margin: 0 auto; }
h1 { margin: 0 0 .5rem; font-size: 2.1rem; line-height: 1.2; }
header p { margin: 0; max-width: 46rem; color: #cfe0e6; font-size: 1.1rem; }
nav { padding: 1rem 1.5rem 0; font-size: .95rem; }
nav a { margin-right: 1.2rem; color: var(--ours); white-space: nowrap; }
main { padding: 1rem 1.5rem 4rem; }
section { background: #fff; border: 1px solid var(--line); border-radius: 10px; }
section { padding: 1.4rem 1.6rem; margin: 1.2rem 0; }
h2 { margin: 0 0 .6rem; font-size: 1.35rem; }
p { max-width: 50rem; margin: .5rem 0 .9rem; }
img { max-width: 100%; height: auto; display: block; border-radius: 4px; }
figure { margin: 1rem 0; overflow-x: auto; }
figcaption { color: var(--soft); font-size: .9rem; margin-top: .4rem; }
table { border-collapse: collapse; font-size: .95rem; margin: .8rem 0; }
.wide { overflow-x: auto; }
th, td { padding: .35rem .9rem .35rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th { color: var(--soft); font-weight: 600; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
tr.strong td { color: var(--ours); font-weight: 600; }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 1rem; }
.tiles figure { margin: 0; }
code { background: #eef1f3; padding: .1rem .35rem; border-radius: 4px; font-size: .92em; }
footer { color: var(--soft); font-size: .9rem; text-align: center; padding-bottom: 2rem; }
"""


@dataclass(frozen=True)
class Section:
    """A part of a page: its heading, and HTML that the functions of this module made."""

    title: str
    html: str


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


def table_html(headings: Sequence[str], rows: Sequence[Sequence[str]], *, strong: Sequence[int] = ()) -> str:
    """Make a table of plain text; a column whose cells are all numbers is aligned to the right.

    Args:
        headings: of the columns.
        rows: their cells.
        strong: indices of the rows to highlight.
    """
    right = [
        bool(rows) and all(row[n][:1].isdigit() or row[n][:1] in "-+" for row in rows) for n in range(len(headings))
    ]

    def cells(tag: str, values: Sequence[str]) -> str:
        marks = (' class="number"' if number else "" for number in right)
        return "".join(f"<{tag}{mark}>{escape(v)}</{tag}>" for mark, v in zip(marks, values, strict=True))

    body = "".join(
        f"<tr{' class=' + chr(34) + 'strong' + chr(34) if n in strong else ''}>{cells('td', row)}</tr>"
        for n, row in enumerate(rows)
    )
    head = cells("th", headings)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def page(title: str, lead: str, sections: Sequence[Section], *, footer: str = "") -> str:
    """Make the whole page.

    Args:
        title: of the page.
        lead: a sentence below the title.
        sections: in order; each gets a link at the top.
        footer: a line below.
    """
    links = "".join(f'<a href="#s{n}">{escape(section.title)}</a>' for n, section in enumerate(sections))
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
<nav>{links}</nav>
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
