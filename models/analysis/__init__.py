"""What a trained network uses and what it costs: heat maps, rankings and comparisons."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # `as` marks a name that is handed on.
    from jpegfreq.models.analysis import compare as compare
    from jpegfreq.models.analysis import evaluation as evaluation
    from jpegfreq.models.analysis import frozen as frozen
    from jpegfreq.models.analysis import heatmap as heatmap
    from jpegfreq.models.analysis import needs as needs
    from jpegfreq.models.analysis import probes as probes
    from jpegfreq.models.analysis import ranking as ranking

_LAZY_MODULES = ("compare", "evaluation", "frozen", "heatmap", "needs", "probes", "ranking")


def __getattr__(name: str) -> object:
    if name not in _LAZY_MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(f"{__name__}.{name}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY_MODULES})
