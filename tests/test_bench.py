"""The benchmark's arithmetic and its table writer, on made-up times; nothing is measured here."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from bench import report
from bench.__main__ import STAGES
from bench.against_committed import changes, latest
from bench.figures import FIGURES, Figure
from bench.results import Result, Table, Value, load
from bench.timing import Comparison, Method, Samples, compare, measure, verify


def samples(rounds: list[list[list[int]]], disturbed: list[bool] | None = None) -> Samples:
    """Make samples from times [round][method][unit], for a baseline and a faster method."""
    times = [np.array(times, dtype=np.int64) for times in rounds]
    methods, units = times[0].shape
    return Samples(
        names=["old", "new"],
        readable=np.ones((methods, units), dtype=np.bool_),
        notes=["", ""],
        images=np.ones(units, dtype=np.int64),
        rounds=times,
        disturbed=disturbed or [False] * len(times),
    )


def comparison(ratio: float, method: str = "jpegfreq") -> Comparison:
    return Comparison(method, "libjpeg", ratio, ratio - 0.1, ratio + 0.1, ratio, 0.5, 100, 20, 1, "")


def test_ratio_is_median_over_rounds_of_ratios_of_sums() -> None:
    both = compare(samples([[[30, 10], [10, 10]], [[60, 20], [20, 20]], [[90, 10], [10, 10]]]), "old")
    assert both[0].ratio == 1
    assert both[1].ratio == 2  # rounds: 40/20, 80/40, 100/20
    assert both[1].seconds == pytest.approx(20e-9)


def test_ratio_per_unit_counts_small_inputs_as_much_as_large_ones() -> None:
    new = compare(samples([[[4000, 10], [1000, 10]]]), "old")[1]
    assert new.ratio_per_unit == pytest.approx(2)
    assert new.ratio > 3.9


def test_disturbed_rounds_are_set_aside_and_counted() -> None:
    quiet = [[[20, 20], [10, 10]]] * 5
    new = compare(samples([*quiet, [[20, 20], [90, 90]]], [False] * 5 + [True]), "old")[1]
    assert (new.ratio, new.ratio_low, new.rounds, new.rounds_set_aside) == (2, 2, 5, 1)


def test_a_busy_machine_keeps_all_rounds_and_its_row_has_a_note() -> None:
    new = compare(samples([[[20, 20], [10, 10]]] * 6, [True] * 3 + [False] * 3), "old")[1]
    assert (new.rounds, new.rounds_set_aside) == (6, 0)
    assert "busy" in new.note


def test_inputs_that_a_method_cannot_read_are_left_out_of_its_ratio_only() -> None:
    measured = samples([[[40, 10], [10, 0]]])
    measured.readable[1, 1] = False
    old, new = compare(measured, "old")
    assert (old.images, new.images) == (2, 1)
    assert new.ratio == 4


def test_a_single_input_can_be_compared() -> None:
    assert compare(samples([[[40, 10], [10, 10]]]), "old", only=[1])[1].ratio == 1


def test_a_difference_of_ours_stops_the_benchmark_and_one_of_others_is_noted() -> None:
    differing = Method[int]("other", lambda unit: unit, lambda unit: "differs" if unit else "")
    assert verify([0, 1], [differing]).notes == ["1 of 2 differ (differs)"]
    with pytest.raises(AssertionError, match="input 1: differs"):
        verify([0, 1], [Method("ours", differing.run, differing.verify, strict=True)])


def test_an_input_that_raises_is_not_timed() -> None:
    def run(unit: int) -> None:
        if unit == 2:
            raise ValueError("cannot")

    def check(unit: int) -> str:
        run(unit)
        return ""

    measured = measure([1, 2], [Method[int]("a", run, check)], seconds=0, minimum_rounds=2)
    assert measured.readable.tolist() == [[True, False]]
    assert measured.notes == ["1 of 2 not read (ValueError: cannot)"]
    assert len(measured.rounds) == 2


def test_a_batch_counts_its_images() -> None:
    assert verify([(1, 2, 3), (4, 5)], [Method[tuple[int, ...]]("a", len)]).images.tolist() == [3, 2]


def test_results_survive_the_file(tmp_path: Path) -> None:
    result = Result("coefficients", "python -m bench", {"cores": 2})
    result.add(Table("one image", "A", [comparison(1.6)]))
    result.value(Value("header", 3.0, 2.0, 4.0, "us"))
    assert load(result.save(tmp_path)) == result


def test_a_figure_is_judged_by_its_must_and_aim() -> None:
    speed = Figure("one image", 1.5, 1.7, "coefficients", "one image", "A")
    assert [speed.verdict(value) for value in (1.4, 1.5, 1.7)] == ["**short of must**", "must kept", "aim reached"]
    header = Figure("header", 20, 5, "coefficients", "header")
    assert [header.verdict(value) for value in (21, 20, 5)] == ["**short of must**", "must kept", "aim reached"]


def test_tables_show_promises_next_to_measurements() -> None:
    result = Result("coefficients", "python -m bench", {"processor": "a processor"})
    result.add(Table("one image", "A", [comparison(1, "libjpeg"), comparison(1.6)]))
    figures = [
        Figure("one image, A", 1.5, 1.7, "coefficients", "one image", "A"),
        Figure("batch, A", 2, 2.6, "coefficients", "batch", "A"),
    ]
    text = report.markdown({"coefficients": result}, figures)
    assert (
        "| one image, A | 1.5 | 1.7 | 1.6 (1.5 to 1.7) | must kept | `python -m bench --stages coefficients` |" in text
    )
    assert "| batch, A | 2 | 2.6 | not measured |" in text
    assert "a processor" in text


def test_the_writer_replaces_only_what_stands_between_its_markers(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n", encoding="utf-8")
    report.write(readme, tmp_path)
    assert readme.read_text(encoding="utf-8") == (
        f"before\n{report.BEGIN}\n\nNothing has been measured yet.\n\n{report.END}\nafter\n"
    )
    with pytest.raises(ValueError, match="markers are missing"):
        report.replaced("no markers", "tables")


def test_the_readme_has_its_markers() -> None:
    report.replaced(report.README.read_text(encoding="utf-8"), "")


def test_figures_name_what_the_stages_measure() -> None:
    assert len({(figure.what, figure.set_name) for figure in FIGURES}) == len(FIGURES)
    assert all(figure.stage in set(STAGES) for figure in FIGURES)


def test_a_row_changed_if_neither_median_lies_within_the_other_spread() -> None:
    def result(*ratios: float) -> Result:
        run = Result("coefficients", "python -m bench")
        run.tables.append(Table("one image", "A", [comparison(ratio, f"row {n}") for n, ratio in enumerate(ratios)]))
        return run

    found = list(changes(result(1.5, 1.5, 1.5), result(1.55, 1.7, 1.3)))
    assert [verdict for *_, verdict in found] == ["", "faster", "slower"]
    assert [(old.ratio, new.ratio) for _, _, old, new, _ in found] == [(1.5, 1.55), (1.5, 1.7), (1.5, 1.3)]
    assert not list(changes(result(), result(1.5)))


def test_the_latest_of_complete_runs_and_looks_is_compared(tmp_path: Path) -> None:
    folders = (tmp_path / "results", tmp_path / "looks")
    assert latest("crops", folders) is None
    for age, folder in enumerate(folders):
        folder.mkdir()
        (folder / "crops.json").write_text("{}")
        os.utime(folder / "crops.json", (age, age))
    assert latest("crops", folders) == folders[1] / "crops.json"
