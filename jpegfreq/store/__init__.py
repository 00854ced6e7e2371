"""Data sets converted once: plan, shards, manifest, and reading them back."""

from jpegfreq.failures import Failure
from jpegfreq.store.conversion import (
    INT16_STEP,
    Conversion,
    LoadedImage,
    Storage,
    StoredDataset,
    View,
    begin,
    convert_shards,
    finish,
    missing_shards,
    read_views,
)

__all__ = [
    "INT16_STEP",
    "Conversion",
    "Failure",
    "LoadedImage",
    "Storage",
    "StoredDataset",
    "View",
    "begin",
    "convert_shards",
    "finish",
    "missing_shards",
    "read_views",
]
