"""Hold the latest run of each stage against the committed one: what got faster, what got slower.

    make bench-compare

The latest run is the newest of bench/results (complete runs) and build/bench/looks (--quick, or a choice of sets).
Ratios can be compared between runs on one machine only; the processors of both runs are named. A row counts as changed
if its median lies outside the other run's 10th to 90th percentile, and that run's median outside its own.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table as Shown

from bench.results import FOLDER, LOOKS, Result, load, parse
from bench.timing import Comparison


def latest(stage: str, folders: tuple[Path, ...] = (FOLDER, LOOKS)) -> Path | None:
    """Find the newest results of a stage."""
    found = [path for folder in folders if (path := folder / f"{stage}.json").exists()]
    return max(found, key=lambda path: path.stat().st_mtime) if found else None


def changes(committed: Result, new: Result) -> Iterator[tuple[str, str, Comparison, Comparison, str]]:
    """Yield for each row that both have: title, set, both comparisons, and "", "faster" or "slower"."""
    rows = {
        (table.title, table.set_name, row.method): row
        for table in committed.tables
        for row in table.rows
        if row.method != row.baseline
    }
    for table in new.tables:
        for row in table.rows:
            old = rows.get((table.title, table.set_name, row.method))
            if old is None:
                continue
            verdict = ""
            if row.ratio > old.ratio_high and old.ratio < row.ratio_low:
                verdict = "faster"
            elif row.ratio < old.ratio_low and old.ratio > row.ratio_high:
                verdict = "slower"
            yield table.title, table.set_name, old, row, verdict


def _committed(path: Path) -> Result | None:
    command = ["git", "-C", str(FOLDER), "show", f"HEAD:./{path.name}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return None if done.returncode else parse(done.stdout)


def main() -> int:
    console = Console()
    shown = 0
    for stage in sorted({path.stem for folder in (FOLDER, LOOKS) for path in folder.glob("*.json")}):
        path = latest(stage)
        committed = _committed(FOLDER / f"{stage}.json")
        if path is None or committed is None:
            continue
        new = load(path)
        if new == committed:
            continue
        table = Shown(
            "table",
            "set",
            "method",
            "committed",
            "latest",
            "change",
            "",
            title=f"{stage}: {new.command}",
            title_justify="left",
        )
        for title, set_name, old, row, verdict in changes(committed, new):
            change = f"{row.ratio / old.ratio - 1:+.0%}"
            table.add_row(title, set_name, row.method, f"{old.ratio:.2f}", f"{row.ratio:.2f}", change, verdict)
        console.print(table)
        for name, run in (("committed", committed), ("latest", new)):
            console.print(f"{name}: {run.measured}, commit {run.machine.get('commit')}, {run.machine.get('processor')}")
        shown += 1
    if not shown:
        console.print(
            "Nothing was measured since the last commit: run make bench, or python -m bench --stages ... first."
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
