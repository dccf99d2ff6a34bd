"""Every way to align and every symmetry table of the catalogue keeps one contract."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from architectures import ARCHITECTURES, build, point, some

from landscape.catalogue import MATCHERS, SYMMETRY_TABLES
from landscape.errors import InputError
from landscape.objectives import Objective
from landscape.symmetry import align, matchers, tables
from landscape.symmetry.group import canonical, move
from landscape.symmetry.group.element import draw
from landscape.symmetry.group.move import Move
from landscape.symmetry.settings import AlignSettings
from landscape.symmetry.tables import load, table_of

SHARED = {"symmetry_group", "groups", "seed"}
QUICK = AlignSettings(starts=1, steps=3)
every = pytest.mark.parametrize("method", MATCHERS)
known = pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name.split()[0] in SYMMETRY_TABLES.members])


def three(count: int = 3) -> list[Objective]:
    return [build("mlp gelu", seed, examples=20) for seed in range(count)]


def aligned(method: str, settings: AlignSettings, models: list[Objective]) -> list[align.Aligned]:
    first = models[0]
    fitting = first if "align_text" in MATCHERS[method].reads else None
    loads = [lambda one=one: point(one) for one in models]
    return align.align(table_of(first.model), loads, method, settings, first, fitting)


def test_the_catalogue_has_every_file() -> None:
    files = {file.stem for file in Path(matchers.__file__).parent.glob("*.py")} - {"__init__", "problem"}
    assert {member.module.rpartition(".")[2] for member in MATCHERS.values()} == files
    files = {file.stem for file in Path(tables.__file__).parent.glob("*.py")} - {"__init__", "adapter", "chain"}
    assert {member.module.rpartition(".")[2] for member in SYMMETRY_TABLES.values()} == files
    with pytest.raises(ValueError, match="no way to align is called 'wieghts'; did you mean weights"):
        aligned("wieghts", QUICK, three(2))


def test_every_setting_is_read_by_some_way_to_align() -> None:
    own = {name: set(MATCHERS.load(name).SETTINGS) for name in MATCHERS}
    assert SHARED | set().union(*own.values()) == set(AlignSettings.model_fields)
    assert all(not names & SHARED for names in own.values())


@every
def test_a_way_that_reads_a_text_needs_one_and_no_other_does(method: str) -> None:
    models = three(2)
    loads = [lambda one=one: point(one) for one in models]
    if "align_text" in MATCHERS[method].reads:
        with pytest.raises(InputError, match=f"aligning by {method} needs a text to align on"):
            align.align(table_of(models[0].model), loads, method, QUICK, models[0])
    else:
        assert len(align.align(table_of(models[0].model), loads, method, QUICK, models[0])) == 2


@every
def test_the_first_stays_and_the_others_keep_their_function(method: str) -> None:
    models = three()
    first, *others = aligned(method, QUICK, models)
    assert first.move is move.STAY and first.seconds == first.before == first.after == 0
    space, table = models[0].space, table_of(models[0].model)
    one = canonical.canonical(table, space.params(point(models[0])))[0]
    for objective, found in zip(models[1:], others, strict=True):
        assert found.difference <= found.tolerance and found.loss_error < 1e-4 and found.seconds > 0
        there = canonical.canonical(table, space.params(move.moved(table, space, point(objective), found.move)))[0]
        apart = sum(float((one[name] - there[name]).square().sum()) for name in one) ** 0.5
        assert found.after == pytest.approx(apart, rel=1e-4) and found.before > 0


@every
def test_only_the_wanted_groups_change(method: str) -> None:
    models = three(2)
    (_, found) = aligned(method, AlignSettings(groups=("0",), starts=1, steps=3), models)
    space, table = models[0].space, table_of(models[0].model)
    there = space.params(move.moved(table, space, point(models[1]), found.move))
    before = space.params(point(models[1]))
    changed = {name for name in before if not torch.equal(before[name], there[name])}
    assert changed and changed <= {piece.parameter for piece in table.touching["0"]}


@every
def test_the_seed_and_the_settings_decide(method: str) -> None:
    models = three(2)
    one, again = (aligned(method, AlignSettings(seed=5, starts=2, steps=4), models)[1].move.element for _ in range(2))
    assert all(torch.equal(one[name].order, again[name].order) for name in one) and set(one) == set(again)


@every
def test_what_happens_to_each_is_reported(method: str) -> None:
    models, said = three(), list[tuple[int, str]]()
    fitting = models[0] if "align_text" in MATCHERS[method].reads else None
    loads = [lambda one=one: point(one) for one in models]
    align.align(
        table_of(models[0].model), loads, method, QUICK, models[0], fitting, lambda n, what: said.append((n, what))
    )
    assert {n for n, _ in said} == {1, 2} and said[-1] == (2, "checked") and said[0][1] != "checked"


@known
def test_an_untied_head_lets_the_stream_turn_where_the_table_says_so(name: str) -> None:
    """Random elements move the stream by a rotation, and not by a permutation, iff it turns."""
    objective = build(name)
    table = table_of(objective.model)
    stream = table.groups.get("stream")
    turns = stream is not None and bool(stream.parts)
    tied = bool(objective.space.tied)
    projected = name == "opt projected"  # its embedding is not in the stream
    untied_only = load(objective.model).ROTATES_UNTIED
    assert projected or not (untied_only and tied and turns), "only an untied head lets it turn"
    if untied_only and not tied:
        assert turns
    here = point(objective)
    there = move.moved(table, objective.space, here, Move(draw(table, some(1), stretch=False), {}))
    assert there.shape == here.shape and not torch.equal(there, here)


@pytest.mark.parametrize("name", SYMMETRY_TABLES)
def test_a_table_has_the_skeleton_of_its_siblings(name: str) -> None:
    found = SYMMETRY_TABLES.load(name)
    assert isinstance(found, tables.Architecture) and isinstance(found.ROTATES_UNTIED, bool)
    assert name in {architecture.split()[0] for architecture in ARCHITECTURES}
