"""The law of every table: what it says may change leaves the function as it is; and a wrong table does not get
through."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from architectures import ARCHITECTURES, build, point, some
from torch import Tensor, nn

from landscape.catalogue import SYMMETRY_TABLES
from landscape.errors import InputError
from landscape.objectives import Objective
from landscape.symmetry import verify
from landscape.symmetry.exact import Float64, doubled
from landscape.symmetry.group import canonical, element, move
from landscape.symmetry.group.element import Element, apply, compose, draw, inverse
from landscape.symmetry.group.groups import stream
from landscape.symmetry.group.move import Move
from landscape.symmetry.group.table import Axis, Group, Part, Piece, Table
from landscape.symmetry.search import inside
from landscape.symmetry.tables import table_of, wants_untied

FEW = ("bert", "gpt_neox", "llama", "vgg with norms", "mlp relu")


few = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in FEW else pytest.mark.slow) for name in ARCHITECTURES]
)


both = pytest.mark.parametrize(("name", "symmetry_group"), [
    pytest.param(name, symmetry_group, marks=[] if name in FEW or symmetry_group == "all" else pytest.mark.slow)
    for name in ARCHITECTURES for symmetry_group in ("all", "permutations")
])  # fmt: skip


ALONE = ("bert", "gpt2", "gpt_neox", "llama", "mistral", "qwen2", "vit", "resnet", "mlp", "vgg", "t5", "mixtral")
some_both = pytest.mark.parametrize(("name", "symmetry_group"), [
    pytest.param(name, symmetry_group, marks=[] if name in FEW or (symmetry_group == "all" and name.split()[0] in ALONE)
                 else pytest.mark.slow) for name in ARCHITECTURES for symmetry_group in ("all", "permutations")
])  # fmt: skip
EXACT = 1e-10


def fine(objective: Objective) -> dict[str, Tensor]:
    return {name: value.double() for name, value in objective.space.params(point(objective)).items()}


def other_gains(table: Table, params: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: g * (0.6 + torch.rand(g.shape, generator=some(3), dtype=g.dtype))
            for name, g in canonical.gains(table, params).items()}  # fmt: skip


@torch.no_grad()
def outputs(objective: Objective, params: dict[str, Tensor]) -> Tensor:
    with Float64():
        return verify.outputs(objective, doubled(objective.model), params)


def test_every_table_has_an_architecture_here() -> None:
    assert {name.split()[0] for name in ARCHITECTURES} - {"mlp", "vgg"} == set(SYMMETRY_TABLES)


@both
def test_any_element_leaves_the_function_alone(name: str, symmetry_group: Any) -> None:
    """With random orders, random maps that stretch, and other gains of folded norms."""
    objective = build(name)
    table, params = table_of(objective.model, symmetry_group), fine(objective)
    before = outputs(objective, params)
    for seed in range(2):
        changed = move.moved_params(
            table, params, Move(draw(table, some(seed), stretch=True), other_gains(table, params))
        )
        assert float((outputs(objective, changed) - before).abs().max()) < EXACT * max(1.0, float(before.abs().max()))
        assert max(float((changed[n] - params[n]).abs().max()) for n in params) > 0.1  # or nothing was tried


@some_both
def test_every_group_alone_moves_weights(name: str, symmetry_group: Any) -> None:
    objective = build(name)
    table, params = table_of(objective.model, symmetry_group), fine(objective)
    for group in table.groups:
        moved: set[str] = set()
        for seed in range(4):  # three channels may be drawn in their own order
            changed = apply(table, params, draw(table, some(seed), stretch=True, only=[group]))
            moved |= {n for n in params if not torch.equal(changed[n], params[n])}
        assert moved == {piece.parameter for piece in table.touching[group]}, group


@few
def test_elements_are_a_group(name: str) -> None:
    objective = build(name)
    table, params = table_of(objective.model), fine(objective)
    one, two = draw(table, some(1), stretch=True), draw(table, some(2), stretch=True)
    at_once, in_turn = apply(table, params, compose(table, two, one)), apply(table, apply(table, params, one), two)
    back = apply(table, apply(table, params, one), inverse(table, one))
    for n, value in params.items():
        torch.testing.assert_close(at_once[n], in_turn[n], rtol=0, atol=1e-12)
        torch.testing.assert_close(back[n], value, rtol=0, atol=1e-12)


@few
def test_a_wrong_line_is_seen_in_every_table(name: str) -> None:
    """Of each group, its largest weight is left as it is; the group alone then changes the outputs, and is named."""
    objective = build(name)
    table, params = table_of(objective.model), fine(objective)
    for group in table.groups:
        weights = [piece for piece in table.touching[group] if len(piece.axes) > 1] or [*table.touching[group]]
        spoilt = max(weights, key=lambda piece: float(piece.take(params).square().sum()))
        axes = tuple(None if axis and axis.group == group else axis for axis in spoilt.axes)
        bad = replace(table, pieces=tuple(replace(p, axes=axes) if p is spoilt else p for p in table.pieces))
        moves = [Move(draw(table, some(seed), stretch=True, only=[group]), {}) for seed in range(4)]
        found = [verify.check(objective, bad, point(objective), one) for one in moves]
        assert any(not one.difference <= one.tolerance and group in one.groups for one in found), group


def test_new_unit_i_is_old_unit_p_i() -> None:
    """The direction, which the law cannot tell: rows of what goes in, columns of what goes out, blocks of heads."""
    objective = build("mlp gelu")
    table, params = table_of(objective.model), fine(objective)
    order = torch.randperm(17, generator=some(0))
    change = replace(element.still(table.groups["0"]), order=order)
    out = apply(table, params, {"0": change})
    assert torch.equal(out["0.weight"], params["0.weight"][order])
    assert torch.equal(out["0.bias"], params["0.bias"][order])
    assert torch.equal(out["2.weight"], params["2.weight"][:, order])
    objective = build("gpt2")
    table, params = table_of(objective.model), fine(objective)
    order = torch.tensor([2, 0, 1])
    out = apply(table, params, {"1.heads": replace(element.still(table.groups["1.heads"]), order=order)})
    old, new = (p["transformer.h.1.attn.c_attn.weight"].reshape(12, 3, 3, 4) for p in (params, out))
    assert torch.equal(new, old[:, :, order])
    old, new = (p["transformer.h.1.attn.c_proj.weight"].reshape(3, 4, 12) for p in (params, out))
    assert torch.equal(new, old[order])


def test_maps_go_in_on_one_side_and_out_on_the_other() -> None:
    """Queries get M and keys M^-T, values M and outputs M^-1, each in the original shapes."""
    objective = build("bert")
    table, params = table_of(objective.model), fine(objective)
    change = draw(table, some(5), stretch=True, only=["0.heads"])["0.heads"]
    change = replace(change, order=torch.arange(3))
    out = apply(table, params, {"0.heads": change})
    at = "bert.encoder.layer.0.attention."
    for h in range(3):
        rows = slice(4 * h, 4 * h + 4)
        qk, vo = change.maps["qk"][h], change.maps["vo"][h]
        for name, m in (("query", qk), ("key", torch.linalg.inv(qk).T), ("value", vo)):
            torch.testing.assert_close(
                out[f"{at}self.{name}.weight"][rows], m @ params[f"{at}self.{name}.weight"][rows]
            )
            torch.testing.assert_close(out[f"{at}self.{name}.bias"][rows], m @ params[f"{at}self.{name}.bias"][rows])
        o = f"{at}output.dense.weight"
        torch.testing.assert_close(out[o][:, rows], params[o][:, rows] @ torch.linalg.inv(vo))


def test_gpt2_turns_when_its_head_is_untied_and_bert_never() -> None:
    tied, untied = build("gpt2").model, build("gpt2 untied").model
    assert table_of(tied).groups["stream"] == stream(12, rotates=False, centred=True)
    assert table_of(untied).groups["stream"] == stream(12, rotates=True, centred=True)
    assert table_of(untied, "permutations").groups["stream"].blocks == 12
    assert wants_untied(tied, "all") and not wants_untied(tied, "permutations") and not wants_untied(untied, "all")
    assert not any(wants_untied(build(name).model, "all") for name in ("bert", "bert untied"))
    for name in ("bert", "bert untied"):
        assert table_of(build(name).model).groups["stream"] == Group("stream", 12)


def test_a_tied_decoder_puts_one_order_on_both_axes() -> None:
    def line(name: str) -> tuple[Any, ...]:
        table = table_of(build(name).model)
        return next(p.axes for p in table.pieces if p.parameter == "cls.predictions.transform.dense.weight")

    assert line("bert") == (Axis("stream"), Axis("stream"))
    assert line("bert untied") == (Axis("decoder"), Axis("stream"))


@pytest.mark.parametrize("kind", inside.PART_KINDS)
def test_the_best_map_is_better_than_any_drawn(kind: Any) -> None:
    part = Part(
        "", 1 if kind in ("scale", "sign") else 6, kind, 4 if kind in ("rotary", "pair_sign", "pair_scale") else 0
    )
    products = torch.randn(3, part.size, part.size, generator=some(1), dtype=torch.float64)
    best = inside.PART_KINDS[kind].best(products, part)
    most = (products * best).sum(dim=(-2, -1))
    torch.testing.assert_close(inside.gain(products, part), most)
    for seed in range(50):
        drawn = inside.PART_KINDS[kind].draw(3, part, some(seed), False)
        assert ((products * drawn).sum(dim=(-2, -1)) <= most + 1e-9).all()
        eye = torch.eye(part.size, dtype=torch.float64)
        torch.testing.assert_close(drawn @ drawn.mT, eye.expand(3, -1, -1))  # without stretching, lengths stay
    torch.testing.assert_close(best @ best.mT, torch.eye(part.size, dtype=torch.float64).expand(3, -1, -1))


@few
def test_the_canonical_form_is_the_same_all_over_an_orbit_but_for_orders_and_rotations(name: str) -> None:
    objective = build(name)
    table, params = table_of(objective.model), fine(objective)
    twin = move.moved_params(table, params, Move(draw(table, some(4), stretch=True), other_gains(table, params)))
    one, two = (canonical.canonical(table, p)[0] for p in (params, twin))
    again, _ = canonical.canonical(table, one)
    for n in one:
        torch.testing.assert_close(again[n], one[n], rtol=0, atol=1e-8)  # the balance of chains is settled, not exact
        assert float(two[n].norm()) == pytest.approx(float(one[n].norm()), rel=1e-6)
        assert torch.isfinite(one[n]).all()
    before = outputs(objective, params)
    assert float((outputs(objective, one) - before).abs().max()) < EXACT * max(1.0, float(before.abs().max()))


def test_balancing_makes_both_sides_equally_large_and_the_norm_smallest() -> None:
    objective = build("gpt2")
    table, params = table_of(objective.model), fine(objective)
    form, _ = canonical.canonical(table, params)
    qkv, out = form["transformer.h.0.attn.c_attn.weight"], form["transformer.h.0.attn.c_proj.weight"]
    bias = form["transformer.h.0.attn.c_attn.bias"]
    for h in range(3):
        v = torch.cat([qkv[:, 24 + 4 * h : 28 + 4 * h], bias[None, 24 + 4 * h : 28 + 4 * h]])
        o = out[4 * h : 4 * h + 4]
        torch.testing.assert_close(v.T @ v, o @ o.T, rtol=1e-9, atol=1e-9)

    def size(p: dict[str, Tensor]) -> float:
        return float(sum(value.square().sum() for value in p.values()))

    assert all(size(apply(table, form, draw(table, some(k), stretch=True))) >= size(form) - 1e-9 for k in range(20))


@pytest.mark.parametrize("gain", [0.0, -1e-7])
def test_a_gain_as_good_as_zero_cannot_be_folded(gain: float) -> None:
    objective = build("llama")
    params = fine(objective)
    params["model.layers.1.input_layernorm.weight"][3] = gain
    with pytest.raises(
        InputError, match=r"layers.1.input_layernorm.weight' has a value that is practically zero.*permutations"
    ):
        canonical.canonical(table_of(objective.model), params)


@pytest.mark.parametrize("between", [(nn.LayerNorm(6), nn.ReLU()), (nn.ReLU(), nn.Tanh()), (nn.Tanh(), nn.ReLU())])
def test_what_no_factor_passes_has_none(between: tuple[nn.Module, ...]) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), *between, nn.Linear(6, 3)).double()
    table, params = table_of(model), {n: v.detach() for n, v in model.named_parameters()}
    x = torch.randn(5, 4, generator=some(1), dtype=torch.float64)
    for seed in range(3):
        changed = apply(table, params, draw(table, some(seed), stretch=True))
        assert not torch.equal(changed["0.weight"], params["0.weight"])
        torch.testing.assert_close(torch.func.functional_call(model, changed, x), model(x).detach())


def test_a_norm_without_gains_lets_no_factor_pass() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5, affine=False), nn.ReLU(), nn.Flatten(), nn.Linear(80, 4)
    )
    assert table_of(model).groups["0"].parts == ()
    model[1] = nn.BatchNorm2d(5)
    assert [part.kind for part in table_of(model).groups["0"].parts] == ["scale"]


def test_a_head_that_is_cut_off_stays_as_it_is() -> None:
    objective = build("gpt2")
    table, params = table_of(objective.model), fine(objective)
    for name in ("weight", "bias"):
        params[f"transformer.h.0.attn.c_attn.{name}"].reshape(-1, 3, 3, 4)[:, :, 1] = 0
    params["transformer.h.0.attn.c_proj.weight"][4:] = 0  # what the third writes is cut off on one side only
    form, change = canonical.canonical(table, params)
    assert all(torch.isfinite(value).all() for value in form.values())
    for part, head in (("qk", 1), ("vo", 1), ("vo", 2)):
        torch.testing.assert_close(change["0.heads"].maps[part][head], torch.eye(4, dtype=torch.float64))


def test_a_direction_that_hardly_goes_out_is_stretched_by_a_thousand_at_most() -> None:
    """In closed form: along common axes, a balance is the fourth root of what goes out over what goes in."""
    axes = torch.linalg.qr(torch.randn(3, 3, generator=some(1), dtype=torch.float64))[0]
    into, out = torch.tensor([0.7, 2.0, 3.0]).double(), torch.tensor([5.0, 0.3, 6e-17]).double()
    found = canonical._balanced(*(((axes * values) @ axes.T)[None] for values in (into, out)))
    want = torch.tensor([(5 / 0.7) ** 0.25, 0.15**0.25, 1e-3], dtype=torch.float64)
    torch.testing.assert_close(found, ((axes * want) @ axes.T)[None], rtol=0, atol=1e-6)


def test_queries_of_reordered_keys_come_back() -> None:
    """Five keys, so that an order is rarely its own inverse."""
    group = Group("g", 5, (Part("p", 2, "linear"),), within=3)
    table = Table("mine", {"g": group}, (Piece("w", (Axis("g", "p", queries=True), None)),))
    params = {"w": torch.randn(30, 4, generator=some(0), dtype=torch.float64)}
    one, two = (draw(table, some(seed), stretch=True) for seed in (1, 2))
    there = apply(table, params, one)
    back = apply(table, there, inverse(table, one))
    torch.testing.assert_close(back["w"], params["w"])
    torch.testing.assert_close(apply(table, params, compose(table, two, one))["w"], apply(table, there, two)["w"])
    change, old = one["g"], params["w"].reshape(5, 3, 2, 4)
    for i in range(5):
        for w in range(3):
            want = change.maps["p"][i] @ old[int(change.order[i]), int(change.queries[i, w])]
            torch.testing.assert_close(there["w"].reshape(5, 3, 2, 4)[i, w], want)


def test_random_maps_go_both_ways() -> None:
    """Signs, angles and the logarithms of factors have mean zero: 4 standard errors, none above 0.2."""
    count = 500
    signs = inside.PART_KINDS["sign"].draw(count, Part("", 1, "sign"), some(1), True)
    turns = inside.PART_KINDS["rotary"].draw(count, Part("", 2, "rotary", 2), some(2), True)
    factors = inside.PART_KINDS["scale"].draw(count, Part("", 1, "scale"), some(3), True).log()
    sizes = torch.linalg.matrix_norm(turns, ord=2)
    for values in (signs, turns[:, 0, 0] / sizes, turns[:, 1, 0] / sizes, factors, sizes.log()):
        error = float(values.std()) / count**0.5
        assert 0 < error < 0.05 and abs(float(values.mean())) < 4 * error
    assert 1 < float(factors.max() / inside.SPREAD) * 1.02 < 1.03


def test_a_pair_that_knows_nothing_keeps_its_length() -> None:
    part = Part("", 6, "rotary", 4)
    products = torch.randn(2, 6, 6, generator=some(1), dtype=torch.float64)
    products[1, :, :4] = 0  # a head whose queries are cut off
    best = inside.PART_KINDS["rotary"].best(products, part)
    torch.testing.assert_close(best @ best.mT, torch.eye(6, dtype=torch.float64).expand(2, -1, -1))


def test_moves_are_read_as_they_were_written(tmp_path: Any) -> None:
    objective = build("llama")
    table, params = table_of(objective.model), fine(objective)
    moves = {"a": move.STAY, "b": Move(draw(table, some(1), stretch=True), other_gains(table, params))}
    move.save(tmp_path / "m.safetensors", moves)
    back = move.load(tmp_path / "m.safetensors")
    assert list(back) == ["a", "b"] and not back["a"].element and not back["a"].gains
    for group, change in moves["b"].element.items():
        read = back["b"].element[group]
        assert torch.equal(read.order, change.order) and torch.equal(read.queries, change.queries)
        assert {n: m.tolist() for n, m in read.maps.items()} == {n: m.tolist() for n, m in change.maps.items()}
    assert {n: g.tolist() for n, g in back["b"].gains.items()} == {n: g.tolist() for n, g in moves["b"].gains.items()}
    with pytest.raises(InputError, match="holds no moves of landscape"):
        move.load(tmp_path / "none.safetensors")


def test_a_moved_point_keeps_the_loss_in_its_own_precision() -> None:
    objective = build("gpt_neox")
    table, here = table_of(objective.model), point(objective)
    change: Element = draw(table, some(1), stretch=True)
    there = move.moved(table, objective.space, here, Move(change, canonical.gains(table, objective.space.params(here))))
    assert there.dtype == torch.float32 and float((there - here).abs().max()) > 0.1
    fine_change = Move(change, {n: g.double() for n, g in canonical.gains(table, objective.space.params(here)).items()})
    assert torch.equal(there, move.moved(table, objective.space, here.double(), fine_change).float())  # rounded once
    with torch.no_grad():
        one, two = (verify.outputs(objective, objective.model, objective.space.params(p)) for p in (here, there))
    assert float((one - two).abs().max()) < 1e-4
