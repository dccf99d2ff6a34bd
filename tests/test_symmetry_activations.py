"""Alignment by activations: which features are read where, and how they are compared."""

from __future__ import annotations

from typing import Any

import torch
from architectures import ARCHITECTURES, build, point, some

from landscape.symmetry.search import correlation
from landscape.symmetry.tables import table_of


def test_features_of_padding_and_of_separators_are_left_out() -> None:
    objective = build("bert")
    ids = objective.batch["input_ids"].clone()
    model: Any = objective.model
    model.config.sep_token_id, model.config.cls_token_id = 7, 8
    model.config.bos_token_id, model.config.eos_token_id = 12, [13, 14]
    ids[:, 0], ids[:, -1] = 8, 7
    ids[1, 4], ids[2, 5], ids[3, 6] = 12, 13, 14
    kept = correlation.tokens(
        model, {"input_ids": ids, "attention_mask": torch.ones_like(ids).index_fill(1, torch.tensor([3]), 0)}
    )
    assert kept is not None
    want = ~torch.isin(ids, torch.tensor([7, 8, 3, 12, 13, 14]))
    assert not want[1, 4] and not want[2, 5] and not want[3, 6]
    want[:, 3] = False
    assert torch.equal(kept, want)
    everything = correlation.tokens(model, {"input_ids": torch.full((2, 5), 7)})
    assert everything is not None and everything.shape == (2, 5) and bool(everything.all())  # or nothing is left
    params = objective.space.params(point(objective))
    places = correlation.sources_of(table_of(model), model)
    ffn = next(p for p in places if p.axis.group == "0.ffn")
    found = correlation.features(objective, params, {**objective.part(0, 5), "input_ids": ids[:5]}, [ffn], want[:5])
    assert found[ffn].shape == (int(want[:5].sum()), 20) and found[ffn].dtype == torch.float64


def test_correlations_are_numpys_and_a_dead_unit_is_like_no_other() -> None:
    x, y = (torch.randn(50, 4, generator=some(k), dtype=torch.float64) + 3 for k in (1, 2))
    x[:, 2] = 5.0
    y[:, 1] = 3.0 + 3e-7 * y[:, 1]  # constant but for rounding
    sums = correlation.Sums(50, x.sum(0), y.sum(0), x.square().sum(0), y.square().sum(0), x.T @ y)
    want = torch.corrcoef(torch.cat([x, y], dim=1).T)[:4, 4:]
    want[2] = want[:, 1] = 0
    torch.testing.assert_close(sums.correlation(), want)


def test_every_group_has_a_place_where_its_features_are_read() -> None:
    for name in ARCHITECTURES:
        objective = build(name)
        table = table_of(objective.model)
        read = [g for g in table.groups.values() if g.blocks > 1 or any(p.kind != "pair_scale" for p in g.parts)]
        parts = {(g.name, p.name) for g in read for p in g.parts if p.kind not in ("scale", "pair_scale")}
        seen = {(place.axis.group, place.axis.part) for place in correlation.sources_of(table, objective.model)}
        assert {group for group, _ in seen} == {g.name for g in read}, name
        assert parts <= seen | {(g, "unit") for g in table.groups}, name
