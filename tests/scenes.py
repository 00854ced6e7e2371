"""A small folder of images with boxes and masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from jpegfreq import ChannelStatistics, TensorFormat
from jpegfreq.models.dense.scenes import COCO_THINGS, Scene, read_scenes
from jpegfreq.torch import Images, file_list

FORMAT = TensorFormat(6, statistics=ChannelStatistics((0.0,) * 192, (100.0,) * 192, "made up"))


def scene_folder(root: Path, sizes: tuple[tuple[int, int], ...] = ((64, 96), (96, 64))) -> Path:
    """Write images of the given (height, width), each with a bright rectangle of class 0 and a dark one of class 2."""
    for kind in ("images", "masks", "boxes"):
        (root / kind).mkdir(parents=True)
    for number, (height, width) in enumerate(sizes):
        noise = np.random.default_rng(number).integers(0, 5, (height, width, 3), np.uint8)  # every channel varies
        pixels = 126 + noise
        mask = np.zeros((height, width), np.uint8)
        lines = []
        for kind, value, (top, left, bottom, right) in (
            (0, 250, (height // 8, width // 8, height // 2, width // 2)),
            (2, 10, (height // 2, width // 2, height - height // 8, width - width // 8)),
        ):
            pixels[top:bottom, left:right] = value + noise[top:bottom, left:right]
            mask[top:bottom, left:right] = COCO_THINGS[kind]
            centre = ((left + right) / 2 / width, (top + bottom) / 2 / height)
            lines.append(f"{kind} {centre[0]} {centre[1]} {(right - left) / width} {(bottom - top) / height}")
        Image.fromarray(pixels).save(root / "images" / f"{number}.jpg", quality=95, subsampling=0)
        Image.fromarray(mask).save(root / "masks" / f"{number}.png")
        (root / "boxes" / f"{number}.txt").write_text("\n".join(lines) + "\n")
    return root


def images_of(root: Path) -> Images:
    """List the same images without boxes and masks."""
    scenes = read_scenes(root)
    return file_list([scene.image for scene in scenes], [0] * len(scenes))


def tiny_scenes(root: Path) -> tuple[Scene, ...]:
    return read_scenes(scene_folder(root))
