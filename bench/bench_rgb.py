"""The cost of decoding the same bytes to RGB: how much of it coefficients save, and which decoder is the fastest."""

from __future__ import annotations

from bench import jpegfreq_methods as ours
from bench import opponents
from bench.results import Options, Result

DECODERS = "decoders to RGB, coefficients beside them"


def run(result: Result, options: Options) -> None:
    turbo = opponents.opponent()
    for name in ("A", "B", "C", "P"):
        if images := options.images(name):
            baseline = opponents.turbo_coefficients(turbo)
            methods = [
                baseline,
                ours.coefficients(),
                opponents.turbo_rgb(turbo),
                *opponents.available(opponents.RGB_DECODERS, images),
            ]
            result.compare(DECODERS, name, images, methods, baseline=baseline.name, seconds=options.seconds)
