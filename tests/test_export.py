"""What PyTorch makes of the networks: compiled, exported, in bfloat16, in channels_last."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

from jpegfreq import TensorFormat  # noqa: E402
from jpegfreq.models import create_model  # noqa: E402

INPUT = torch.randn(4, 24, 16, 16, generator=torch.Generator().manual_seed(0))
NETWORKS = [("resnet18", False), ("resnet18", True), ("mobilenet_v2", False)]

pytestmark = pytest.mark.filterwarnings("ignore")  # what PyTorch's own exporters say of each other


def network(name: str, gated: bool) -> torch.nn.Module:
    """A network in evaluation whose statistics are those of INPUT, so that its output says something."""
    torch.manual_seed(0)
    made = create_model(name, format=TensorFormat(24), num_classes=5, gated=gated)
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        made.train()(INPUT)
        if gated:  # a new gate is wholly on: let it choose, and not on the border
            made.gate.pair.bias += torch.tensor([0.0, -3.0]).repeat(24) * (torch.arange(48) % 4 < 2)
    return made.eval()


def output(made: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = made(INPUT)
    assert found.shape == (4, 5)
    assert found.std() > 0.01
    return found


@pytest.mark.parametrize(("name", "gated"), NETWORKS)
def test_onnx_gives_the_same_logits_for_any_batch(name: str, gated: bool, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    made = network(name, gated)
    exported = torch.export.export(made, (INPUT,), dynamic_shapes=({0: torch.export.Dim("n")},))
    again = exported.module()(torch.cat([INPUT, INPUT]))
    torch.testing.assert_close(again[4:], output(made), rtol=1e-4, atol=1e-5)

    torch.onnx.export(exported, dynamo=True, verbose=False).save(tmp_path / "network.onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(tmp_path / "network.onnx", options, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: torch.cat([INPUT, INPUT]).numpy()})
    np.testing.assert_allclose(found[4:], output(made).numpy(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("name", "gated"), NETWORKS)
def test_compiles_as_one_graph(name: str, gated: bool) -> None:
    torch._dynamo.reset()
    made = network(name, gated)
    compiled = torch.compile(made, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(output(compiled), output(made), rtol=1e-4, atol=1e-5)


@pytest.mark.long
@pytest.mark.parametrize("gated", [False, True])
def test_compiles_to_machine_code(gated: bool) -> None:
    torch._dynamo.reset()
    made = network("resnet18", gated)
    torch.testing.assert_close(output(torch.compile(made, fullgraph=True)), output(made), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("name", "gated"), NETWORKS[:2])  # MobileNetV2 with random weights magnifies any rounding
def test_bfloat16_autocast_stays_close(name: str, gated: bool) -> None:
    made = network(name, gated)
    expected = output(made)
    with torch.autocast("cpu", torch.bfloat16):
        found = output(made)
    assert found.dtype == torch.bfloat16
    assert (found.float() - expected).abs().max() < 0.05 * expected.abs().max()


@pytest.mark.parametrize(("name", "gated"), NETWORKS)
def test_channels_last_changes_nothing_and_lasts(name: str, gated: bool) -> None:
    made = network(name, gated)
    expected = output(made)
    layouts: list[bool] = []
    last = [module for module in made.modules() if isinstance(module, torch.nn.Conv2d)][-1]
    last.register_forward_hook(
        lambda module, inputs, found: layouts.append(found.is_contiguous(memory_format=torch.channels_last))
    )
    with torch.no_grad():
        found = made.to(memory_format=torch.channels_last)(INPUT.to(memory_format=torch.channels_last))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert layouts == [True]


@pytest.mark.parametrize(("name", "gated"), NETWORKS)
def test_training_in_autocast_reaches_every_weight(name: str, gated: bool) -> None:
    made = network(name, gated).train()
    with torch.autocast("cpu", torch.bfloat16):
        found = made(INPUT)
        logits = found.logits if gated else found
        loss = logits.float().square().mean() + (found.gate.on_probability.mean() if gated else 0)
    loss.backward()
    for parameter, value in made.named_parameters():
        assert value.grad is not None, parameter
        assert torch.isfinite(value.grad).all(), parameter
