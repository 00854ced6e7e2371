"""Networks that take int8 tensors give what they give on the float tensors that the steps stand for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")

from jpegfreq.models import ModelConfig, create_model, from_rgb, load_model, save_model  # noqa: E402
from jpegfreq.models.networks.create import architectures  # noqa: E402
from jpegfreq.store import StoredDataset  # noqa: E402
from jpegfreq.torch import EvaluationView, FrequencyDataset, FrequencyLoader, image_folder  # noqa: E402
from tests.images import make_jpeg  # noqa: E402
from tests.int8_formats import STATISTICS, floats, int8, steps_of  # noqa: E402

IMAGENET: dict[str, Any] = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def tensors(format: Any, side: int = 8) -> Any:
    """int8 tensors, and the floats that they stand for."""
    generator = torch.Generator().manual_seed(0)
    found = torch.randint(-127, 128, (2, len(format.selection), side, side), generator=generator, dtype=torch.int8)
    return found, found.float() * torch.from_numpy(steps_of(format)).float()


@pytest.mark.parametrize("statistics", [None, STATISTICS])
@pytest.mark.parametrize("name", ["layer", "folded patch", "folded stride 4"])
def test_adapted_networks_undo_the_steps(name: str, statistics: Any) -> None:
    torch.manual_seed(0)
    if name == "layer":
        original = torchvision.models.mobilenet_v3_small()
    elif name == "folded patch":
        original = torchvision.models.VisionTransformer(64, 16, 1, 2, 32, 64)
    else:
        original = torch.nn.Sequential(torch.nn.Conv2d(3, 96, 4, stride=4), torch.nn.Flatten(), torch.nn.LazyLinear(10))
        original(torch.zeros(1, 3, 64, 64))
    format = int8(24, statistics=statistics)
    made = from_rgb(original.eval(), size=64, format=format, **IMAGENET)
    plain = from_rgb(original.eval(), size=64, format=floats(format), **IMAGENET)
    assert made.form == plain.form == name
    found, values = tensors(format)
    with torch.no_grad():
        torch.testing.assert_close(made(found), plain(values), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("architecture", ["resnet18", "mobilenet_v2"])
def test_networks_of_the_library_undo_the_steps(architecture: str, gated: bool, tmp_path: Path) -> None:
    assert architecture in architectures()
    format = int8(24)
    torch.manual_seed(0)
    made = create_model(architecture, format=format, num_classes=3, gated=gated).eval()
    plain = create_model(architecture, format=floats(format), num_classes=3, gated=gated).eval()
    plain.load_state_dict(made.state_dict())
    found, values = tensors(format)
    with torch.no_grad():
        torch.testing.assert_close(made(found), plain(values), rtol=1e-3, atol=1e-3)
    save_model(tmp_path, made, ModelConfig(architecture, 3, format, (64, 64), 72, gated=gated))
    with torch.no_grad():
        torch.testing.assert_close(load_model(tmp_path).network(found), made(found))


def test_a_classifier_reads_int8_and_finds_it_normalized(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    format = int8(24)
    network = create_model("resnet18", format=format, num_classes=3)
    save_model(tmp_path / "model", network, ModelConfig("resnet18", 3, format, (64, 64), 72))
    prediction = load_model(tmp_path / "model").predict(make_jpeg(90, 80))
    assert len(prediction.probabilities) == 3
    assert not [warning for warning in recwarn if "does not look normalized" in str(warning.message)]


def test_the_loader_keeps_int8_and_reads_pixels_to_it(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "0.jpg").write_bytes(make_jpeg(90, 80))
    format = int8(24)
    dataset = FrequencyDataset(image_folder(tmp_path), EvaluationView((64, 64), 72), format=format, fallback="pixels")
    (batch,) = FrequencyLoader(dataset, 1, shuffle=False)
    assert batch.tensors.dtype == torch.int8
    from jpegfreq.torch.pixels import decode_rgb

    pixels = decode_rgb(dataset.images.read(0))
    read = dataset._from_pixels(pixels, dataset.crop(0, *pixels.shape[1:], 0))
    assert read.dtype == np.int8
    assert np.abs(read.astype(int) - batch.tensors[0].numpy()).mean() < 1


def test_training_reads_a_store_of_int8_as_floats(tmp_path: Path) -> None:
    from jpegfreq.cli import main
    from jpegfreq.models.training.inputs import _Stored

    for seed in range(3):
        path = tmp_path / "photos" / "a" / f"{seed}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make_jpeg(60, 50, seed=seed))
    STATISTICS.save(tmp_path / "statistics.json")
    words = ["convert", str(tmp_path / "photos"), "--out", str(tmp_path / "store"), "--size", "32", "--channels", "24"]
    assert main([*words, "--dtype", "int8", "--statistics", str(tmp_path / "statistics.json")]) == 0
    store = StoredDataset(tmp_path / "store")
    stored = _Stored(store, seed=0, flip=False)
    out = np.zeros(stored.batch_shape(3), np.float32)
    batch = stored.fill(stored.prepare(range(3)), out=out)
    np.testing.assert_allclose(batch.tensors[1], store[1][0] * steps_of(store.format), rtol=1e-5)
