"""Networks on disk: what is read back equals what was saved, and damaged folders are refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")
pytest.importorskip("safetensors")

from jpegfreq import ChannelStatistics, TensorFormat  # noqa: E402
from jpegfreq.models import CheckpointError, ModelConfig, create_model, load_model, save_model  # noqa: E402
from jpegfreq.models.checkpoint import read_tensors  # noqa: E402

FORMAT = TensorFormat(24, layout="HWC", statistics=ChannelStatistics.preset("dctnet"))
CONFIG = ModelConfig("resnet18", 3, FORMAT, size=(64, 64), shorter_side=72, labels=("cat", "dog", "fish"))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint") / "best"
    torch.manual_seed(0)
    save_model(folder, CONFIG.create(), CONFIG)
    return folder


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    for path in saved.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def edit(folder: Path, **changes: object) -> None:
    values = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps(values))


def test_a_network_comes_back_with_its_format_and_statistics(saved: Path) -> None:
    classifier = load_model(saved)
    assert classifier.config == CONFIG
    assert not classifier.network.training
    torch.manual_seed(0)
    expected = CONFIG.create().state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in classifier.network.state_dict().items())
    assert sorted(path.name for path in saved.iterdir()) == ["config.json", "model.safetensors"]
    assert len({path.stat().st_mode for path in saved.iterdir()}) == 1  # the umask decides, for both files alike


def test_a_gated_network_comes_back_with_its_gate(tmp_path: Path) -> None:
    config = replace(CONFIG, gated=True)
    network = config.create()
    save_model(tmp_path, network, config)
    loaded = load_model(tmp_path).network.state_dict()
    assert all(torch.equal(tensor, loaded[name]) for name, tensor in network.state_dict().items())
    with pytest.raises(CheckpointError, match=r"it has no layer1\.0\.conv1\.weight"):
        save_model(tmp_path, network, CONFIG)


def test_weights_in_channels_last_come_back_the_same(tmp_path: Path) -> None:
    network = CONFIG.create().to(memory_format=torch.channels_last)
    save_model(tmp_path, network, CONFIG)
    loaded = load_model(tmp_path).network.state_dict()
    assert all(torch.equal(tensor, loaded[name]) for name, tensor in network.state_dict().items())


def test_other_files_of_the_folder_stay(copy: Path) -> None:
    (copy / "training_state.pt").write_bytes(b"state")
    save_model(copy, CONFIG.create(), CONFIG)
    assert (copy / "training_state.pt").read_bytes() == b"state"


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_missing_file_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(CheckpointError, match=f"not a checkpoint: it has no {name}"):
        load_model(copy)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "resnet999"}, "config.json: there is no architecture 'resnet999'"),
        ({"window": 7}, r"newer jpegfreq wrote it: version 1, with the fields window;"),
        ({"jpegfreq_checkpoint": 2}, r"newer jpegfreq wrote it: version 2;"),
        ({"num_classes": 4, "labels": []}, r"fc.weight of shape \(3, 512\) instead of \(4, 512\)"),
        ({"architecture": "mobilenet_v2"}, "model.safetensors does not fit config.json: it has no features"),
        ({"format": {"layers": 3}}, "config.json: format: not a tensor format"),
        ({"format": []}, "config.json: format: not a tensor format"),
        ({"size": [0, 0]}, r"config.json: size must be \(height, width\), each from 1 to 65536 pixels"),
        ({"size": [64, 64, 64]}, r"config.json: size must be \(height, width\)"),
        ({"size": 64}, "config.json: size must be a list of whole numbers, not 64"),
        ({"size": ["64", "64"]}, "config.json: size must be a list of whole numbers"),
        ({"shorter_side": "abc"}, "config.json: shorter_side must be a whole number, not 'abc'"),
        ({"num_classes": "three"}, "config.json: num_classes must be a whole number"),
        ({"format": None}, "it has no conv1.weight; no bn1.weight"),
    ],
)
def test_a_config_that_does_not_fit_the_weights_is_refused(
    copy: Path, changes: dict[str, object], message: str
) -> None:
    edit(copy, **changes)
    with pytest.raises(CheckpointError, match=message):
        load_model(copy)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"architecture": "resnet18"}'])
def test_other_json_is_not_a_config(copy: Path, text: str) -> None:
    (copy / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"config\.json"):
        load_model(copy)


def test_weights_cut_short_are_refused(copy: Path) -> None:
    data = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        load_model(copy)


def test_a_network_that_does_not_fit_its_config_is_not_saved(copy: Path) -> None:
    other = create_model("resnet18", format=TensorFormat(6), num_classes=3)
    with pytest.raises(CheckpointError, match=r"layer1\.0\.conv1\.weight"):
        save_model(copy, other, CONFIG)
    assert load_model(copy).config == CONFIG


@pytest.mark.parametrize("fail_at", [0, 1])
def test_an_interrupted_save_leaves_no_mixture(copy: Path, monkeypatch: pytest.MonkeyPatch, fail_at: int) -> None:
    calls = 0
    whole = Path.replace

    def cut(temporary: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls > fail_at:
            raise KeyboardInterrupt
        return whole(temporary, target)

    monkeypatch.setattr(Path, "replace", cut)
    other = replace(CONFIG, labels=("a", "b", "c"))
    with pytest.raises(KeyboardInterrupt):
        save_model(copy, CONFIG.create(), other)
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        load_model(copy)


def test_config_has_a_short_repr() -> None:
    text = repr(replace(CONFIG, size=(64, 32), gated=True, stride="full"))
    assert text == (
        "ModelConfig(resnet18 for 3 classes, 24 channels, height 64 x width 32 pixels of a shorter side of 72, gated, "
        "stride full)"
    )


def test_config_survives_json() -> None:
    for config in (CONFIG, replace(CONFIG, format=None, labels=()), replace(CONFIG, gated=True, stride="full")):
        assert ModelConfig.from_json(config.to_json()) == config
        assert ModelConfig.from_dict(config.to_dict()) == config
        assert json.loads(config.to_json()) == config.to_dict()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": ("one",)}, "3 classes but 1 label"),
        ({"size": (60, 64)}, "multiples of 8"),
        ({"shorter_side": 32}, "larger than a shorter_side"),
    ],
)
def test_a_config_that_contradicts_itself_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(CONFIG, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("content", [b"", b"plain text\n", b"abc", b"\x80\x04K\x01.", b"PK\x03\x04 cut"])
def test_a_file_that_torch_cannot_read_is_refused_by_name(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"weights\.pth"):
        read_tensors(path)
