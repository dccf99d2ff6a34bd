"""Chains on models: every way to run them draws the same, and only what should move moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cases
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import GPTNeoXConfig, LlamaConfig

from landscape import gradients, recorded, strategy
from landscape.errors import InputError
from landscape.llc import curvature, engines, sampling
from landscape.llc.coefficient import coefficient, judged
from landscape.llc.parameters import chosen, names_of
from landscape.measures import Llc
from landscape.objectives import Objective, causal_lm, module
from landscape.space import Space

IDS = torch.randint(0, cases.WORDS, (20, 9), generator=cases.generator(4))


def small(**changes: Any) -> Llc:
    return Llc.model_validate({"kind": "llc", "chains": 3, "draws": 12, "burn_in": 4, "batch": 5, **changes})


def perceptron(hidden: nn.Module | None = None) -> tuple[Objective, Tensor]:
    """A small network on random inputs, and its point."""
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(4, 6), hidden or nn.Tanh(), nn.Linear(6, 3)).double()
    inputs, labels = torch.randn(30, 4).double(), torch.randint(0, 3, (30,))

    def loss(out: Any, batch: Any) -> Tensor:
        return nn.functional.cross_entropy(out, batch["labels"], reduction="none").double()

    objective = module.build(model, {"inputs": inputs, "labels": labels}, loss)
    return objective, torch.cat([p.detach().flatten() for p in model.parameters()])


def language(**changes: Any) -> tuple[Objective, Tensor]:
    model = cases.gpt2(1, **changes)
    return causal_lm.build(model, {"input_ids": IDS}), torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("kind", ["vmap", "recorded"])
@pytest.mark.parametrize("parameters", [None, ("0.weight",)])
def test_chains_are_the_same_in_a_batch_and_in_sequence(kind: engines.Kind, parameters: tuple[str, ...] | None) -> None:
    objective, point = perceptron()
    settings = small(parameters=parameters, keep_draws=3)
    alone, _ = sampling.sample(objective, [point, 1.1 * point], settings, [1e-4, 2e-4], kind="loop")
    batch, how = sampling.sample(objective, [point, 1.1 * point], settings, [1e-4, 2e-4], kind=kind)
    np.testing.assert_allclose(batch.losses, alone.losses, rtol=0, atol=1e-10)
    np.testing.assert_allclose(batch.distances, alone.distances, rtol=0, atol=1e-10)
    assert batch.points.shape == (6, 4, 24 if parameters else len(point))
    assert torch.allclose(batch.points, alone.points, rtol=0, atol=1e-10) and "6 chains at once" in how
    centre = point[:24] if parameters else point
    far = (batch.points[:3] - centre).norm(dim=2).numpy()
    np.testing.assert_allclose(far, batch.distances[:3, [6, 9, 12, 15]], rtol=1e-9)
    some, _ = sampling.sample(objective, [1.1 * point], settings, [2e-4], chains=[2], kind="loop")
    np.testing.assert_allclose(some.losses[0], alone.losses[5], rtol=0, atol=1e-10)


def test_a_language_model_too_and_each_chain_has_its_own_noise() -> None:
    objective, point = language()
    alone, _ = sampling.sample(objective, [point], small(), [1e-4], kind="loop")
    batch, _ = sampling.sample(objective, [point], small(), [1e-4], kind="vmap")
    np.testing.assert_allclose(batch.losses, alone.losses, rtol=0, atol=1e-4)
    steps, _ = sampling.sample(objective, [point], small(batch="all", burn_in=0, keep_draws=1), [1e-9], kind="loop")
    ways = torch.nn.functional.normalize((steps.points[:, 1] - point).double(), dim=1)
    assert (ways @ ways.T - torch.eye(3)).abs().max() < 0.1, "each chain's noise is its own"
    other, _ = sampling.sample(objective, [point], small(seed=1), [1e-4], kind="loop")
    assert np.abs(other.losses - alone.losses)[:, 1:].min() > 0


def test_half_the_step_takes_twice_as_many() -> None:
    objective, point = perceptron()
    halved, _ = sampling.sample(objective, [point], small(keep_draws=2), [2e-4], halved=True, kind="loop")
    assert halved.losses.shape == (3, 32) and halved.points.shape[1] == 6
    whole, _ = sampling.sample(objective, [point], small(), [2e-4], kind="loop")
    first = halved.distances[:, 1] / whole.distances[:, 1]
    assert np.abs(first - 0.5**0.5).max() < 0.35, "a step of noise goes with the root of its size"


def test_the_clock_decides_among_the_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    objective, point = perceptron()
    told: list[str] = []
    slope = engines.slope

    def watched(kind: engines.Kind, *rest: Any) -> Any:
        told.append(kind)
        return slope(kind, *rest)

    monkeypatch.setattr(engines, "slope", watched)
    monkeypatch.setattr(strategy, "TRIAL_SHARE", 0.05)
    _, how = sampling.sample(objective, [point], small(draws=200), [1e-4])
    assert told[:2] == ["loop", "vmap"] and how in ("3 chains at once, recorded", "3 chains at once",
                                                   "one chain after the other")  # fmt: skip
    told.clear()
    sampling.sample(objective, [point], small(chains=1), [1e-4])
    assert told == ["loop"], "one chain has nothing to choose"
    told.clear()
    sampling.sample(objective, [point], small(draws=30), [1e-4])
    assert set(told) == {"loop"}, "trying four steps is too much for so few"


def test_what_cannot_be_recorded_is_run_without() -> None:
    class Deciding(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    objective, point = perceptron(Deciding())
    batch = torch.arange(5).expand(3, -1)
    with pytest.raises(RuntimeError, match="data-dependent control flow"):
        recorded.record(objective, point.repeat(3, 1), batch)
    _, how = sampling.sample(objective, [point], small(draws=200), [1e-5])
    assert how == "one chain after the other"


def test_a_recording_is_held_against_the_model() -> None:
    objective, point = perceptron()
    points = torch.stack([point, 1.2 * point])
    batch = torch.tensor([[1, 4, 7], [0, 2, 9]])
    losses, slopes = recorded.record(objective, points, batch)(points * 0.9, batch + 1)
    for n in range(2):
        loss, slope = gradients.slope(objective, 0.9 * points[n], batch[n] + 1)
        assert float(losses[n]) == pytest.approx(loss, abs=1e-12) and torch.allclose(slopes[n], slope, atol=1e-12)


def test_gradients_of_frozen_parameters_are_not_computed() -> None:
    objective, point = language()
    names = frozenset({"transformer.h.1.mlp.c_fc.weight"})
    whole = gradients.slope(objective, point, torch.arange(6))
    for part in (
        gradients.slope(objective, point, torch.arange(6), names=names),
        gradients.slopes(objective, point[None], torch.arange(6), kind="vmap", names=names),
    ):
        found = objective.space.params(part[1].flatten())
        for name, slope in objective.space.params(whole[1]).items():
            assert torch.allclose(found[name], slope if name in names else torch.zeros(()), atol=1e-6)


HEADS: dict[str, tuple[Callable[[], Any], str]] = {
    "gpt2": (lambda: cases.gpt2(2), "attn.c_proj"),
    "bert": (lambda: cases.bert(2), "attention.output.dense"),
    "neox": (
        lambda: cases.auto(GPTNeoXConfig(vocab_size=60, hidden_size=24, num_hidden_layers=2, num_attention_heads=3,
                                         intermediate_size=20, max_position_embeddings=16), 2),
        "attention.dense",
    ),
    "llama": (
        lambda: cases.auto(LlamaConfig(vocab_size=60, hidden_size=24, num_hidden_layers=2, num_attention_heads=6,
                                       num_key_value_heads=3, intermediate_size=20), 2),
        "self_attn.o_proj",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HEADS)
def test_a_head_is_what_only_its_own_output_depends_on(name: str) -> None:
    """Its queries, keys and values change its part of what the output projection gets, and its columns are its own."""
    make, projection = HEADS[name]
    model = make()
    space = Space.of(model)
    point = torch.cat([p.detach().flatten() for p in model.parameters()])
    marks = torch.zeros(space.size)
    marks[chosen(model, space, ["head 1.2"])] = 1
    layer = next(m for n, m in model.named_modules() if n.endswith(projection) and ".1." in n)
    seen: list[Tensor] = []
    layer.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach().clone()))
    with torch.no_grad():
        for at in (point, point + 0.5 * marks * torch.randn(space.size, generator=cases.generator(1))):
            torch.func.functional_call(model, dict(space.params(at)), (IDS[:3],))
    heads = model.config.num_attention_heads
    moved = (seen[0] - seen[1]).abs().flatten(0, 1).amax(dim=0).view(heads, -1).amax(dim=1) > 1e-6
    shared = 2 if name == "llama" else 1  # two heads with the same keys and values
    assert moved.nonzero().flatten().tolist() == [2, 3][:shared]
    of_output = {n: m for n, m in space.params(marks).items() if projection in n and m.any()}
    ((_, own),) = of_output.items()
    columns = own if name == "gpt2" else own.T
    width = model.config.hidden_size // heads
    bias = any("bias" in n and m.any() for n, m in space.params(marks).items())
    assert marks.sum() == 4 * width * columns.shape[1] + 3 * width * bias
    assert columns.sum() == width * columns.shape[1] and bool(columns[2 * width : 3 * width].all())
    assert all("1." in n for n, m in space.params(marks).items() if m.any())


def test_parts_of_tensors_and_names_that_fit_nothing() -> None:
    model = cases.gpt2()
    space = Space.of(model)
    part = chosen(model, space, ["transformer.wte.weight[3:5, 1]", "*.ln_f.bias"])
    marks = torch.zeros(space.size)
    marks[part] = 1
    found = {name: mark.nonzero().tolist() for name, mark in space.params(marks).items() if mark.any()}
    assert found == {"transformer.wte.weight": [[3, 1], [4, 1]], "transformer.ln_f.bias": [[n] for n in range(12)]}
    assert names_of(space, part) == frozenset(found) and names_of(space, None) is None
    for wrong in ("head 0.3", "head 2.0", "*.wte.weight[99:, :]", "unembed", "*.bias[0, 0, 0]"):
        said = "the model has 2 layers of 3 heads" if "head" in wrong else "no parameter fits"
        with pytest.raises(InputError, match=said):
            chosen(model, space, [wrong])
    for nothing in ([], "*.bias"):
        with pytest.raises(InputError, match="a list of names is wanted"):
            chosen(model, space, nothing)
    with pytest.raises(ValueError, match="at least 1 item"):
        small(parameters=[])


def test_dropout_is_off_unless_asked_for_and_then_decided_by_the_seed() -> None:
    objective, point = language(resid_pdrop=0.5, embd_pdrop=0.5)
    plain, dropped = small(), small(mode="training")
    off, _ = sampling.sample(objective, [point], plain, [1e-6])
    on, _ = sampling.sample(objective, [point], dropped, [1e-6])
    again, _ = sampling.sample(objective, [point], dropped, [1e-6], chains=[1])
    without = language()
    bare, _ = sampling.sample(*((without[0], [without[1]])), plain, [1e-6])
    np.testing.assert_allclose(off.losses, bare.losses, atol=1e-4)
    assert np.abs(on.losses - off.losses).max() > 0.05
    np.testing.assert_allclose(again.losses[0], on.losses[1], atol=1e-5)
    assert not any(part.training for part in objective.model.modules())
    values = [sampling.baseline(objective, point, s) for s in (plain, dropped)]
    full = gradients.slope(objective, point, torch.arange(20))[0]
    assert values[0] == pytest.approx(full, abs=1e-5) and abs(values[1] - values[0]) > 0.01


def test_the_steepest_direction_of_a_model() -> None:
    """Against the whole Hessian, and the slopes of single examples along its eigenvector."""
    objective, point = perceptron()

    def loss(at: Tensor) -> Tensor:
        params = objective.space.params(at)
        out = torch.func.functional_call(objective.model, dict(params), (objective.batch["inputs"],))
        return nn.functional.cross_entropy(out, objective.batch["labels"], reduction="none")

    values, vectors = torch.linalg.eigh(torch.autograd.functional.hessian(lambda at: loss(at).mean(), point))
    found = curvature.steepest(objective, point, None, seed=0)
    assert found.curvature == pytest.approx(float(values[-1]), rel=0.02) and found.parameters == len(point)
    slopes = torch.autograd.functional.jacobian(loss, point) @ vectors[:, -1]
    assert found.variance == pytest.approx(float(slopes.var()), rel=0.05) and len(slopes) == 30
    part = curvature.steepest(objective, point, ("2.bias",), seed=0)
    hessian = torch.autograd.functional.hessian(lambda at: loss(at).mean(), point)[-3:, -3:]
    assert part.parameters == 3 and part.curvature == pytest.approx(float(torch.linalg.eigvalsh(hessian)[-1]), rel=0.01)


def test_a_batch_larger_than_the_data_and_names_of_temperatures() -> None:
    with pytest.raises(InputError, match="a batch of 5 examples is wanted and there are 4; lower batch"):
        sampling.plan(small(), 4)
    assert sampling.inverse_temperature(small(), 100) == pytest.approx(100 / np.log(100))
    assert sampling.inverse_temperature(small(n_beta="log_batch"), 100) == pytest.approx(5 / np.log(5))
    assert sampling.inverse_temperature(small(n_beta=7.5), 100) == 7.5
    with pytest.raises(ValueError, match="a batch of two or more: ln 1 is 0"):
        small(n_beta="log_batch", batch=1)


@pytest.mark.slow
def test_one_function_from_a_model_to_its_coefficient() -> None:
    """A quadratic of known coefficient, as a module with a loss of the user's own."""
    h = torch.tensor([20.0, 3.0, 0.4])

    class Point(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.tensor([1.0, -2.0, 0.5]))

        def forward(self, x: Tensor) -> Tensor:
            return (h * (self.w - x) ** 2).sum(dim=-1) / 2

    noise = 0.02 * torch.randn(50, 3, generator=cases.generator(3))
    data = torch.tensor([1.0, -2.0, 0.5]) + noise - noise.mean(dim=0)
    objective = module.build(Point(), {"inputs": data}, lambda out, _: out)
    settings = Llc(kind="llc", draws=2500, burn_in=1300, batch=10, n_beta=100.0, localisation=20.0)
    found = coefficient(objective, torch.tensor([1.0, -2.0, 0.5]), settings)
    truth = float((100 * h / (100 * h + 20)).sum() / 2)
    assert found.low < truth < found.high and found.estimate.error < 0.08 and found.estimate.alarms == ()
    assert found.step_size == pytest.approx(0.4 / (100 * 20 + 20), rel=0.02)
    slopes = 20 * data[:, 0].var() / 10 * (1 - 10 / 50) * 20
    heat = found.step_size * 100**2 * float(slopes) / 4
    assert found.step_bias == pytest.approx((1 + heat) / (1 - 0.1), rel=0.003) and heat > 0.005
    margin = 1.96 * found.estimate.error
    assert found.low == pytest.approx((found.estimate.llc - margin) / found.step_bias, rel=1e-3)
    both = coefficient(objective, torch.tensor([1.0, -2.0, 0.5]), settings.model_copy(update={"extrapolate": True}))
    assert abs(both.estimate.llc - truth) < 4 * both.estimate.error and np.isnan(both.step_bias)
    with pytest.raises(InputError, match="the point has shape .2,. and the model 3 parameters"):
        coefficient(objective, torch.zeros(2), settings)
    with pytest.raises(ValueError, match="has no bias of the step to take away"):
        Llc(kind="llc", sampler="mala", batch="all", extrapolate=True)


def test_the_curvature_is_that_of_the_point_and_not_of_its_neighbourhood() -> None:
    """A loss whose curvature grows a hundredfold within a thousandth of the point's length."""

    def gradient(at: Tensor) -> Tensor:
        away = at - 3.0
        return away + 1e4 * away**3

    found, _ = curvature.largest(torch.full((6,), 3.0, dtype=torch.float64), gradient, seed=2)
    assert found == pytest.approx(1.0, rel=0.05)


def test_a_restricted_chain_sees_the_loss_where_it_stands() -> None:
    """Kept points, put into the checkpoint by hand, have the losses of the trace."""
    objective, point = perceptron()
    settings = small(parameters=("0.weight",), batch="all", burn_in=0, keep_draws=1)
    traces, _ = sampling.sample(objective, [point], settings, [1e-3])
    for chain in range(3):
        for draw in (0, 1, 7):
            full = point.clone()
            full[:24] = traces.points[chain, draw]
            loss = gradients.slope(objective, full, torch.arange(30))[0]
            assert traces.losses[chain, draw] == pytest.approx(loss, abs=1e-10)
    assert np.ptp(traces.losses[:, 1:]) > 1e-3


def test_the_second_run_of_an_extrapolation_burns_in_twice_as_long() -> None:
    random = np.random.default_rng(5)
    whole, half = (2 + 0.1 * random.normal(size=(4, steps)) for steps in (300, 600))
    whole[:, :100], half[:, :200] = 50, 70
    settings = Llc(kind="llc", draws=200, burn_in=100, n_beta=40.0, localisation=50.0, extrapolate=True)
    far = np.full(4, 1.0)
    sharp = curvature.Steepest(1.0, 0.0, 100)
    found = judged([(whole, far), (half, far)], 1.5, settings, 1e-2, sharp, 500)
    values = [40 * (part[:, burn:].mean() - 1.5) for part, burn in ((whole, 100), (half, 200))]
    assert found.estimate.llc == pytest.approx(2 * values[1] - values[0]) and found.estimate.alarms == ()
    assert found.low == pytest.approx(found.estimate.llc - 1.96 * found.estimate.error, rel=1e-3)
