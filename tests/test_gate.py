"""The paper's gate: its start, its two modes, its gradient."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from jpegfreq.models.gate import ChannelGate, GatedNetwork, GatedOutput, StaticGate  # noqa: E402


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_new_gate_is_on_with_the_papers_probability() -> None:
    gate = ChannelGate(24).eval()
    decision = gate(torch.randn(5, 24, 4, 4))[1]
    torch.testing.assert_close(decision.on_probability, torch.full((5, 24), 0.8699), atol=2e-3, rtol=0)


def test_evaluation_takes_the_likelier_and_repeats_itself() -> None:
    gate = ChannelGate(8).eval()
    with torch.no_grad():
        gate.pair.bias.copy_(torch.randn(16))
    x = torch.randn(3, 8, 4, 4)
    gated, decision = gate(x)
    assert torch.equal(decision.on, (decision.on_probability > 0.5).float())
    assert torch.equal(gated, x * decision.on[:, :, None, None])
    assert torch.equal(gated, gate(x)[0])


def test_training_draws_channels_as_often_as_they_are_likely() -> None:
    gate = ChannelGate(4)
    with torch.no_grad():
        gate.pair.bias.copy_(torch.tensor([0.0, 0.0, 0.0, 2.0, 2.0, 0.0, 0.0, -1.0]))
    decision = gate(torch.randn(4000, 4, 1, 1))[1]
    assert set(decision.on.unique().tolist()) <= {0.0, 1.0}
    torch.testing.assert_close(decision.on.mean(0), decision.on_probability.mean(0), atol=0.03, rtol=0)


def test_the_task_reaches_the_gate_through_hard_decisions() -> None:
    gate = ChannelGate(4)
    gated, _ = gate(torch.randn(16, 4, 2, 2))
    gated.square().sum().backward()
    assert gate.pair.bias.grad.abs().sum() > 0
    assert gate.mix.weight.grad is not None


def test_gated_network_gives_logits_alone_in_evaluation() -> None:
    network = GatedNetwork(
        ChannelGate(6), torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(6, 3))
    )
    x = torch.randn(4, 6, 2, 2)
    output = network(x)
    assert isinstance(output, GatedOutput)
    assert output.logits.shape == (4, 3)
    assert output.gate.on.shape == (4, 6)
    assert network.eval()(x).shape == (4, 3)


@pytest.mark.parametrize("kind", [ChannelGate, StaticGate])
def test_a_channel_that_is_off_stands_at_its_mean(kind: type[ChannelGate | StaticGate]) -> None:
    gate = kind(3)
    gate.close_at(torch.tensor([5.0, -2.0, 0.5]))
    x = torch.randn(50, 3, 4, 4)
    gated, decision = gate(x)
    off = decision.on == 0
    assert off.any()
    assert torch.equal(gated[~off], x[~off])
    closed = gate.closed[None, :, None, None].expand_as(x)
    assert torch.equal(gated[off], closed[off])
    again = kind(3)
    again.load_state_dict(gate.state_dict())
    assert torch.equal(again.closed, gate.closed)


def test_a_static_gate_draws_for_each_image_and_learns_for_all() -> None:
    gate = StaticGate(4, 0.5)
    gated, decision = gate(torch.ones(2000, 4, 1, 1))
    torch.testing.assert_close(decision.on.mean(0), torch.full((4,), 0.5), atol=0.04, rtol=0)
    gated[:, 1].sum().backward()
    assert gate.log_odds.grad[1] > 0
    assert gate.log_odds.grad[[0, 2, 3]].abs().sum() == 0
    assert gate.eval()(torch.ones(2, 4, 1, 1))[1].on.shape == (2, 4)
