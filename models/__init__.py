"""Networks that take frequency tensors, their checkpoints, and what they predict."""

from jpegfreq.models.checkpoint import (
    CheckpointError,
    Classifier,
    LoadedWeights,
    ModelConfig,
    load_model,
    load_rgb_weights,
    save_model,
)
from jpegfreq.models.networks.create import architectures, create_model
from jpegfreq.models.networks.summary import ModelSummary, model_summary
from jpegfreq.models.predict import Prediction

__all__ = [
    "CheckpointError",
    "Classifier",
    "LoadedWeights",
    "ModelConfig",
    "ModelSummary",
    "Prediction",
    "architectures",
    "create_model",
    "load_model",
    "load_rgb_weights",
    "model_summary",
    "save_model",
]
