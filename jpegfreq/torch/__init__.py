"""Frequency tensors for PyTorch: data sets, a loader that fills whole batches, and augmentations."""

from jpegfreq._extras import needs_extra

with needs_extra(__name__):
    from jpegfreq.sources.images import Images, file_list, image_folder, list_file, tar_shards
    from jpegfreq.torch.dataset import Batch, FrequencyDataset, Stray, collate
    from jpegfreq.torch.loader import FrequencyLoader
    from jpegfreq.torch.rgb import RgbDataset
    from jpegfreq.torch.transform import BatchCollate, FrequencyTransform
    from jpegfreq.views import EvaluationView, TrainingView

__all__ = [
    "Batch",
    "BatchCollate",
    "EvaluationView",
    "FrequencyDataset",
    "FrequencyLoader",
    "FrequencyTransform",
    "Images",
    "RgbDataset",
    "Stray",
    "TrainingView",
    "collate",
    "file_list",
    "image_folder",
    "list_file",
    "tar_shards",
]
