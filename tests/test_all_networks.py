"""Every classifier of torchvision, and of timm's families, gives from coefficients what it gives from pixels."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")
pytest.importorskip("torchvision")
pytest.importorskip("timm")

from bench.networks import AIM, MUST, Row, markdown, measure, names

# With random weights these magnify float32's rounding beyond the limit, on RGB too: their own outputs in float32 lie as
# far from those in float64. So their error is held against that, and is tiny in float64.
MAGNIFIES = {"resnet152"}


@pytest.mark.long
@pytest.mark.parametrize(("source", "name"), names())
def test_outputs_equal_those_on_the_float_pixels(source: str, name: str) -> None:
    row = measure(source, name)
    assert row.tells_images_apart, row
    if name in MAGNIFIES:
        assert row.double is not None
        assert row.rounding is not None
        assert row.double < 1e-10, row
        assert row.error < 2 * row.rounding, row
    else:
        assert row.error < MUST, row


def test_the_list_has_all_of_torchvisions_classifiers_and_forty_of_timms() -> None:
    sources = [source for source, _ in names()]
    assert sources.count("torchvision") >= 80
    assert sources.count("timm") >= 40
    assert len(set(names())) == len(names())


def test_one_network_of_each_form_is_measured_every_time() -> None:
    cases = (("torchvision", "squeezenet1_1", "layer"), ("timm", "vit_tiny_patch16_224", "folded patch"))
    for source, name, form in cases:
        row = measure(source, name)
        assert row.form == form
        assert row.error < AIM
        assert row.tells_images_apart


def test_the_report_names_those_that_miss_the_aim() -> None:
    rows = [
        Row("torchvision", "alexnet", "layer", 224, 5e-7, 0.08, None, None, 1.0),
        Row("timm", "deep", "layer", 224, 2e-4, 0.4, 5e-13, 1.8e-4, 1.0),
    ]
    text = markdown(rows)
    assert "| torchvision | 1 | 1 | 1 | 0 | 5.0e-07 | 5.0e-07 |" in text
    assert "| timm | 1 | 0 | 0 | 1 | 2.0e-04 | 2.0e-04 |" in text
    assert "| deep | 2.0e-04 | 1.8e-04 | 5e-13 |" in text
    assert "| alexnet |" not in text
    assert "at least 2000 times the error (deep)" in text
