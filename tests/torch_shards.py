"""Run by torchrun in two processes: writes down which images the loader of each process hands out."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch.distributed

from jpegfreq import TensorFormat
from jpegfreq.sources.images import open_images
from jpegfreq.torch import FrequencyDataset, FrequencyLoader, TrainingView

torch.distributed.init_process_group("gloo")
dataset = FrequencyDataset(open_images(sys.argv[1]), TrainingView((16, 16)), format=TensorFormat(6))
loader = FrequencyLoader(dataset, 3)
epochs = [[batch.indices.tolist() for batch in loader] for _ in range(2)]
torch.distributed.barrier()
Path(sys.argv[2], f"{os.environ['RANK']}.json").write_text(json.dumps(epochs))
torch.distributed.destroy_process_group()
