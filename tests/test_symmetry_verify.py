"""Wrong tables and wrong outputs are refused, and what is at fault is named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from architectures import build, perceptron, point, some
from cases import gpt2
from torch import Tensor, nn

from landscape.errors import InputError
from landscape.objectives import Objective, module
from landscape.symmetry import verify
from landscape.symmetry.exact import Float64
from landscape.symmetry.group import canonical, move
from landscape.symmetry.group.element import draw
from landscape.symmetry.group.move import Move
from landscape.symmetry.group.table import Axis, Fused, Group, Part, Table
from landscape.symmetry.tables import bert, chain, llama, table_of


def wrong(model: Any, table: Any, mistake: str) -> Table:
    """A table with one planted mistake."""
    right = table(model, "all")
    pieces = list(right.pieces)
    names = [piece.parameter for piece in pieces]

    def put(parameter: str, *axes: Axis | None) -> None:
        pieces[names.index(parameter)] = replace(pieces[names.index(parameter)], axes=axes)

    groups = dict(right.groups)
    match mistake:
        case "a forgotten bias":
            put("bert.encoder.layer.1.intermediate.dense.bias", None)
        case "a forgotten norm":
            put("bert.embeddings.LayerNorm.bias", None)
        case "classes permuted":
            groups["classes"] = Group("classes", 3)
            put("classifier.weight", Axis("classes"), Axis("pooler", "unit", dual=True))
            put("classifier.bias", Axis("classes"))
        case "heads crossed":
            groups["0.heads"] = replace(groups["0.heads"], blocks=6, parts=(
                Part("qk", 2, "linear"), Part("vo", 2, "linear")))  # fmt: skip
        case "a rotary pair split":
            groups["1.heads"] = replace(groups["1.heads"], parts=(Part("qk", 6, "linear"), Part("vo", 6, "linear")))
        case "keys turned like queries":
            put("bert.encoder.layer.0.attention.self.key.weight", Axis("0.heads", "qk"), Axis("stream"))
    return replace(right, groups=groups, pieces=tuple(pieces))


@pytest.mark.parametrize(
    ("name", "make", "mistake", "fault"),
    [
        ("bert", bert.table, "a forgotten bias", "1.ffn"),
        ("bert", bert.table, "a forgotten norm", "stream"),
        ("bert classifier", bert.table, "classes permuted", "classes"),
        ("bert", bert.table, "heads crossed", "0.heads"),
        ("llama", llama.table, "a rotary pair split", "1.heads"),
        ("bert", bert.table, "keys turned like queries", "0.heads"),
    ],
)
def test_a_wrong_table_is_refused_and_the_group_is_named(name: str, make: Any, mistake: str, fault: str) -> None:
    objective = build(name)
    right, bad = make(objective.model, "all"), wrong(objective.model, make, mistake)
    here = point(objective)

    def checked(table: Table) -> verify.Checked:
        known = canonical.gains(table, objective.space.params(here))
        return verify.require_same(objective, table, here, Move(draw(table, some(2), stretch=True), known))

    found = checked(right)
    assert found.difference <= found.tolerance < 1e-8 and not found.groups
    with pytest.raises(InputError, match=rf"the symmetry table {right.name} is wrong.*at fault: {fault} \(\d"):
        checked(bad)


def test_a_small_mistake_is_seen_too() -> None:
    """A bias of 1e-5 that is forgotten changes outputs by less than float32 could tell."""
    objective = build("mlp relu")
    here = point(objective)
    params = objective.space.params(here)
    params["2.bias"].mul_(1e-5)
    table = table_of(objective.model)
    bad = replace(table, pieces=tuple(replace(p, axes=(None,)) if p.parameter == "2.bias" else p for p in table.pieces))
    with pytest.raises(InputError, match="at fault: 2 "):
        verify.require_same(objective, bad, here, Move(draw(bad, some(0), stretch=False), {}))


def several(seed: int = 0) -> tuple[Objective, Table, Tensor, Move]:
    """A chain of five layers whose table forgets all biases, with a move of it."""
    objective = build("mlp tanh")
    model = perceptron(nn.Tanh, seed, (9, 8, 7, 6, 5, 4))
    objective = module.build(
        model, objective.batch, lambda out, part: F.cross_entropy(out, part["labels"], reduction="none")
    )
    table = table_of(model)
    bad = replace(table, pieces=tuple(replace(p, axes=(None,)) if "bias" in p.parameter else p for p in table.pieces))
    return objective, bad, point(objective), Move(draw(bad, some(1), stretch=True), {})


def test_the_largest_difference_is_told_and_the_worst_groups_are_named() -> None:
    """Against a forward pass by hand, in float64, of two examples."""
    objective, bad, here, planted = several()

    def by_hand(params: dict[str, Tensor]) -> Tensor:
        x = objective.batch["inputs"][:2].double()
        for n in range(0, 9, 2):
            x = F.linear(x.tanh() if n else x, params[f"{n}.weight"].double(), params[f"{n}.bias"].double())
        return F.cross_entropy(x, objective.batch["labels"][:2], reduction="none")

    params = objective.space.params(here.double())

    def apart(change: Move) -> float:
        return float((by_hand(move.moved_params(bad, params, change)) - by_hand(params)).abs().max())

    with pytest.raises(InputError, match="is wrong for this model") as caught:
        verify.require_same(objective, bad, here, planted)
    alone = {name: apart(Move({name: change}, {})) for name, change in planted.element.items()}
    worst = sorted(alone, key=lambda name: alone[name], reverse=True)[:3]
    assert len(alone) == 4 and str(caught.value).endswith(", ".join(f"{name} ({alone[name]:.2g})" for name in worst))
    assert f"changes the outputs by {apart(planted):.2g} where" in str(caught.value)


def test_outputs_that_are_no_numbers_do_not_pass() -> None:
    objective = build("mlp relu")
    here, table = point(objective), table_of(objective.model)
    here[3] = torch.nan
    with pytest.raises(InputError, match="changes the outputs by nan where"):
        verify.require_same(objective, table, here, Move(draw(table, some(0), stretch=True), {}))


def test_the_tolerance_grows_with_the_worst_stretch() -> None:
    table = table_of(build("gpt2").model)
    element = draw(table, some(1), stretch=True)
    conditions = [torch.linalg.cond(maps) for change in element.values() for maps in change.maps.values()]
    assert verify.stretch(element) == pytest.approx(float(torch.cat([c.reshape(-1) for c in conditions]).max()))
    assert verify.stretch({}) == 1


def test_whoever_asks_for_float32_gets_float64() -> None:
    x = torch.randn(2, 3, generator=some(0), dtype=torch.float64)
    with Float64():
        found = [x.float(), x.to(torch.float32), torch.softmax(x, -1, dtype=torch.float32), x.sum(dtype=torch.float32)]
        whole = x.to(dtype=torch.int64)
    assert all(value.dtype == torch.float64 for value in found) and whole.dtype == torch.int64
    assert torch.equal(found[0], x) and x.float().dtype == torch.float32


def test_lines_that_do_not_fit_are_refused() -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.GELU(), nn.Linear(6, 3))
    lines: dict[str, str | Fused] = {"0.weight": "h -", "0.bias": "h", "2.weight": "- h", "2.bias": "-"}
    Table.of("mine", model, [Group("h", 6)], lines)
    with pytest.raises(InputError, match=r"mine has no line for the parameter '2.bias' \(3,\)"):
        Table.of("mine", model, [Group("h", 6)], {k: v for k, v in lines.items() if k != "2.bias"})
    with pytest.raises(InputError, match=r"gives '0.bias' 2 axes and it has 1"):
        Table.of("mine", model, [Group("h", 6)], lines | {"0.bias": "h -"})
    with pytest.raises(InputError, match=r"moves axis 0 of '0.weight', 6 long, by h of 4 blocks of any number"):
        Table.of("mine", model, [Group("h", 4)], lines)
    with pytest.raises(InputError, match=r"by k, and has no such group; there are h"):
        Table.of("mine", model, [Group("h", 6)], lines | {"0.bias": "k"})
    with pytest.raises(InputError, match=r"6 long, by h of 3 blocks of 3; mend its line"):
        Table.of("mine", model, [Group("h", 3, (Part("u", 3, "linear"),))], lines | {"0.weight": "h/u -"})


def test_models_without_a_table_get_a_sentence() -> None:
    with pytest.raises(InputError, match=r"there is no symmetry table for a Sequential whose 1 is a Bilinear"):
        chain.table(nn.Sequential(nn.Linear(3, 3), nn.Bilinear(3, 3, 2)), "all")
    model = gpt2()
    model.config.model_type = "mpt"
    with pytest.raises(InputError, match=r"no symmetry table for mpt; there is one for albert, bert"):
        table_of(model)
    with pytest.raises(InputError, match="has no layers to align"):
        chain.table(nn.Sequential(nn.ReLU()), "all")
