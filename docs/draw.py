"""Draw docs/channels.png, the picture in README.md: `python docs/draw.py`, with the extras demo and plot.

The photograph is scikit-image's `astronaut`: Eileen Collins, taken by NASA and in the public domain.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from skimage.data import astronaut

OUT = Path(__file__).with_name("channels.png")

with TemporaryDirectory() as folder:
    photo = Path(folder) / "astronaut.jpg"
    Image.fromarray(astronaut()).save(photo, quality=90, subsampling="4:2:0")
    subprocess.run([sys.executable, "-m", "jpegfreq", "show", photo, "--out", OUT], check=True)
image = Image.open(OUT).convert("RGB")
image.thumbnail((1200, 1200), Image.Resampling.LANCZOS)
image.quantize(128).save(OUT, optimize=True)
