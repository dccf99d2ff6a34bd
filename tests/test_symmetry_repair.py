"""REPAIR: units get back the mean and deviation that lie between those of the ends."""

from __future__ import annotations

import pytest
import torch
from architectures import build, digits, point
from torch import Tensor

from landscape.errors import InputError
from landscape.objectives import Objective
from landscape.points.evaluate import losses
from landscape.symmetry import align
from landscape.symmetry.group import move
from landscape.symmetry.repair import layers_of, repaired
from landscape.symmetry.settings import AlignSettings
from landscape.symmetry.tables import table_of


def ends(one: Objective, two: Objective) -> Tensor:
    table = table_of(one.model)
    found = align.align(table, [lambda: point(one), lambda: point(two)], "weights", AlignSettings(), one)[1]
    return torch.stack([point(one), move.moved(table, one.space, point(two), found.move)])


def written(objective: Objective, at: Tensor, layers: list[str]) -> dict[str, Tensor]:
    """What layers write on all examples, by running the modules by hand."""
    params = objective.space.params(at)
    out, x = {}, objective.batch["inputs"]
    for name, module in objective.model.named_children():
        if f"{name}.weight" in params:
            x = torch.nn.functional.linear(x, params[f"{name}.weight"], params[f"{name}.bias"])
            if name in layers:
                out[name] = x.double()
        else:
            x = module(x)
    return out


@pytest.mark.parametrize("t", [0.3, 0.5])
def test_units_have_the_moments_between_those_of_the_ends(t: float) -> None:
    one, two = digits(0), digits(1)
    both = ends(one, two)
    layers = list(layers_of(table_of(one.model), one.model))
    assert layers == ["0", "2"]  # the last layer writes classes
    (here,) = repaired(one, table_of(one.model), both, [t])
    found, first, last = (written(one, p, layers) for p in (here, both[0], both[1]))
    for name in layers:
        for moment in (lambda v: v.mean(dim=0), lambda v: v.std(dim=0, correction=0)):
            goal = (1 - t) * moment(first[name]) + t * moment(last[name])
            torch.testing.assert_close(moment(found[name]), goal, rtol=2e-4, atol=2e-4)


def test_the_ends_stay() -> None:
    one, two = digits(0), digits(1)
    both = ends(one, two)
    torch.testing.assert_close(repaired(one, table_of(one.model), both, [0.0, 1.0]), both, rtol=1e-4, atol=1e-4)


def test_the_barrier_of_a_network_without_norms_falls() -> None:
    """Repaired on some examples and judged on others."""
    one, two = digits(0), digits(3)
    both = ends(one, two)
    fitting, judged = one.take(torch.arange(200)), one.take(torch.arange(200, 400))
    (mended,) = repaired(fitting, table_of(one.model), both, [0.5])
    plain = both.mean(dim=0)
    found = losses(judged, torch.stack([plain, mended]), torch.eye(2, dtype=torch.float64)).mean(dim=1)
    assert float(found[1]) < float(found[0])


def test_a_unit_that_is_constant_in_the_middle_gets_its_mean_and_no_more() -> None:
    """Its weights at the ends cancel: there is no deviation to blow up."""
    one = build("mlp gelu")
    both = torch.stack([point(one), point(build("mlp gelu", 1))])
    ends = [one.space.params(end) for end in both]
    ends[1]["0.weight"][3] = -ends[0]["0.weight"][3]
    both = torch.stack([one.space.vector(end) for end in ends])
    (here,) = repaired(one, table_of(one.model), both, [0.5])
    found, first, last = (written(one, p, ["0", "2"]) for p in (here, both[0], both[1]))
    torch.testing.assert_close(found["0"][:, 3], ((first["0"] + last["0"]) / 2)[:, 3].mean().expand(40))
    goal = (first["2"].std(dim=0, correction=0) + last["2"].std(dim=0, correction=0)) / 2
    torch.testing.assert_close(found["2"].std(dim=0, correction=0), goal, rtol=2e-4, atol=2e-4)


def test_what_is_added_to_the_stream_is_left_alone() -> None:
    model = build("gpt2 untied").model
    wanted = [f"transformer.h.{n}.{name}" for n in range(2) for name in ("attn.c_attn", "mlp.c_fc")]
    assert list(layers_of(table_of(model), model)) == wanted


def test_convolutions_are_repaired_by_channel() -> None:
    one, two = build("vgg", 0), build("vgg", 5)
    both = torch.stack([point(one), point(two)])
    layers = layers_of(table_of(one.model), one.model)
    (mended,) = repaired(one, table_of(one.model), both, [0.4])
    caught = {}
    for which, at in (("first", both[0]), ("last", both[1]), ("mended", mended)):
        from torch.func import functional_call

        def keep(_: object, inputs: object, output: Tensor, which: str = which) -> None:
            caught[which] = output.double()

        handle = one.model.get_submodule("0").register_forward_hook(keep)
        functional_call(one.model, one.space.params(at), (one.batch["inputs"],))
        handle.remove()
    deviation = {which: value.std(dim=(0, 2, 3), correction=0) for which, value in caught.items()}
    assert list(layers) == ["0", "3", "7"]
    torch.testing.assert_close(
        deviation["mended"], 0.6 * deviation["first"] + 0.4 * deviation["last"], rtol=1e-4, atol=1e-4
    )


def test_a_model_with_nothing_to_repair_gets_a_sentence() -> None:
    objective = build("llama")
    with pytest.raises(InputError, match="table llama has no layer with a bias that feeds units"):
        repaired(objective, table_of(objective.model), torch.stack([point(objective)] * 2), [0.5])
