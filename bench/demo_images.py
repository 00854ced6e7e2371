"""The demo's images: photographs that come with installed packages, and a small task made from them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np

CROP = 128  # pixels, of a crop's sides
CLASSES = 12
TRAINING, VALIDATION = 48, 12  # crops of each photograph


def collect_photographs(folder: Path) -> Path:
    """Copy the photographs of scikit-image and scikit-learn; PNGs become JPEGs of quality 90, 4:2:0."""
    from PIL import Image

    names = {
        ("skimage", "data"): "astronaut.png camera.png chelsea.png coffee.png coins.png hubble_deep_field.jpg "
        "ihc.png motorcycle_left.png retina.jpg rocket.jpg",
        ("sklearn", "datasets/images"): "china.jpg flower.jpg",
    }
    folder.mkdir(parents=True, exist_ok=True)
    for (package, inner), files in names.items():
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            continue
        for name in files.split():
            source = Path(spec.origin).parent / inner / name
            target = folder / f"{source.stem}.jpg"
            if not source.exists() or target.exists():
                continue
            if source.suffix == ".jpg":
                shutil.copyfile(source, target)
            else:
                Image.open(source).convert("RGB").save(target, quality=90, subsampling="4:2:0")
    return folder


def cut_crops(files: Sequence[Path], folder: Path, *, seed: int = 0) -> list[str]:
    """Cut crops for a small task: to recognize which photograph a crop comes from.

    A crop's side is 3/8 to all of a photograph's shorter side. Crops are resized to 128 x 128 px and encoded as JPEG.
    The training crops come from the left 5/8 of a photograph and the validation crops from the right 3/8, so that they
    share no pixel.

    Args:
        files: photographs; the first twelve that are large enough are used.
        folder: where train/NAME/*.jpg and validation/NAME/*.jpg are written.
        seed: decides where the crops are.

    Returns:
        The photographs' names.
    """
    from PIL import Image

    shutil.rmtree(folder, ignore_errors=True)
    random = np.random.default_rng(seed)
    names: list[str] = []
    for file in files:
        if len(names) == CLASSES:
            break
        try:
            with Image.open(file) as image:
                pixels = image.convert("RGB")
        except (OSError, ValueError, SyntaxError):
            continue
        if min(pixels.size) < 2 * CROP or file.stem in names:
            continue
        names.append(file.stem)
        border = round(0.625 * pixels.width)
        parts = {"train": (0, border, TRAINING), "validation": (border, pixels.width, VALIDATION)}
        for part, (left, right, count) in parts.items():
            target = folder / part / file.stem
            target.mkdir(parents=True)
            longest = min(right - left, pixels.height)
            for n in range(count):
                side = int(random.integers(min(3 * min(pixels.size) // 8, longest), longest + 1))
                x = left + int(random.integers(0, right - left - side + 1))
                y = int(random.integers(0, pixels.height - side + 1))
                crop = pixels.resize((CROP, CROP), Image.Resampling.LANCZOS, (x, y, x + side, y + side))
                crop.save(target / f"{n:02}.jpg", quality=90, subsampling="4:2:0")
    return names
