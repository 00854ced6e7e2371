"""JPEG bytes to the float32 frequency tensor, chroma upsampled as libjpeg does, against libjpeg-turbo's RGB decode.

The opponent ends with uint8 RGB in a buffer it reuses; our side with a new float32 array of four times as many bytes.
"""

from __future__ import annotations

from bench import jpegfreq_methods as ours
from bench import opponents
from bench.results import Options, Result

TENSOR = "bytes to float32 [192, H/8, W/8], fancy chroma"
CHW, HWC, DCT24 = "jpegfreq, CHW", "jpegfreq, HWC", "jpegfreq, 24 channels, HWC"


def run(result: Result, options: Options) -> None:
    from jpegfreq import TensorFormat

    baseline = opponents.turbo_rgb(opponents.opponent())
    methods = [
        baseline,
        ours.tensor(TensorFormat(), CHW),
        ours.tensor(TensorFormat(layout="HWC"), HWC),
        ours.tensor(TensorFormat(channels="24", layout="HWC"), DCT24),
    ]
    for name in ("A", "B", "C", "P"):
        if images := options.images(name):
            result.compare(TENSOR, name, images, methods, baseline=baseline.name, seconds=options.seconds)
