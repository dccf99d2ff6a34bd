"""Files of a checkpoint and of a study, damaged at random: each is read, or refused in one sentence."""

import copy
import json
import resource
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cases
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from landscape.checkpoints import configs, formats, models, tokenizers
from landscape.checkpoints.blame import blamed
from landscape.checkpoints.formats import safetensors
from landscape.errors import InputError
from landscape.objectives import causal_lm
from landscape.study.file import read_study

MOST_SECONDS, MOST_KILOBYTES = 10, 1_000_000
FEW, MANY = 12, 1_000
"""Inputs for each of five files; 5,000 in the slow test."""

ODD: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from([
        None, True, False, 0, -1, 1, 2, 3, 7, 10**6, 10**9, 10**12, 10**30, -(10**9), 0.5, 1e300, float("inf"),
        float("nan"), "", "..", "a\0b", "\ud800", "evil", "x" * 5000, [], {}, [[]], [0], [None], {"a": 1}, "60",
        "[/red]",
    ]),
    st.integers(),
    st.floats(allow_subnormal=False),  # another test may have had them flushed to zero
    st.text(max_size=8),
)  # fmt: skip
Edit = tuple[int, Any]


def paths(tree: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a tree of JSON."""
    inside = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [here, *(path for key, value in inside for path in paths(value, (*here, key)))]


def edited(tree: Any, edits: list[Edit]) -> Any:
    """The tree with other values at some places; or with a place left out."""
    tree = copy.deepcopy(tree)
    for number, value in [(n, copy.deepcopy(v)) for n, v in edits]:
        every = paths(tree)
        path = every[number % len(every)]
        if not path:
            tree = value
            continue
        parent = tree
        for key in path[:-1]:
            parent = parent[key]
        if value == "evil" and isinstance(parent, dict):
            del parent[path[-1]]
        else:
            parent[path[-1]] = value
    return tree


EDITS = st.lists(st.tuples(st.integers(0, 10**6), ODD), min_size=1, max_size=3)
CUTS = st.one_of(st.none(), st.integers(0, 10**6))


def text(tree: Any, edits: list[Edit], cut: int | None) -> bytes:
    whole = json.dumps(edited(tree, edits)).encode()
    return whole if cut is None or cut % 4 else whole[: cut % (len(whole) + 1)]


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(str(k))} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return "''" if value is None else json.dumps(value).replace("Infinity", "inf").replace("NaN", "nan")


class Target:
    """A folder whose one file is damaged, and what reads it."""

    def __init__(self, folder: Path) -> None:
        self.folder = cases.save(cases.gpt2(3), folder)
        model = cases.gpt2(3)
        self.sharded = folder / "sharded"
        model.save_pretrained(self.sharded, max_shard_size="6KB")
        self.ids = torch.randint(5, cases.WORDS, (2, 6), generator=cases.generator(1))
        self.whole = (folder / safetensors.SINGLE).read_bytes()

    def config(self, edits: list[Edit], cut: int | None) -> None:
        self._put(self.folder / "config.json", edits, cut, self._build)

    def tokenizer(self, edits: list[Edit], cut: int | None) -> None:
        name = ("tokenizer.json", "tokenizer_config.json")[len(edits) % 2]
        self._put(self.folder / name, edits, cut, lambda: tokenizers.load(self.folder)("w3 w5"))

    def index(self, edits: list[Edit], cut: int | None) -> None:
        self._put(self.sharded / safetensors.INDEX, edits, cut, lambda: self._read(self.sharded))

    def header(self, edits: list[Edit], cut: int | None) -> None:
        length = struct.unpack("<Q", self.whole[:8])[0]
        changed = text(json.loads(self.whole[8 : 8 + length]), edits, cut)
        file = self.folder / "x.safetensors"
        file.write_bytes(struct.pack("<Q", len(changed)) + changed + self.whole[8 + length :])
        self._read(file)

    def study(self, edits: list[Edit], cut: int | None) -> None:
        tree = {
            "version": 1, "name": "x", "checkpoints": {"folder": "seed_{seed}/step_{step}", "seeds": [0, 1]},
            "data": {"objective": "causal-lm", "sequences": 20, "length": 12},
            "measure": [{"kind": "barriers", "points": 5}, {"kind": "llc", "chains": 2}],
            "stages": {"threshold": 0.1},
        }  # fmt: skip
        changed = edited(tree, edits)
        lines = (
            [f"{json.dumps(str(k))} = {toml(v)}" for k, v in changed.items()] if isinstance(changed, dict) else ["]"]
        )
        whole = "\n".join(lines).encode("utf-8", "surrogatepass")
        file = self.folder / "study.toml"
        file.write_bytes(whole if cut is None or cut % 4 else whole[: cut % (len(whole) + 1)])
        read_study(file)

    def _put(self, file: Path, edits: list[Edit], cut: int | None, work: Callable[[], Any]) -> None:
        old = file.read_bytes()
        try:
            file.write_bytes(text(json.loads(old), edits, cut))
            work()
        finally:
            file.write_bytes(old)

    def _build(self) -> None:
        model = models.skeleton(self.folder, causal_lm.AUTO, weights=self.folder)
        with blamed("the model cannot be run", configs.OWN):
            causal_lm.build(model, {"input_ids": self.ids})

    def _read(self, path: Path) -> None:
        found = formats.index(path)
        if (size := sum(int(np.prod(s.shape)) for s in found.values())) < 10**6:
            formats.read(np.empty(size, np.float32), found)


FILES = ["config", "tokenizer", "index", "header", "study"]


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Target:
    return Target(tmp_path_factory.mktemp("fuzz"))


def one_sentence(work: Callable[[], None]) -> None:
    begin = time.perf_counter()
    try:
        work()
    except InputError as error:
        assert len(str(error)) > 20
    assert time.perf_counter() - begin < MOST_SECONDS


def fuzz(target: Target, name: str, count: int) -> None:
    @settings(
        max_examples=count, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(EDITS, CUTS)
    def run(edits: list[Edit], cut: int | None) -> None:
        one_sentence(lambda: getattr(target, name)(edits, cut))

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_KILOBYTES


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_read_or_refused_in_one_sentence(target: Target, name: str) -> None:
    fuzz(target, name, FEW)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FILES)
def test_thousands_of_damaged_files_are_read_or_refused_in_one_sentence(target: Target, name: str) -> None:
    fuzz(target, name, MANY)
