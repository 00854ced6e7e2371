"""The demo's images: photographs that come with installed packages."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path


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
