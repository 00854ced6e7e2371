"""The demo's task: crops cut from photographs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench import demo_images
from bench.demo_images import cut_crops


def test_validation_crops_share_no_pixel_with_training_crops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_images, "TRAINING", 6)
    monkeypatch.setattr(demo_images, "VALIDATION", 3)
    pixels = np.zeros((320, 480, 3), np.uint8)
    pixels[:, 300:] = 255  # the right 3/8
    for name in ("a", "b"):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    Image.fromarray(pixels[:100]).save(tmp_path / "small.png")
    (tmp_path / "broken.png").write_bytes(b"no image")
    assert cut_crops(sorted(tmp_path.glob("*.png")), tmp_path / "crops") == ["a", "b"]
    for part, count, value in (("train", 12, 0), ("validation", 6, 255)):
        crops = list((tmp_path / "crops" / part).rglob("*.jpg"))
        assert len(crops) == count
        for crop in crops:
            found = np.asarray(Image.open(crop))
            assert found.shape == (128, 128, 3)
            assert abs(found.astype(int) - value).max() < 12
