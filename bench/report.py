"""Write the results into bench/README.md, between two markers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench import sets
from bench.figures import FIGURES, Figure
from bench.results import FOLDER, Result, load
from bench.timing import Comparison

README = Path(__file__).resolve().parent / "README.md"
BEGIN, END = "<!-- results: written by python -m bench -->", "<!-- end of results -->"


def write(readme: Path = README, folder: Path = FOLDER) -> None:
    results = {path.stem: load(path) for path in sorted(folder.glob("*.json"))}
    text = readme.read_text(encoding="utf-8")
    readme.write_text(replaced(text, markdown(results)), encoding="utf-8")


def replaced(text: str, tables: str, markers: tuple[str, str] = (BEGIN, END)) -> str:
    """Replace what stands between the markers in `text`."""
    before, begin, rest = text.partition(markers[0])
    _, end, after = rest.partition(markers[1])
    if not begin or not end:
        raise ValueError(f"the two markers are missing: {markers[0]} and {markers[1]}")
    return f"{before}{begin}\n\n{tables}\n\n{end}{after}"


def markdown(results: dict[str, Result], figures: Sequence[Figure] = FIGURES) -> str:
    if not results:
        return "Nothing has been measured yet."
    parts = ["### Promised and measured", _figures(results, figures)]
    for result in results.values():
        parts += [f"### {result.stage}", _origin(result)]
        parts += [_tables(result)] if result.tables else []
        parts += [_values(result)] if result.values else []
    return "\n\n".join(parts)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int]) -> str:
    rule = ["--:" if i in right else "---" for i in range(len(columns))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (columns, rule, *rows))


def _figures(results: dict[str, Result], figures: Sequence[Figure]) -> str:
    rows = []
    for figure in figures:
        measured = figure.measured(results)
        limit = "under " * (not figure.set_name)
        spread = "{:.3g} ({:.3g} to {:.3g})".format(*measured) if measured else "not measured"
        verdict = figure.verdict(measured[0]) if measured else ""
        rows.append(
            [figure.what, f"{limit}{figure.must:g}", f"{limit}{figure.aim:g}", spread, verdict, f"`{figure.command}`"]
        )
    return _table(
        ["figure", "must", "aim", "measured (10th to 90th percentile)", "verdict", "command"], rows, right=[1, 2]
    )


def _origin(result: Result) -> str:
    machine = result.machine
    flags = ", ".join(machine.get("flags", [])) or "no vector extensions of note"
    versions = ", ".join(f"{name} {version}" for name, version in machine.get("versions", {}).items())
    processor = f"{machine.get('processor')} ({machine.get('family')}; {flags}; {machine.get('cores')} cores)"
    return (
        f"`{result.command}`, {result.measured}, commit {machine.get('commit')}, on {processor}, "
        f"{machine.get('system')}, Python {machine.get('python')}; opponent {machine.get('opponent')}; {versions}."
    )


def _tables(result: Result) -> str:
    """Write one table per title, the sets below one another."""
    parts = []
    for title in dict.fromkeys(table.title for table in result.tables):
        tables = [table for table in result.tables if table.title == title]
        baselines = dict.fromkeys(row.baseline for table in tables for row in table.rows)
        columns = [
            "set",
            "method",
            f"time of {' or '.join(baselines)} / time of the method (10th to 90th percentile)",
            "the same, mean over images",
            "time per image (ms)",
            "images per second",
            "rounds (set aside)",
            "notes",
        ]
        rows = [[table.set_name, *_cells(row)] for table in tables for row in table.rows]
        parts.append(f"**{title}**\n\n" + _table(columns, rows, right=[3, 4, 5, 6]))
    return "\n\n".join(parts)


def _cells(row: Comparison) -> list[str]:
    base = row.method == row.baseline
    return [
        row.method,
        "1" if base else f"**{row.ratio:.2f}** ({row.ratio_low:.2f} to {row.ratio_high:.2f})",
        "1" if base else f"{row.ratio_per_unit:.2f}",
        f"{row.seconds / row.images * 1e3:.3f}",
        f"{row.images / row.seconds:.0f}",
        f"{row.rounds}" + (f" ({row.rounds_set_aside})" if row.rounds_set_aside else ""),
        row.note,
    ]


def _values(result: Result) -> str:
    rows = [
        [value.name, f"{value.median:.3g}", f"{value.low:.3g} to {value.high:.3g}", value.unit, value.note]
        for value in result.values
    ]
    return _table(["what", "median", "10th to 90th percentile", "unit", "notes"], rows, right=[1])


def describe_sets() -> str:
    return "\n".join(f"  {name}  {sets.describe(name)}" for name in sets.NAMES)
