"""The device that a command chooses by itself, and the names it refuses."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from jpegfreq.models import device  # noqa: E402
from jpegfreq.models.device import best_device  # noqa: E402


def test_auto_prefers_cuda_then_mps_then_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for cuda, mps, expected in ((True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda cuda=cuda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda mps=mps: mps)
        assert device._best() == expected
    assert best_device() == best_device("auto") == torch.device("cpu")


def test_a_device_that_cannot_run_is_an_error_by_name() -> None:
    assert best_device("cpu", bfloat16=True) == torch.device("cpu")
    with pytest.raises(ValueError, match="device 'gpu' cannot be used"):
        best_device("gpu")
    with pytest.raises(ValueError, match="device 'meta' with bfloat16 cannot be used"):
        best_device("meta", bfloat16=True)
