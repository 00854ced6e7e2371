"""Write bench/results/segmentation.jsonl into a section of bench/README.md."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench import accuracy_report, report
from bench.accuracy_report import README, Run

MARKERS = ("<!-- segmentation: written by python -m bench.segmentation -->", "<!-- end of segmentation -->")


def write(log: Path, readme: Path = README, classification: Path | None = None) -> None:
    """Put the section between the markers.

    Args:
        log: the log of bench.segmentation.
        readme: the file with the markers.
        classification: the log of bench.accuracy, whose heat maps are shown for comparison; None for the one in
            `log`'s folder.
    """
    others = accuracy_report.load(classification or log.with_name("accuracy.jsonl"))
    text = readme.read_text(encoding="utf-8")
    tables = markdown(accuracy_report.load(log), others)
    readme.write_text(report.replaced(text, tables, MARKERS), encoding="utf-8")


def markdown(runs: Sequence[Run], classification: Sequence[Run]) -> str:
    """Write scores, the heat map, and its ratios next to those of classification; of resumed runs, the last line."""
    runs = list({tuple(str(run[name]) for name in SAME): run for run in runs}.values())
    if not runs:
        return "Nothing has been trained yet."
    parts = [_table(COLUMNS, [_row(run) for run in runs])]
    heated = [run for run in runs if run.get("heat_figure")]
    if heated:
        ratios = [(f"{run['row']}, {run['data']}", run) for run in heated]
        ratios += [
            (f"{run['row']}, {run['experiment']}, seed {run['seed']}", run)
            for run in classification
            if run.get("heat_ratios")
        ]
        parts.append(_table(RATIOS, [_ratio(name, run) for name, run in ratios]))
        parts.append(f"![how often each channel is on](results/{heated[-1]['heat_figure']})")
    return "\n\n".join(parts)


SAME = ("row", "data", "side", "planned_epochs", "batch_size", "learning_rate", "seed", "weights", "target_channels")
COLUMNS = (
    "row", "images (train + validation)", "side (px)", "epochs", "start", "channels on", "mean IoU (%)",
    "correct pixels (%)", "box AP (%)", "box AP at IoU 0.5 (%)", "time (minutes)",
)  # fmt: skip
RATIOS = (
    "heat map",
    "channels on",
    "on-rate of luma / chroma",
    "on-rate of the 16 lowest / 32 highest frequencies",
)


def _row(run: Run) -> list[str]:
    scores, images = run["scores"], run["images"]
    percent = [
        f"{100 * scores[name]:.1f}" if name in scores else ""
        for name in ("mean_iou", "pixel_accuracy", "box", "box_50")
    ]
    return [
        run["row"],
        f"{images['train']} + {images['val']} of {run['data']}, {run['classes']} classes",
        f"{run['side']}",
        f"{run['epochs']} of {run['planned_epochs']}, batches of {run['batch_size']}",
        "new weights" if run["weights"] is None else f"`{run['weights']}`",
        f"{run['channels_on']:.1f} (steered to {run['target_channels']:g})" if "channels_on" in run else "192",
        *percent,
        f"{run['seconds'] / 60:.0f}",
    ]


def _ratio(name: str, run: Run) -> list[str]:
    ratios = run["heat_ratios"]
    return [
        name,
        f"{run['channels_on']:.1f}",
        accuracy_report.ratio(ratios["luma_over_chroma"]),
        accuracy_report.ratio(ratios["low_over_high"]),
    ]


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ["---", *("--:" for _ in columns[1:])]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (columns, rule, *rows))
