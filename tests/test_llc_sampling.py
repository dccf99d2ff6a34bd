"""Chains on models: every way to run them draws the same, and only what should move moves."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import cases
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import GPTNeoXConfig, LlamaConfig

from landscape.errors import InputError
from landscape.llc import curvature, engines, sampling
from landscape.llc.coefficient import coefficient, from_traces
from landscape.llc.langevin import Plan
from landscape.llc.parameters import chosen, names_of
from landscape.objectives import Objective, causal_lm, module
from landscape.points import gradients, recorded, strategy
from landscape.space import Space
from landscape.study.kinds.llc import Llc

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


@pytest.mark.parametrize(
    ("engine", "parameters"),
    [
        ("vmap", None), ("recorded", ("0.weight",)), pytest.param("vmap", ("0.weight",), marks=pytest.mark.slow),
        pytest.param("recorded", None, marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_chains_are_the_same_in_a_batch_and_in_sequence(
    engine: engines.Engine, parameters: tuple[str, ...] | None
) -> None:
    objective, point = perceptron()
    settings = small(parameters=parameters, keep_draws=3, draws=6, burn_in=3)
    alone, _ = sampling.sample(objective, [point, 1.1 * point], settings, [1e-4, 2e-4], engine="loop")
    batch, how = sampling.sample(objective, [point, 1.1 * point], settings, [1e-4, 2e-4], engine=engine)
    np.testing.assert_allclose(batch.losses, alone.losses, rtol=0, atol=1e-10)
    np.testing.assert_allclose(batch.distances, alone.distances, rtol=0, atol=1e-10)
    assert batch.points.shape == (6, 2, 24 if parameters else len(point))
    assert torch.allclose(batch.points, alone.points, rtol=0, atol=1e-10) and "6 chains at once" in how
    centre = point[:24] if parameters else point
    far = (batch.points[:3] - centre).norm(dim=2).numpy()
    np.testing.assert_allclose(far, batch.distances[:3, [5, 8]], rtol=1e-9)
    some, _ = sampling.sample(objective, [1.1 * point], settings, [2e-4], chains=[2], engine="loop")
    np.testing.assert_allclose(some.losses[0], alone.losses[5], rtol=0, atol=1e-10)


def test_a_language_model_too_and_each_chain_has_its_own_noise() -> None:
    objective, point = language(n_layer=1)
    alone, _ = sampling.sample(objective, [point], small(chains=2, draws=4, burn_in=0), [1e-4], engine="loop")
    batch, _ = sampling.sample(objective, [point], small(chains=2, draws=4, burn_in=0), [1e-4], engine="vmap")
    np.testing.assert_allclose(batch.losses, alone.losses, rtol=0, atol=1e-4)
    one_step = small(draws=4, burn_in=0, keep_draws=2, batch=2)
    steps, _ = sampling.sample(objective, [point], one_step, [1e-9], engine="loop")
    ways = torch.nn.functional.normalize((steps.points[:, 0] - point).double(), dim=1)
    assert (ways @ ways.T - torch.eye(3)).abs().max() < 0.1, "each chain's noise is its own"
    other, _ = sampling.sample(objective, [point], small(chains=2, draws=4, burn_in=0, seed=1), [1e-4], engine="loop")
    assert np.abs(other.losses - alone.losses)[:, 1:].min() > 0


def test_half_the_step_takes_twice_as_many() -> None:
    objective, point = perceptron()
    halved, _ = sampling.sample(objective, [point], small(chains=8, keep_draws=2), [2e-6], halved=True, engine="vmap")
    assert halved.losses.shape == (8, 32)
    far = (halved.points - point).norm(dim=2).numpy()
    np.testing.assert_allclose(far, halved.distances[:, [11, 15, 19, 23, 27, 31]], rtol=1e-9)
    whole, _ = sampling.sample(objective, [point], small(chains=8), [2e-6], engine="vmap")
    for step, size in ((1, 1e-6), (2, 2e-6)):
        spread = np.sqrt(np.mean(halved.distances[:, step] ** 2) / len(point))
        assert spread == pytest.approx(size**0.5, rel=4 / (2 * 8 * len(point)) ** 0.5), "steps of noise alone"
    spread = np.sqrt(np.mean(whole.distances[:, 1] ** 2) / len(point))
    assert spread == pytest.approx(2e-6**0.5, rel=4 / (2 * 8 * len(point)) ** 0.5)
    assert np.abs(whole.distances[:, 1] / halved.distances[:, 1] - 2**0.5).max() > 0.05, "noise of its own"


@pytest.mark.parametrize(
    ("seconds", "steps", "wanted"),
    [
        ({"loop": 3e-3, "vmap": 2e-3, "recorded": 4e-4}, 1000, "recorded"),  # 0.9 s to record: 1.3e-3 a step
        ({"loop": 3e-3, "vmap": 2e-3, "recorded": 4e-4}, 500, "vmap"),
        ({"loop": 1e-3, "vmap": 2e-3, "recorded": 4e-4}, 600, "loop"),
        ({"loop": 0.05, "vmap": 0.02, "recorded": 1e-6}, 1000, "vmap"),  # too slow for a recording to be tried
        ({"loop": 3e-3, "vmap": 2e-3, "recorded": 1e-6}, 100, "vmap"),  # too few steps
        ({"loop": 3e-3, "vmap": math.nan, "recorded": 1e-6}, 1000, "loop"),  # and vmap cannot do it
    ],
)
def test_the_way_that_takes_least_time_is_taken(
    seconds: dict[str, float], steps: int, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that only the work moves."""
    objective, point = perceptron()
    now = [5.0]

    def made(engine: engines.Engine, *rest: Any) -> Any:
        now[0] += 0.9 if engine == "recorded" else 0.0
        warm_up = [0.05]

        def work(points: Tensor, batch: Tensor) -> tuple[Tensor, Tensor]:
            if math.isnan(seconds[engine]):
                raise RuntimeError("vmap cannot do this")
            now[0] += seconds[engine] + (warm_up.pop() if warm_up else 0)
            return points[:, 0], points

        return work

    monkeypatch.setattr(engines, "value_and_grad", made)
    monkeypatch.setattr(engines.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(strategy, "TRIAL_SHARE", 0.04)
    batch = torch.arange(5).expand(3, -1)
    found, _ = engines.fastest(objective, point.repeat(3, 1), None, batch, 5, steps)
    assert found == wanted
    spent = now[0]
    found, _ = engines.fastest(objective, point.repeat(3, 1), None, batch, 5, 99)
    assert found == "loop" and now[0] == spent, "four trials are too much for 99 steps"
    assert engines.fastest(objective, point.repeat(3, 1), None, batch, 4, 1000)[0] != "recorded", "in several passes"


def test_the_way_that_was_chosen_is_taken_and_one_chain_has_nothing_to_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    objective, point = perceptron()
    asked: list[int] = []

    def chosen_way(objective: Any, full: Tensor, moving: Any, batch: Tensor, at_once: int, steps: int) -> Any:
        asked.append(steps)
        assert batch.shape == (len(full), 5) and at_once == 5
        return "vmap", engines.value_and_grad("vmap", objective, full, moving, batch, at_once)

    monkeypatch.setattr(engines, "fastest", chosen_way)
    few = {"draws": 4, "burn_in": 2}
    alone, how = sampling.sample(objective, [point], small(**few), [1e-4], engine="loop")
    assert how == "one chain after the other" and not asked
    together, how = sampling.sample(objective, [point], small(**few), [1e-4])
    assert how == "3 chains at once" and asked == [6]
    np.testing.assert_allclose(together.losses, alone.losses, rtol=0, atol=1e-10)
    sampling.sample(objective, [point], small(**few), [1e-4], halved=True)
    assert asked == [6, 12]
    for nothing in (small(chains=1, **few), small(mode="training", **few)):
        assert sampling.sample(objective, [point], nothing, [1e-4])[1] == "one chain after the other"
    assert asked == [6, 12]


def test_what_cannot_be_recorded_is_run_without(monkeypatch: pytest.MonkeyPatch) -> None:
    class Deciding(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    objective, point = perceptron(Deciding())
    batch = torch.arange(5).expand(3, -1)
    with pytest.raises(RuntimeError, match="data-dependent control flow"):
        recorded.record(objective, point.repeat(3, 1), batch)
    monkeypatch.setattr(strategy, "TRIAL_SHARE", 1.0)
    _, how = sampling.sample(objective, [point], small(draws=4, burn_in=0), [1e-5])
    assert how == "one chain after the other"


def test_a_recording_is_held_against_the_model() -> None:
    objective, point = perceptron()
    points = torch.stack([point, 1.2 * point])
    batch = torch.tensor([[1, 4, 7], [0, 2, 9]])
    losses, grads = recorded.record(objective, points, batch)(points * 0.9, batch + 1)
    for n in range(2):
        loss, gradient = gradients.value_and_grad(objective, 0.9 * points[n], batch[n] + 1)
        assert float(losses[n]) == pytest.approx(loss, abs=1e-12) and torch.allclose(grads[n], gradient, atol=1e-12)


@pytest.mark.parametrize("engine", ["loop", "vmap"])
def test_restricted_gradients_are_those_of_the_coordinates_that_move(engine: engines.Engine) -> None:
    """Of two tensors in the middle of the model, where the others are those of each chain's own checkpoint."""
    objective, point = perceptron()
    full = torch.stack([point, 1.3 * point])
    moving = chosen(objective.model, objective.space, ["2.weight", "0.bias"])
    batch = torch.tensor([[3, 8, 1], [7, 2, 29]])
    at = 0.6 * full[:, moving] + 0.1
    losses, found = engines.value_and_grad(engine, objective, full, moving, batch, 3)(at, batch)
    for n in range(2):
        whole = full[n].clone()
        whole[24:48] = at[n]
        loss, gradient = gradients.value_and_grad(objective, whole, batch[n])
        assert float(losses[n]) == pytest.approx(loss, abs=1e-12)
        assert torch.allclose(found[n], gradient[24:48], atol=1e-12)


def test_gradients_of_frozen_parameters_are_not_computed() -> None:
    objective, point = language()
    names = frozenset({"transformer.h.1.mlp.c_fc.weight"})
    whole = gradients.value_and_grad(objective, point, torch.arange(6))
    for part in (
        gradients.value_and_grad(objective, point, torch.arange(6), names=names),
        gradients.values_and_grads(objective, point[None], torch.arange(6), kind="vmap", names=names),
    ):
        found = objective.space.params(part[1].flatten())
        for name, gradient in objective.space.params(whole[1]).items():
            assert torch.allclose(found[name], gradient if name in names else torch.zeros(()), atol=1e-6)


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
    objective, point = language(n_layer=1, resid_pdrop=0.5, embd_pdrop=0.5)
    few = {"chains": 2, "draws": 4, "burn_in": 0}
    plain, dropped = small(**few), small(mode="training", **few)
    off, _ = sampling.sample(objective, [point], plain, [1e-6])
    on, _ = sampling.sample(objective, [point], dropped, [1e-6])
    again, _ = sampling.sample(objective, [point], dropped, [1e-6], chains=[1])
    bare, same = language(n_layer=1)
    without, _ = sampling.sample(bare, [same], plain, [1e-6])
    np.testing.assert_allclose(off.losses, without.losses, atol=1e-4)
    assert np.abs(on.losses - off.losses).max() > 0.05
    np.testing.assert_allclose(again.losses[0], on.losses[1], atol=1e-5)
    assert not any(part.training for part in objective.model.modules())
    values = [sampling.baseline(objective, point, s) for s in (plain, dropped)]
    full = gradients.value_and_grad(objective, point, torch.arange(20))[0]
    assert values[0] == pytest.approx(full, abs=1e-5) and abs(values[1] - values[0]) > 0.01


def test_the_baseline_with_dropout_is_a_mean_over_passes() -> None:
    """A loss that is 12 with probability 1/4 and 0 else, for each of many examples: its mean and its spread."""

    class Dropped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.tensor([1.5]))
            self.drop = nn.Dropout(0.75)

        def forward(self, x: Tensor) -> Tensor:
            return self.drop(self.w * x)[:, 0]

    objective, point = module.build(Dropped(), {"inputs": torch.full((100, 1), 2.0)}, lambda out, _: out), [1.5]
    found = [sampling.baseline(objective, torch.tensor(point), small(mode="training", seed=s)) for s in range(12)]
    sd = 12 * (0.25 * 0.75 / (100 * 8)) ** 0.5
    assert np.mean(found) == pytest.approx(3.0, abs=4 * sd / 12**0.5)
    assert np.std(found, ddof=1) == pytest.approx(sd, rel=4 / 22**0.5)
    assert found[5] == sampling.baseline(objective, torch.tensor(point), small(mode="training", seed=5))
    assert sampling.baseline(objective, torch.tensor(point), small()) == pytest.approx(3.0)


def test_the_steepest_direction_of_a_model() -> None:
    """Against the whole Hessian, and the gradients of single examples along its eigenvector."""
    objective, point = perceptron()

    def loss(at: Tensor) -> Tensor:
        params = objective.space.params(at)
        out = torch.func.functional_call(objective.model, dict(params), (objective.batch["inputs"],))
        return nn.functional.cross_entropy(out, objective.batch["labels"], reduction="none")

    values, vectors = torch.linalg.eigh(torch.autograd.functional.hessian(lambda at: loss(at).mean(), point))
    found = curvature.sharpness(objective, point, None, seed=0)
    assert found.curvature == pytest.approx(float(values[-1]), rel=0.02) and found.parameters == len(point)
    grads = torch.autograd.functional.jacobian(loss, point) @ vectors[:, -1]
    assert found.variance == pytest.approx(float(grads.var()), rel=0.05) and len(grads) == 30
    part = curvature.sharpness(objective, point, ("2.bias",), seed=0)
    hessian = torch.autograd.functional.hessian(lambda at: loss(at).mean(), point)[-3:, -3:]
    assert part.parameters == 3 and part.curvature == pytest.approx(float(torch.linalg.eigvalsh(hessian)[-1]), rel=0.01)


def test_a_batch_larger_than_the_data_and_names_of_temperatures() -> None:
    with pytest.raises(InputError, match="a batch of 5 examples is wanted and there are 4; lower batch"):
        sampling.plan(small(), 4)
    assert sampling.plan(small(sampler="rmsprop", keep_draws=3), 5) == Plan(
        sampler="rmsprop", draws=12, burn_in=4, batch=5, keep=3
    )
    assert sampling.plan(small(batch="all"), 5).batch is None
    assert sampling.inverse_temperature(small(), 100) == pytest.approx(100 / np.log(100))
    assert sampling.inverse_temperature(small(n_beta="log_batch"), 100) == pytest.approx(5 / np.log(5))
    assert sampling.inverse_temperature(small(n_beta=7.5), 100) == 7.5
    with pytest.raises(ValueError, match="a batch of two or more: ln 1 is 0"):
        small(n_beta="log_batch", batch=1)


WIDTHS = torch.tensor([20.0, 3.0, 0.4])


class Point(nn.Module):
    """A quadratic as a module with a loss of the user's own, and a number that matters to nothing."""

    def __init__(self, idle: float = 0.0) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([1.0, -2.0, 0.5]))
        self.idle = nn.Parameter(torch.tensor([idle]))

    def forward(self, x: Tensor) -> Tensor:
        return (WIDTHS * (self.w - x) ** 2).sum(dim=-1) / 2 + 0 * self.idle[0]


def bowl(idle: float = 0.0) -> tuple[Objective, Tensor, Tensor]:
    """Its objective, its point, and its 50 examples, which have their mean at the point."""
    noise = 0.02 * torch.randn(50, 3, generator=cases.generator(3))
    data = torch.tensor([1.0, -2.0, 0.5]) + noise - noise.mean(dim=0)
    return (
        module.build(Point(idle), {"inputs": data}, lambda out, _: out), torch.tensor([1.0, -2.0, 0.5, idle]), data
    )  # fmt: skip


def test_one_function_from_a_model_to_the_numbers_of_its_draws() -> None:
    """Against the loss written out at the points of the same chains, kept."""
    objective, point, data = bowl(idle=4.0)
    settings = small(draws=6, burn_in=3, batch="all", n_beta=90.0, localisation=20.0, chains=2, parameters=("w",))
    plain = coefficient(objective, point, settings)
    both = coefficient(objective, point, settings.model_copy(update={"extrapolate": True}))
    assert plain.step_size == pytest.approx(0.4 / (90 * 20 + 20), rel=1e-3) and both.step_size == plain.step_size
    kept = settings.model_copy(update={"keep_draws": 1})
    points = sampling.sample(objective, [point], kept, [plain.step_size])[0].points
    base, losses = (
        (WIDTHS * (at - data).square()).sum(dim=-1).mean(dim=-1).double() / 2 for at in (point[:3], points[:, :, None])
    )
    llc = float(90 * (losses.mean() - base))
    reach = float((points - point[:3]).double().square().sum(dim=-1).mean() * 20 / 3) ** 0.5
    assert plain.estimate.llc == pytest.approx(llc, rel=1e-4) and plain.estimate.reach == pytest.approx(reach, rel=1e-5)
    half = sampling.sample(objective, [point], settings, [plain.step_size], halved=True)[0]
    value, reached = (
        90 * (half.losses[:, 6:].mean() - float(base)),
        (np.mean(half.distances[:, 6:] ** 2) * 20 / 3) ** 0.5,
    )
    assert both.estimate.llc == pytest.approx(2 * value - llc, rel=1e-4) and np.isnan(both.step_bias)
    assert both.estimate.reach == pytest.approx(max(reach, reached), rel=1e-5)
    with pytest.raises(InputError, match="the point has shape .2,. and the model 4 parameters"):
        coefficient(objective, torch.zeros(2), settings)
    with pytest.raises(ValueError, match="has no bias of the step to take away"):
        Llc(kind="llc", sampler="mala", batch="all", extrapolate=True)
    with pytest.raises(ValueError, match="is exact on full batches only"):
        Llc(kind="llc", sampler="mala", batch=50)


def test_rounding_is_that_of_the_coordinates_that_move() -> None:
    """Next to a weight of ten million, steps of a thousandth of the others are still steps."""
    objective, point, _ = bowl(idle=1e7)
    warnings = []
    for moved in (("w",), None):
        settings = small(chains=1, draws=6, burn_in=2, n_beta=90.0, localisation=20.0, step_size=2e-4, parameters=moved)
        warnings.append(" ".join(coefficient(objective, point, settings).estimate.warnings))
    assert "than rounding can tell" not in warnings[0] and "than rounding can tell" in warnings[1]


@pytest.mark.slow
def test_one_function_from_a_model_to_its_coefficient() -> None:
    """A quadratic of known coefficient."""
    objective, point, data = bowl()
    settings = Llc(kind="llc", draws=1000, burn_in=450, batch=10, n_beta=100.0, localisation=60.0, parameters=("w",))
    found = coefficient(objective, point, settings)
    truth = float((100 * WIDTHS / (100 * WIDTHS + 60)).sum() / 2)
    assert found.low < truth < found.high and found.estimate.error < 0.12 and found.estimate.warnings == ()
    assert found.step_size == pytest.approx(0.4 / (100 * 20 + 60), rel=0.02)
    grads = 20 * data[:, 0].var() / 10 * (1 - 10 / 50) * 20
    heat = found.step_size * 100**2 * float(grads) / 4
    assert found.step_bias == pytest.approx((1 + heat) / (1 - 0.1), rel=0.003) and heat > 0.005
    both = coefficient(objective, point, settings.model_copy(update={"extrapolate": True}))
    assert abs(both.estimate.llc - truth) < 4 * both.estimate.error


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
            loss = gradients.value_and_grad(objective, full, torch.arange(30))[0]
            assert traces.losses[chain, draw] == pytest.approx(loss, abs=1e-10)
    assert np.ptp(traces.losses[:, 1:]) > 1e-3


def test_the_second_run_of_an_extrapolation_burns_in_twice_as_long() -> None:
    random = np.random.default_rng(5)
    whole, half = (2 + 0.1 * random.normal(size=(4, steps)) for steps in (300, 600))
    whole[:, :100], half[:, :200] = 50, 70
    settings = Llc(kind="llc", draws=200, burn_in=100, n_beta=40.0, localisation=50.0, extrapolate=True)
    far = np.full(4, 1.0)
    sharp = curvature.Sharpness(curvature=6.0, variance=0.0, parameters=45)
    chains = [sampling.Chain(1e-3, sharp)] * 8
    found = from_traces([(whole, far), (half, far)], 1.5, settings, chains, sharp, 500)
    values = [40 * (part[:, burn:].mean() - 1.5) for part, burn in ((whole, 100), (half, 200))]
    assert found.estimate.llc == pytest.approx(2 * values[1] - values[0]) and found.estimate.warnings == ()
    assert found.low == pytest.approx(found.estimate.llc - 1.96 * found.estimate.error, rel=1e-3)
    own = [*chains[:5], sampling.Chain(8e-4, sharp), *chains[6:]]
    (said,) = from_traces([(whole, far), (half, far)], 1.5, settings, own, sharp, 500).estimate.warnings[-1:]
    assert said == "chains took different steps: give a step size of 0.0008"


class Quartic(nn.Module):
    """``w1^2 w2^2`` in two numbers that start at 0, where nothing is curved."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(2, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return (self.w.prod() ** 2).expand(len(x))


def quartic() -> Objective:
    return module.build(Quartic(), {"inputs": torch.zeros(6, 1)}, lambda out, _: out)


def test_the_automatic_step_survives_a_point_without_curvature_and_its_bias_is_that_of_the_chains() -> None:
    """At the crossing the step would be 0.4; the curvature is twice the square of the distance along an axis."""
    objective, point = quartic(), torch.zeros(2, dtype=torch.float64)
    settings = small(chains=3, draws=60, burn_in=40, batch="all", n_beta=100.0, localisation=1.0, keep_draws=60)
    traces, chains, _ = sampling.sample_checked(objective, [point], settings, [0.0])
    assert np.isfinite(traces.losses).all() and len({chain.step_size for chain in chains}) > 1
    for chain, end in zip(chains, traces.ends, strict=True):
        x, y = end.tolist()
        hessian = np.array([[2 * y * y, 4 * x * y], [4 * x * y, 2 * x * x]])
        sharpest = np.abs(np.linalg.eigvalsh(hessian)).max()
        assert chain.sharp.curvature == pytest.approx(sharpest, rel=0.05)
        assert chain.step_size <= 2 * 0.4 / (100 * chain.sharp.curvature + 1) and chain.step_size < 0.05
    alone, (only,), _ = sampling.sample_checked(objective, [point], settings, [0.0], chains=[1])
    np.testing.assert_allclose(alone.losses[0], traces.losses[1], rtol=0, atol=1e-10)
    assert only.step_size == pytest.approx(chains[1].step_size) and torch.equal(traces.ends, traces.points[:, 0])
    found = coefficient(objective, point, settings)
    worst = max(chain.step_size * (100 * chain.sharp.curvature + 1) for chain in chains)
    assert found.step_size == pytest.approx(min(chain.step_size for chain in chains), rel=1e-3)
    assert found.step_bias == pytest.approx(1 / (1 - worst / 4) ** 2, rel=1e-3)
    given = settings.model_copy(update={"step_size": 1.0})
    lost, fixed, _ = sampling.sample_checked(objective, [point], given, [None])
    assert [chain.step_size for chain in fixed] == [1.0] * 3 and not np.isfinite(lost.losses).all()


def test_metropolis_that_accepts_nothing_gets_a_shorter_step() -> None:
    objective, point = quartic(), torch.zeros(2, dtype=torch.float64)
    settings = small(chains=1, draws=40, burn_in=20, batch="all", n_beta=1e6, localisation=1.0, sampler="mala")
    traces, (chain,), _ = sampling.sample_checked(objective, [point], settings, [0.0])
    assert np.ptp(traces.losses) > 0 and chain.step_size < 0.1 and math.isfinite(chain.sharp.curvature)
