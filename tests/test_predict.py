"""Predictions from JPEG bytes, in Python and on the command line."""

from __future__ import annotations

import io
import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")
pytest.importorskip("safetensors")

from PIL import Image  # noqa: E402

from jpegfreq import ChannelStatistics, JpegError, TensorFormat, read_batch  # noqa: E402
from jpegfreq.cli import main  # noqa: E402
from jpegfreq.crops import center_crop_window  # noqa: E402
from jpegfreq.models import Classifier, ModelConfig, Prediction, load_model, save_model  # noqa: E402
from jpegfreq.statistics import StatisticsAccumulator  # noqa: E402
from tests.images import make_jpeg  # noqa: E402

FORMAT = TensorFormat(6, statistics=ChannelStatistics.preset("dctnet"))
CONFIG = ModelConfig("resnet18", 3, FORMAT, size=(64, 64), shorter_side=72, labels=("cat", "dog", "fish"))
PICTURES = [make_jpeg(120, 80, seed=0), make_jpeg(90, 130, seed=1, subsampling="4:2:0"), make_jpeg(70, 70, "L", seed=2)]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    torch.manual_seed(0)
    save_model(folder, CONFIG.create(), CONFIG)
    return folder


@pytest.fixture(scope="module")
def classifier(saved: Path) -> Classifier:
    return load_model(saved)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number, data in enumerate(PICTURES):
        (tmp_path / f"{number}.jpg").write_bytes(data)
    return tmp_path


def test_a_prediction_is_the_softmax_on_the_centre_crop(classifier: Classifier) -> None:
    box = center_crop_window(80, 120, (64, 64), shorter_side=72)
    tensor = torch.from_numpy(read_batch(PICTURES[:1], size=(64, 64), boxes=[box], format=FORMAT))
    with torch.no_grad():
        expected = classifier.network(tensor).softmax(1)[0].numpy()
    prediction = classifier.predict(PICTURES[0])
    assert prediction.indices == tuple(np.argsort(-expected))
    np.testing.assert_allclose(prediction.probabilities, np.sort(expected)[::-1], rtol=1e-5)
    assert prediction.labels == tuple(CONFIG.labels[index] for index in prediction.indices)
    assert prediction.label == prediction.labels[0]


def test_a_list_gives_one_prediction_per_image_for_any_batch_size(classifier: Classifier, photos: Path) -> None:
    one_by_one = [classifier.predict(data) for data in PICTURES]
    paths = [str(photos / "0.jpg"), photos / "1.jpg", PICTURES[2]]
    for batch_size in (1, 2, 64):
        for found, expected in zip(classifier.predict(paths, batch_size=batch_size), one_by_one, strict=True):
            assert found.labels == expected.labels
            assert found.probabilities == pytest.approx(expected.probabilities, rel=1e-4)
    assert classifier.predict([]) == []


def test_top_limits_the_classes(classifier: Classifier) -> None:
    assert len(classifier.predict(PICTURES[0], top=2).labels) == 2
    assert len(classifier.predict(PICTURES[0], top=9).labels) == 3
    with pytest.raises(ValueError, match="at least 1"):
        classifier.predict(PICTURES[0], top=0)


def test_layout_and_dtype_do_not_change_a_prediction(classifier: Classifier) -> None:
    expected = classifier.predict(PICTURES)
    for changes in ({"layout": "HWC"}, {"dtype": "float16"}):
        config = replace(CONFIG, format=replace(FORMAT, **changes))
        for found, wanted in zip(Classifier(config, classifier.network).predict(PICTURES), expected, strict=True):
            assert dict(zip(found.labels, found.probabilities, strict=True)) == pytest.approx(
                dict(zip(wanted.labels, wanted.probabilities, strict=True)), rel=2e-2
            )


def test_reprs_are_short(classifier: Classifier) -> None:
    assert repr(classifier) == f"Classifier({CONFIG!r})"
    prediction = Prediction(("cat", "dog", "fish", "bird"), (0.5, 0.3, 0.15, 0.05), (0, 1, 2, 3))
    assert repr(prediction) == "Prediction(cat 50.0%, dog 30.0%, fish 15.0%, and 1 more)"
    assert json.loads(json.dumps(prediction.to_dict()))["labels"] == list(prediction.labels)


def normalizing() -> TensorFormat:
    """A format with the true statistics of PICTURES."""
    total = StatisticsAccumulator()
    for tensor in read_batch(PICTURES[:2] * 2, size=(64, 64), format=TensorFormat()):
        total.update(tensor)
    return replace(FORMAT, statistics=total.statistics("PICTURES"))


@pytest.mark.parametrize("statistics", [False, True])
def test_a_model_warns_once_about_input_that_is_not_normalized(tmp_path: Path, statistics: bool) -> None:
    format = normalizing() if statistics else replace(FORMAT, statistics=None)
    config = replace(CONFIG, format=format)
    save_model(tmp_path, config.create(), config)
    raw = torch.from_numpy(read_batch(PICTURES, size=(64, 64), format=replace(format, statistics=None)))
    model = load_model(tmp_path)
    cause = "normalize it with the statistics" if statistics else "format holds no statistics"
    with pytest.warns(UserWarning, match=f"does not look normalized: its root mean square is .*{cause}"):
        model.network(raw)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.network(raw)
        model.predict(PICTURES)
        if statistics:
            load_model(tmp_path).predict(PICTURES)
            torch.compile(load_model(tmp_path).network, backend="eager", fullgraph=True)(raw)
    if not statistics:
        with pytest.warns(UserWarning, match="does not look normalized"):
            Classifier(config, config.create()).predict(PICTURES)


def test_channels_last_reaches_the_network_without_a_copy(classifier: Classifier) -> None:
    class Watch(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = classifier.network
            self.seen: list[tuple[int, ...]] = []

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            assert x.is_contiguous(memory_format=torch.channels_last)
            self.seen.append(tuple(x.shape))
            return self.inner(x)

    watch = Watch()
    Classifier(replace(CONFIG, format=replace(FORMAT, layout="HWC")), watch).predict(PICTURES)
    assert watch.seen == [(3, 6, 8, 8)]


def test_an_rgb_network_predicts_too(tmp_path: Path) -> None:
    config = replace(CONFIG, format=None, labels=())
    save_model(tmp_path, config.create(), config)
    found = load_model(tmp_path).predict(PICTURES)
    assert [sorted(prediction.labels) for prediction in found] == [["0", "1", "2"]] * 3
    assert all(sum(prediction.probabilities) == pytest.approx(1) for prediction in found)


@pytest.mark.parametrize("format", [FORMAT, None])
def test_a_damaged_file_raises_an_error_that_names_it(format: TensorFormat | None) -> None:
    config = replace(CONFIG, format=format)
    classifier = Classifier(config, config.create())
    images = [PICTURES[0], PICTURES[1][:300], PICTURES[2]]
    with pytest.raises((JpegError, ValueError)) as caught:
        classifier.predict(images)
    assert "image 1" in caught.value.__notes__[0]
    found = classifier.predict(images, errors="return")
    assert isinstance(found[1], ValueError)
    assert found[0].labels == classifier.predict(images[0]).labels
    assert found[2].labels == classifier.predict(images[2]).labels


@pytest.mark.parametrize("format", [FORMAT, None])
def test_a_png_is_classified_by_its_pixels(format: TensorFormat | None, tmp_path: Path) -> None:
    config = replace(CONFIG, format=format)
    torch.manual_seed(0)
    classifier = Classifier(config, config.create())
    with Image.open(io.BytesIO(PICTURES[0])) as image:
        image.save(tmp_path / "same.png")
    jpeg, png = classifier.predict([PICTURES[0], tmp_path / "same.png"])
    assert png.indices == jpeg.indices
    np.testing.assert_allclose(png.probabilities, jpeg.probabilities, atol=0.02)


def test_pillow_does_not_fill_in_a_damaged_jpeg(classifier: Classifier) -> None:
    """Pillow decodes it silently, but invents the rest of the image."""
    broken = bytearray(PICTURES[0])
    middle = len(broken) * 2 // 3
    broken[middle : middle + 60] = b"\x55" * 60
    with Image.open(io.BytesIO(broken)) as image:
        image.load()
    with pytest.raises(JpegError):
        classifier.predict(bytes(broken))


def test_a_missing_file_raises_an_error_that_names_it(classifier: Classifier, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.jpg"):
        classifier.predict(tmp_path / "gone.jpg")


def test_command_prints_labels(saved: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(saved), str(photos), "--top", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [Path(line.split(": ")[0]).name for line in lines] == ["0.jpg", "1.jpg", "2.jpg"]
    assert all(line.split(": ")[1].split()[0] in CONFIG.labels for line in lines)


def test_command_continues_after_a_damaged_file(saved: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "1.jpg").unlink()
    (photos / "1.jpg").symlink_to("gone")
    assert main(["predict", str(saved), str(photos)]) == 1
    assert f"\n{photos / '1.jpg'}: No such file or directory\n" in "\n" + capsys.readouterr().err
    (photos / "1.jpg").unlink()
    (photos / "1.jpg").write_bytes(PICTURES[1][:300])
    assert main(["predict", str(saved), str(photos), "--json"]) == 1
    output = capsys.readouterr()
    found = [json.loads(line) for line in output.out.splitlines()]
    assert [Path(each["file"]).name for each in found] == ["0.jpg", "2.jpg"]
    assert {each["label"] for each in found[0]["predictions"]} == set(CONFIG.labels)
    assert "1.jpg" in output.err.replace("\n", "")
    assert "1 of 3 images could not be read" in output.err


def test_command_reports_a_missing_checkpoint(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(photos), str(photos / "0.jpg")]) == 2
    assert "no checkpoint" in capsys.readouterr().err
