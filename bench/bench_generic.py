"""JPEG bytes to coefficients as machines decode them that no instruction set was written for, against libjpeg-turbo.

Every ARM processor runs this code, and so does x86-64 without AVX2 or BMI2. libjpeg-turbo keeps its own vector code.
"""

from __future__ import annotations

import os

from bench.bench_coefficients import batch, one_image
from bench.results import Options, Result


def run(result: Result, options: Options) -> None:
    os.environ["JPEGFREQ_INSTRUCTION_SET"] = "generic"  # read at the first use of native code
    from jpegfreq._native import instruction_set

    if instruction_set() != "generic":
        raise SystemExit(f"the process has chosen the instruction set {instruction_set()} before this stage began")
    one_image(result, options, ("A", "B", "C", "P", "W"))
    batch(result, options, ("A", "B", "C"))
