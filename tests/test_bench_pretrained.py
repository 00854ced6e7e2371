"""The report of bench.pretrained, on made-up lines, and what its fine-tuning does to coefficients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench.pretrained_report import markdown, paired

Line = dict[str, Any]


def asked(key: str, right: str, same: str, **about: Any) -> Line:
    return {"key": key, "right": right, "same": same, "cpu_seconds": 1.0, "wall_seconds": 2.0, **about}


def tuned(row: str, seed: int, top1: float) -> Line:
    about: Line = {
        "row": row,
        "seed": seed,
        "top1": top1,
        "channels": None,
        "side": 160,
        "epochs": 1,
        "batch": 20,
        "rate": 0.02,
    }
    return {"key": f"tuned: {row}, seed {seed}", "cpu_seconds": 60.0, "wall_seconds": 99.0, **about}


def test_paired_difference_has_the_standard_error_of_the_images() -> None:
    mean, error = paired([[1, 1, 0, 1], [1, 0, 0, 1]], [0, 1, 0, 1])
    assert mean == pytest.approx(100 * np.mean([1, -0.5, 0, 0]))
    assert error == pytest.approx(100 * np.std([1, -0.5, 0, 0], ddof=1) / 2)


def test_what_is_not_measured_is_named_with_its_command() -> None:
    assert markdown([]) == "Nothing has been measured yet."
    text = markdown([asked("photos: all", "1101", "1111")])
    assert "not measured: `python -m bench.pretrained --units tuning`" in text
    assert "not measured: `python -m bench.pretrained --units gates,exchanges,answers`" in text


def test_tables_give_points_seeds_and_spread() -> None:
    lines = [
        asked("photos: RGB", "1101", "1101"),
        asked("photos: all", "1111", "1111"),
        asked("photos: preset 24", "1100", "1100", channels=list(range(24))),
        asked("photos: learned 24, seed 0", "1110", "1110", channels=list(range(24))),
        asked("photos: learned 24, seed 1", "1100", "1100", channels=list(range(24))),
        asked("photos: exchanged 24, seed 0", "1110", "1110", channels=list(range(24))),
        asked("photos: exchanged 24, seed 1", "1100", "1100", channels=list(range(24))),
        asked("photos: exchanged 24, seed 0 as int8", "0000", "0000", channels=list(range(24)), bytes_per_value=1),
        asked("photos: energy 24 as int8", "1101", "1101", channels=list(range(24)), bytes_per_value=1),
        asked("photos: energy 32", "1101", "1101", channels=list(range(32))),
        tuned("24 for the task", 0, 0.91),
        *(tuned(row, seed, top1 + seed / 100) for row, top1 in (("RGB", 0.9), ("24 learned", 0.88)) for seed in (0, 1)),
    ]
    text = markdown(lines)
    assert (
        "| top-1, 24 channels learned less all 192, photos (points) | -8 | -4 | -37.5 ± 23.9 (2 seeds: -25.0, -50.0) |"
        in text
    )
    assert "| +12.5 ± 12.5 (2 seeds: +25.0, +0.0) |" in text
    assert "| 0.12 (energy 24 as int8) |" in text
    assert "| answers equal to RGB's, Resize + CenterCrop, 600 images (%) | 98 | 99 | 75.0 (4 images) |" in text
    assert "| top-1 after fine-tuning, 24 channels learned less RGB (points) | -1 | 0 | -2.0 ± 0.0 (2 seeds) |" in text
    assert "| energy 24 as int8 | 24 | 0.12 | 75.0 | -25.0 | 75.0 |  |" in text
    assert "| learned 24, seed 0 | 24 | 0.25 | 75.0 | -25.0 | 75.0 |  |" in text
    assert "| 24 channels, for the task | 1 | 91.0 | +1.0 (1 seed) | 60 |" in text
    assert "| 24 channels, learned | 2 | 88.5 ± 0.7 | -2.0 ± 0.0 (2 seeds) | 60 |" in text


def test_mirrored_coefficients_are_those_of_the_mirrored_crop() -> None:
    torch = pytest.importorskip("torch")
    from bench.pretrained import mirrored
    from jpegfreq import read_batch
    from tests.images import make_jpeg

    jpeg = make_jpeg(64, 48)
    plain, flipped = (
        torch.from_numpy(read_batch([jpeg], size=(32, 40), boxes=[(4, 8, 32, 40)], flips=[flip]))
        for flip in (False, True)
    )
    torch.testing.assert_close(mirrored(plain), flipped, atol=1e-3, rtol=0)
    pixels = torch.arange(24).reshape(1, 3, 2, 4)
    assert torch.equal(mirrored(pixels)[0, 0, 0], torch.tensor([3, 2, 1, 0]))
