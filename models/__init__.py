"""Networks that take frequency tensors, their checkpoints, and what they predict.

Importing this package is cheap: PyTorch is imported when a name that needs it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from jpegfreq._extras import needs_extra

if TYPE_CHECKING:
    # `as` marks a name that is handed on.
    from jpegfreq.models import analysis as analysis
    from jpegfreq.models import checkpoint as checkpoint
    from jpegfreq.models import dense as dense
    from jpegfreq.models import frontend as frontend
    from jpegfreq.models import gate as gate
    from jpegfreq.models import networks as networks
    from jpegfreq.models import predict as predict
    from jpegfreq.models import pretrained as pretrained
    from jpegfreq.models import training as training
    from jpegfreq.models.checkpoint import CheckpointError, ModelConfig, load_model, save_model
    from jpegfreq.models.dense.frontend import WholeImage, from_rgb_dense, read_whole
    from jpegfreq.models.frontend import FrequencyNetwork, from_rgb
    from jpegfreq.models.frontend_pretrained import from_timm, from_torchvision
    from jpegfreq.models.networks.create import create_model
    from jpegfreq.models.networks.registry import architectures
    from jpegfreq.models.networks.summary import ModelSummary, model_summary
    from jpegfreq.models.predict import Classifier, Prediction
    from jpegfreq.models.pretrained import LoadedWeights, load_pretrained, load_rgb_weights, read_pretrained

# The module of each name; type checkers read the imports above.
_LAZY_NAMES = {
    "CheckpointError": "checkpoint",
    "Classifier": "predict",
    "FrequencyNetwork": "frontend",
    "LoadedWeights": "pretrained",
    "ModelConfig": "checkpoint",
    "ModelSummary": "networks.summary",
    "Prediction": "predict",
    "WholeImage": "dense.frontend",
    "architectures": "networks.registry",
    "create_model": "networks.create",
    "from_rgb": "frontend",
    "from_rgb_dense": "dense.frontend",
    "from_timm": "frontend_pretrained",
    "from_torchvision": "frontend_pretrained",
    "load_model": "checkpoint",
    "load_pretrained": "pretrained",
    "load_rgb_weights": "pretrained",
    "model_summary": "networks.summary",
    "read_pretrained": "pretrained",
    "read_whole": "dense.frontend",
    "save_model": "checkpoint",
}
_LAZY_MODULES = ("analysis", "checkpoint", "dense", "frontend", "gate", "networks", "predict", "pretrained", "training")

__all__ = [
    "CheckpointError",
    "Classifier",
    "FrequencyNetwork",
    "LoadedWeights",
    "ModelConfig",
    "ModelSummary",
    "Prediction",
    "WholeImage",
    "architectures",
    "create_model",
    "from_rgb",
    "from_rgb_dense",
    "from_timm",
    "from_torchvision",
    "load_model",
    "load_pretrained",
    "load_rgb_weights",
    "model_summary",
    "read_pretrained",
    "read_whole",
    "save_model",
]


def __getattr__(name: str) -> object:
    if name not in _LAZY_NAMES and name not in _LAZY_MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with needs_extra(f"{__name__}.{name}"):
        module = importlib.import_module(f"{__name__}.{_LAZY_NAMES.get(name, name)}")
    if name in _LAZY_MODULES:
        return module
    globals()[name] = getattr(module, name)
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY_NAMES, *_LAZY_MODULES})
