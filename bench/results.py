"""The results of a stage, their JSON file in bench/results/, and the options that every stage takes."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench import sets
from bench.sets import Image
from bench.timing import Clock, Comparison, Method, Samples, Unit, compare, measure

FOLDER = Path(__file__).resolve().parent / "results"
LOOKS = Path(__file__).resolve().parents[1] / "build" / "bench" / "looks"  # results of --quick, or of a choice of sets


@dataclass(frozen=True)
class Options:
    """How long to measure, and on what."""

    sets: tuple[str, ...] = sets.NAMES
    seconds: float = 15.0  # per comparison of two methods
    quick: bool = False

    def images(self, name: str) -> tuple[Image, ...]:
        """Load the images of a set: none if it was not chosen, every fifth for a quick look."""
        images = sets.load(name) if name in self.sets else ()
        return images[::5] if self.quick and len(images) > 50 else images


@dataclass(frozen=True)
class Table:
    """Methods compared on one set."""

    title: str
    set_name: str
    rows: list[Comparison]


@dataclass(frozen=True)
class Value:
    """One measured number that is not a ratio: its median, and the 10th and 90th percentile."""

    name: str
    median: float
    low: float
    high: float
    unit: str
    note: str = ""


@dataclass
class Result:
    """Everything that one stage measured."""

    stage: str
    command: str
    machine: dict[str, Any] = field(default_factory=dict)
    measured: str = field(default_factory=lambda: datetime.date.today().isoformat())
    tables: list[Table] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)

    def compare(
        self,
        title: str,
        set_name: str,
        units: Sequence[Unit],
        methods: Sequence[Method[Unit]],
        *,
        baseline: str,
        seconds: float,
        clock: Clock = "cpu",
    ) -> Samples:
        """Measure one table, print it and keep it."""
        samples = measure(units, methods, seconds=seconds, clock=clock)
        self.add(Table(title, set_name, compare(samples, baseline)))
        return samples

    def add(self, table: Table) -> None:
        """Print a table and keep it."""
        self.tables.append(table)
        print(f"\n  {table.title}, {table.set_name}", flush=True)
        for row in table.rows:
            print("   " + row_text(row), flush=True)

    def value(self, value: Value) -> None:
        """Print a value and keep it."""
        self.values.append(value)
        print(
            f"\n  {value.name}: {value.median:.3g} {value.unit} [{value.low:.3g}, {value.high:.3g}] {value.note}",
            flush=True,
        )

    def save(self, folder: Path = FOLDER) -> Path:
        """Write the stage's JSON file."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.stage}.json"
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")
        return path


def load(path: Path) -> Result:
    """Read a stage's JSON file."""
    return parse(path.read_text(encoding="utf-8"))


def parse(text: str) -> Result:
    """Read the text of a stage's JSON file."""
    fields = json.loads(text)
    fields["tables"] = [
        Table(table["title"], table["set_name"], [Comparison(**row) for row in table["rows"]])
        for table in fields["tables"]
    ]
    fields["values"] = [Value(**value) for value in fields["values"]]
    return Result(**fields)


def row_text(row: Comparison) -> str:
    counted = f"{row.rounds} rounds" + (f", {row.rounds_set_aside} set aside" if row.rounds_set_aside else "")
    note = f"; {row.note}" if row.note else ""
    spread = f"[{row.ratio_low:.3f}, {row.ratio_high:.3f}]"
    each = row.seconds / row.images * 1e6
    return (
        f"{row.method:34} {row.ratio:6.3f} x  {spread}  per image {row.ratio_per_unit:.3f}"
        f"  {each:9.1f} us each  ({counted}{note})"
    )


Stage = Callable[[Result, Options], None]
