"""Write bench/results/pretrained.jsonl into bench/README.md, as tables and a heat map."""

from __future__ import annotations

import json
import math
import re
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import report
from jpegfreq._words import counted

README = Path(__file__).resolve().parent / "README.md"
BEGIN, END = "<!-- pretrained: written by python -m bench.pretrained -->", "<!-- end of pretrained -->"
COMMAND = "python -m bench.pretrained --units {}"

Line = dict[str, Any]
Lines = dict[str, Line]


def load(log: Path) -> list[Line]:
    """Load the finished units, oldest first."""
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] if log.exists() else []


def write(log: Path, readme: Path = README) -> None:
    """Put the tables between the markers."""
    text = readme.read_text(encoding="utf-8")
    readme.write_text(report.replaced(text, markdown(load(log)), (BEGIN, END)), encoding="utf-8")


def markdown(found: Sequence[Line]) -> str:
    """Write the figures asked for, then a table for each kind of unit."""
    if not found:
        return "Nothing has been measured yet."
    lines = {line["key"]: line for line in found}
    parts = [_figures(lines), _answers(lines), _gates(lines), _larger(lines), _tuned(lines)]
    return "\n\n".join(part for part in parts if part)


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ["---", *["--:"] * (len(headings) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (headings, rule, *rows))


def _flags(bits: str) -> list[int]:
    return [int(bit) for bit in bits]


def _percent(bits: str) -> float:
    return 100 * statistics.mean(_flags(bits))


def _points(lines: Lines, key: str, other: str) -> float | None:
    """Return the difference of two accuracies on the photos in percentage points; None if one is missing."""
    if f"photos: {key}" not in lines or f"photos: {other}" not in lines:
        return None
    return _percent(lines[f"photos: {key}"]["right"]) - _percent(lines[f"photos: {other}"]["right"])


def paired(first: Sequence[Sequence[int]], second: Sequence[int]) -> tuple[float, float]:
    """Return the mean difference in percentage points on the same images, and its standard error over the images.

    Args:
        first: of each seed, whether each image was answered right.
        second: the same of what it is compared with, which has no seed.
    """
    differences = [statistics.mean(seeds) - one for *seeds, one in zip(*first, second, strict=True)]
    error = statistics.stdev(differences) / math.sqrt(len(differences))
    return 100 * statistics.mean(differences), 100 * error


def _learned(lines: Lines, count: int, how: str = "exchanged") -> list[Line]:
    """Return the answers on so many learned channels, a line for each seed of the gate."""
    return [line for key, line in lines.items() if re.fullmatch(rf"photos: {how} {count}, seed \d+", key)]


def _figures(lines: Lines) -> str:
    rows = []

    def add(what: str, must: str, aim: str, measured: str | None, unit: str) -> None:
        rows.append([what, must, aim, measured or f"not measured: `{COMMAND.format(unit)}`"])

    equal = [lines[key]["same"] for key in ("photos: RGB", "more: RGB") if key in lines]
    images = sum(map(len, equal))
    agreement = f"{_percent(''.join(equal)):.1f} ({images} images)" if equal else None
    add("answers equal to RGB's, Resize + CenterCrop, 600 images (%)", "98", "99", agreement, "answers,more_answers")
    full, preset = lines.get("photos: all"), lines.get("photos: preset 24")
    for count, must, aim in ((48, "-2", "-0.5"), (24, "-8", "-4")):
        what = f"top-1, {count} channels learned less all 192, photos (points)"
        add(what, must, aim, _seeds(full, _learned(lines, count)), "gates,exchanges,answers")
    what = "top-1, learned 24 less preset 24, photos, paired (points)"
    add(what, "measured", "+3", _seeds(preset, _learned(lines, 24)), "gates,exchanges,answers")
    gates = [line for key, line in lines.items() if key.startswith("gate, seed")]
    for name, what, must in (
        ("luma_over_chroma", "heat map: luma over chroma, mean p(on)", "2"),
        ("low_over_high", "heat map: 16 lowest over 32 highest, mean p(on)", "10"),
    ):
        values = ", ".join(f"{line[name]:.1f}" for line in gates)
        add(what, must, "", values or None, "gates")
    seconds = ", ".join(
        f"{line['cpu_seconds']:.0f}{' in bfloat16' if line['amp'] else ''}" for line in gates if line["threads"] == 1
    )
    add("gate, 160 steps of 20 images: seconds of CPU on one thread", "300 on two", "180", seconds or None, "gates")
    least = _least_bytes(lines)
    add(
        "bytes per image at an accuracy within 0.5 points of RGB's, photos, in int8 or float16 (RGB uint8 = 1)",
        "0.5",
        "0.25",
        least,
        "answers,int8",
    )
    for row in ("24 for the task", "24 learned"):
        what = f"top-1 after fine-tuning, {row.replace(' ', ' channels ', 1)} less RGB (points)"
        add(what, "-1", "0", _tuned_difference(lines, row) or None, "tuning")
    return _table(("figure", "must", "aim", "measured"), rows)


def _seeds(base: Line | None, learned: Sequence[Line]) -> str | None:
    """Give the mean difference in accuracy over seeds and its standard error over the images, then each seed's."""
    if base is None or not learned:
        return None
    mean, error = paired([_flags(line["right"]) for line in learned], _flags(base["right"]))
    each = ", ".join(f"{_percent(line['right']) - _percent(base['right']):+.1f}" for line in learned)
    return f"{mean:+.1f} ± {error:.1f} ({counted(len(learned), 'seed')}: {each})"


def _least_bytes(lines: Lines) -> str | None:
    """Name the smallest tensor on which the accuracy is within half a point of RGB's, and its size."""
    if "photos: RGB" not in lines:
        return None
    enough = _percent(lines["photos: RGB"]["right"]) - 0.5
    found = [
        (_bytes(line), key.removeprefix("photos: "))
        for key, line in lines.items()
        if key.startswith("photos: ") and line.get("channels") and _percent(line["right"]) >= enough
    ]
    if not found:
        return None
    size, name = min(found)
    return f"{size:.2f} ({name})"


def _bytes(line: Line) -> float:
    """Return the bytes of a tensor, float16 unless the line says otherwise, with those of uint8 pixels as 1."""
    return float(line.get("bytes_per_value", 2) * len(line["channels"]) / 64 / 3)


def _place(key: str, line: Line) -> tuple[int, str]:
    """Sort RGB first, then more channels before fewer."""
    return (-1000 if key == "photos: RGB" else -len(line.get("channels") or range(193)), key)


def _answers(lines: Lines) -> str:
    rows = []
    for key, line in sorted(lines.items(), key=lambda item: _place(*item)):
        if key.startswith("photos: "):
            what = key.removeprefix("photos: ")
            more = lines.get(f"more: {what}")
            channels = line.get("channels")
            difference = _points(lines, what, "all")
            rows.append(
                [
                    what,
                    "pixels" if what == "RGB" else str(len(channels) if channels else 192),
                    f"{_bytes(line):.2f}" if channels else "",
                    f"{_percent(line['right']):.1f}",
                    "" if difference is None else f"{difference:+.1f}",
                    f"{_percent(line['same']):.1f}",
                    f"{_percent(more['same']):.1f}" if more else "",
                ]
            )
    headings = (
        "EfficientNet-Lite0, nothing retrained", "channels", "bytes (RGB uint8 = 1)", "top-1, photos (%)",
        "less all 192 (points)", "same answers as on all 192, photos (%)", "same answers, imagenet_more (%)",
    )  # fmt: skip
    note = (
        "The photos are 200: the standard error of one accuracy is about 2 points, that of a difference on the same "
        "images less. `learned` is what a gate prefers; `exchanged` is what `jpegfreq needs` gives: the same after "
        "channels near the cut were compared one by one. Missing channels stand at their mean over imagenet_more. "
        "`leave one out` ranks by the KL divergence of the answers on 60 images without one channel. int8 has a step "
        "per channel, which the network undoes; rows that name no type were measured in float32 and count as float16."
    )
    return f"{_table(headings, rows)}\n\n{note}" if rows else ""


def _gates(lines: Lines) -> str:
    parts = []
    for key, line in lines.items():
        if key.startswith("gate, seed 0"):
            parts.append(
                f"The gate of seed 0, label-free, with {line['expected']:.1f} channels expected after {line['steps']} "
                f"steps of {line['batch']} images{', in bfloat16' if line['amp'] else ''}:\n\n"
                "![probability that a channel is on](results/pretrained-gate-0.png)"
            )
    return "\n\n".join(parts)


def _larger(lines: Lines) -> str:
    rows = [
        [
            f"EfficientNet-Lite{key.split()[-1]}, {line['side']} px",
            f"{_percent(line['rgb']):.1f}",
            f"{_percent(line['right']):.1f}",
            f"{_percent(line['same']):.1f}",
        ]
        for key, line in lines.items()
        if key.startswith("larger: ")
    ]
    return (
        _table(("network, photos", "RGB top-1 (%)", "all 192 channels (%)", "same answers (%)"), rows) if rows else ""
    )


def _runs(lines: Lines, row: str) -> dict[int, Line]:
    return {line["seed"]: line for key, line in lines.items() if key.startswith(f"tuned: {row}, seed")}


def _tuned_difference(lines: Lines, row: str) -> str:
    """Give mean and standard deviation of the difference to RGB over the seeds that both have."""
    rgb, own = _runs(lines, "RGB"), _runs(lines, row)
    points = [100 * (own[seed]["top1"] - rgb[seed]["top1"]) for seed in sorted(rgb.keys() & own.keys())]
    if not points:
        return ""
    spread = f" ± {statistics.stdev(points):.1f}" if len(points) > 1 else ""
    return f"{statistics.mean(points):+.1f}{spread} ({counted(len(points), 'seed')})"


def _tuned(lines: Lines) -> str:
    rows, any_line = [], None
    for row in ("RGB", "192", "48 learned", "24 learned", "24 preset", "24 for the task"):
        runs = _runs(lines, row)
        if runs:
            any_line = next(iter(runs.values()))
            values = [100 * line["top1"] for line in runs.values()]
            spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
            seconds = statistics.mean(line["cpu_seconds"] for line in runs.values())
            rows.append(
                [
                    row
                    if row == "RGB"
                    else f"{row} channels"
                    if row.isdigit()
                    else f"{row.replace(' ', ' channels, ', 1)}",
                    str(len(runs)),
                    f"{statistics.mean(values):.1f}{spread}",
                    "" if row == "RGB" else _tuned_difference(lines, row),
                    f"{seconds:.0f}",
                ]
            )
    if any_line is None:
        return ""
    note = (
        f"Fine-tuned on imagenette: 2000 images of 10 classes at {any_line['side']} px, {any_line['epochs']} pass in "
        f"batches of {any_line['batch']}, all weights, in bfloat16, SGD at {any_line['rate']} (the new last layer at "
        "0.02) with a cosine, flips only, batch norms with their ImageNet statistics; measured on 500 others. The size "
        "and the single pass were chosen so that 18 runs take a quarter of an hour of CPU. After ± stands the standard "
        "deviation over seeds. `learned` is the choice of the first gate above, made at 224 px; `for the task` is what "
        "the network that was fine-tuned on all channels needs on imagenette's training images at this size, found in "
        "the way of `jpegfreq needs`."
    )
    headings = ("input", "seeds", "top-1 (%)", "less RGB (points)", "seconds of CPU per run")
    return f"{_table(headings, rows)}\n\n{note}"
