"""Data sets converted once: the plan, shards, the manifest, and reading a store back."""

from jpegfreq.failures import Failure
from jpegfreq.store.dataset import StoredDataset
from jpegfreq.store.manifest import begin, finish, missing_shards
from jpegfreq.store.plan import INT16_STEP, Conversion, Storage
from jpegfreq.store.shards import convert_shards

__all__ = [
    "INT16_STEP",
    "Conversion",
    "Failure",
    "Storage",
    "StoredDataset",
    "begin",
    "convert_shards",
    "finish",
    "missing_shards",
]
