"""Models that keep running statistics: estimated anew at every point, as Garipov et al. and REPAIR do."""

from __future__ import annotations

import copy

import cases
import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from landscape.objectives import Batch, Objective, module
from landscape.paths import kind
from landscape.points import evaluate, gradients
from landscape.points.strategy import Strategy
from landscape.space import Space


def network(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(4, 7), nn.BatchNorm1d(7), nn.Tanh(), nn.Dropout(0.5),
        nn.Linear(7, 6), nn.BatchNorm1d(6), nn.Linear(6, 3),
    ).double()  # fmt: skip
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, dtype=torch.float64))
    return model


def data(seed: int, examples: int) -> Batch:
    random = cases.generator(seed)
    return {
        "inputs": 2 + 3 * torch.randn(examples, 4, generator=random, dtype=torch.float64),
        "labels": torch.randint(3, (examples,), generator=random),
    }


def cross_entropy(outputs: object, batch: Batch) -> Tensor:
    assert isinstance(outputs, Tensor)
    return nn.functional.cross_entropy(outputs, batch["labels"], reduction="none")


def objective() -> Objective:
    return module.build(network(0), data(1, 12), cross_entropy, statistics=(data(2, 20), data(3, 15)))


def ends() -> Tensor:
    return torch.stack([Space.of(network(s)).vector(dict(network(s).named_parameters())).detach() for s in (4, 5)])


@torch.no_grad()
def naive(point: Tensor, batch: Batch) -> Tensor:
    """A copy with these weights whose statistics are reset and passed over the data, in torch's own way."""
    model = copy.deepcopy(network(0))
    for name, value in Space.of(model).params(point).items():
        model.get_parameter(name).copy_(value)
    model.eval()
    for layer in model:
        if isinstance(layer, nn.BatchNorm1d):
            layer.reset_running_stats()
            layer.momentum = None
            layer.train()
    for part in (data(2, 20), data(3, 15)):
        model(part["inputs"])
    model.eval()
    return cross_entropy(model(batch["inputs"]), batch)


def test_statistics_are_those_of_each_point() -> None:
    ours, points = objective(), ends()
    before = {name: value.clone() for name, value in ours.model.state_dict().items()}
    rows = kind("linear").coefficients(torch.tensor([0.0, 0.31, 0.5, 1.0], dtype=torch.float64), list(points), ())
    found = evaluate.losses(ours, points, rows)
    for row, losses in zip(rows, found, strict=True):
        assert_close(losses, naive(row @ points, ours.batch), rtol=0, atol=1e-12)
    assert not ours.model.training and not any(m.training for m in ours.model.modules())
    assert all(torch.equal(before[name], value) for name, value in ours.model.state_dict().items())
    assert [m.momentum for m in ours.model if isinstance(m, nn.BatchNorm1d)] == [0.1, 0.1]
    some = evaluate.losses(ours, points, rows, strategy=Strategy("vmap", 3, 5))
    assert_close(some, found, rtol=0, atol=1e-12)
    part = evaluate.losses(ours.take(torch.tensor([3, 7])), points, rows)
    assert_close(part, found[:, [3, 7]], rtol=0, atol=1e-12)


def test_those_of_an_end_are_another_loss_in_the_middle() -> None:
    """So that a barrier from an end's statistics would be another number: the collapse that REPAIR mends."""
    ours, points = objective(), ends()
    middle = points.mean(dim=0)
    model = copy.deepcopy(network(0))
    with torch.no_grad():
        for name, value in Space.of(model).params(points[0]).items():
            model.get_parameter(name).copy_(value)
        for layer in model:
            if isinstance(layer, nn.BatchNorm1d):
                layer.momentum = None
        for part in ours.statistics:
            model.train()(part["inputs"])
        for name, value in Space.of(model).params(middle).items():
            model.get_parameter(name).copy_(value)
        stale = cross_entropy(model.eval()(ours.batch["inputs"]), ours.batch)
    fresh = evaluate.losses(ours, middle[None], torch.ones(1, 1))[0]
    assert float((stale - fresh).abs().mean()) > 0.1


def test_gradients_are_those_in_training_mode_without_dropout() -> None:
    ours, point = objective(), ends()[0]
    examples = torch.tensor([0, 2, 3, 5, 8, 9, 11])
    loss, gradient = gradients.value_and_grad(ours, point, examples, at_once=3)
    model = copy.deepcopy(network(0))
    for name, value in Space.of(model).params(point).items():
        model.get_parameter(name).data.copy_(value)
    for layer in model:
        layer.train(isinstance(layer, nn.BatchNorm1d))
    batch = {name: tensor[examples] for name, tensor in ours.batch.items()}
    expected = cross_entropy(model(batch["inputs"]), batch).mean()
    expected.backward()
    assert loss == pytest.approx(expected.item(), abs=1e-12)
    truth = Space.of(model).vector({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    assert_close(gradient, truth, rtol=0, atol=1e-12)
