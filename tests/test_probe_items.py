"""What all probes have in common: fixed items, scores with errors, outcomes of items."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from typing import Any, get_args

import cases
import numpy as np
import pandas as pd
import pytest
import torch
from puppets import TEXT, Puppet, random_table, speaker, table
from test_probe_inside import gold_heads, states

from landscape.catalogue import OBJECTIVES, PROBES
from landscape.errors import InputError
from landscape.objectives import ModelKind
from landscape.probes import ProbeInputs, ProbeModel, ProbeResult, harness, items_of, linear, measure, probe, usual_for
from landscape.probes.base import result
from landscape.probes.base.result import digest

V = len(speaker())
GOOD, BAD = "the girl laughs", "the girl laugh"


def model(seed: int) -> Puppet:
    log_p = random_table(V, seed).float()
    return Puppet(V, table(log_p).say, attend=gold_heads, states=states, num_labels=3, max_position_embeddings=64)


def classifier(seed: int) -> Puppet:
    weights = torch.randn(V, 3, generator=torch.Generator().manual_seed(seed))
    return Puppet(V, lambda ids: weights[ids].sum(dim=1), num_labels=3)


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    file = tmp_path_factory.mktemp("items") / "pairs.jsonl"
    file.write_text(
        "\n".join(
            json.dumps({"sentence_good": f"{noun} {GOOD}", "sentence_bad": f"{noun} {BAD}"})
            for noun in ("king", "queen", "girl", "lady", "boy")
        )
    )
    return {
        "text": TEXT, "train_text": TEXT, "sequences": 6, "length": 20, "count": 5,
        "labels": ("contradiction", "entailment", "neutral"), "file": file,
    }  # fmt: skip


def probed(name: str, seed: int = 0) -> ProbeModel:
    """A model of the first kind that the probe takes."""
    kind = PROBES.load(name).TAKES[0]
    return ProbeModel(classifier(seed) if kind == "classifier" else model(seed), speaker(), kind)


def made_for(name: str, given: dict[str, Any]) -> tuple[ProbeModel, ProbeInputs]:
    rest = {key: value for key, value in given.items() if key != "file"}
    return probed(name), ProbeInputs(**rest, items=given["file"] if "items" in PROBES[name].reads else None)


names = pytest.mark.parametrize("name", [name for name in PROBES if "task" not in PROBES[name].reads])
PINNED = {
    "in-context": "25f59427a6c2f61f",
    "induction": "735d2cce30cb10c4",
    "ngrams": "a6890d39b1fa3031",
    "minimal-pairs": "27a87fcddf0961d5",
    "agreement": "a2857b7b32b04676",
    "inference": "810ddb6b15dc077e",
    "linear": "49417c51ccebe9bd",
    "syntax": "d5430a63c5a1a6fd",
    "calibration": "16e5df9eab7a9d12",
}


@names
def test_items_are_the_same_in_every_process_and_on_every_platform(name: str, given: dict[str, Any]) -> None:
    reader, what = made_for(name, given)
    made = items_of(name, reader, what, seed=3)
    assert digest(made) == digest(items_of(name, probed(name, 1), what, seed=3))
    assert digest(made) == PINNED.get(name, digest(made)) and PINNED.keys() <= PROBES.keys()


@names
def test_what_every_probe_gives(name: str, given: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(result, "RESAMPLES", 4)
    monkeypatch.setattr(linear, "FRACTIONS", (0.3, 1.0))
    reader, what = made_for(name, {**given, "count": 1} if name == "linear" else given)
    items = items_of(name, reader, what)
    found = measure(name, reader, items)
    again = measure(name, reader, items)
    assert isinstance(found, ProbeResult) and found.about and any(score.headline for score in found.scores)
    assert len({(score.metric, score.subset) for score in found.scores}) == len(found.scores)
    assert all(np.isfinite(score.value) and score.error >= 0 for score in found.scores)
    assert [score.value for score in found.scores] == [score.value for score in again.scores]
    assert found.clusters in found.items and "item" in found.items
    assert found.items.drop(columns=[found.clusters]).select_dtypes("number").notna().all().all()
    pd.testing.assert_frame_equal(found.items, pd.read_parquet(io.BytesIO(found.items.to_parquet())), check_dtype=False)


@names
def test_random_items_depend_on_the_seed(name: str, given: dict[str, Any]) -> None:
    reader, what = made_for(name, given)
    one, other = (digest(items_of(name, reader, what, seed=seed)) for seed in (0, 1))
    assert (one != other) == PROBES.load(name).RANDOM_ITEMS


@pytest.mark.parametrize("name", PROBES)
def test_every_probe_states_the_same_facts(name: str) -> None:
    module, reads = PROBES.load(name), PROBES[name].reads
    assert module.TAKES and set(module.TAKES) <= set(get_args(ModelKind))
    assert set(reads) <= {"text", "train_text", "items", "task"} and isinstance(module.RANDOM_ITEMS, bool)
    assert {OBJECTIVES.load(objective).MODEL_KIND for objective in module.USUAL_FOR} <= set(module.TAKES)
    assert not module.USUAL_FOR or set(reads) <= {"text"}, "what is run by default needs no more than the text"


def test_every_objective_has_usual_probes() -> None:
    read = {name for name in OBJECTIVES if OBJECTIVES.load(name).MODEL_KIND in ("causal", "masked", "classifier")}
    assert read >= {"causal-lm", "masked-lm", "classification"} and all(usual_for(objective) for objective in read)
    assert usual_for("causal-lm") == ("in-context", "induction") and usual_for("masked-lm") == ("calibration",)


@names
def test_a_probe_reads_the_texts_that_the_catalogue_says(name: str, given: dict[str, Any]) -> None:
    """``landscape probe`` gives no text to a probe that says it reads none; a training text only where it is needed."""
    reads = PROBES[name].reads
    texts = {"text": TEXT, "train_text": TEXT if "train_text" in reads else ""}
    reader, what = made_for(name, {**given, **texts})
    for text in {"text", "train_text"} & {"text", *reads}:
        _, changed = made_for(name, {**given, **texts, text: " ".join(TEXT.split()[700:1500])})
        one, other = (digest(items_of(name, reader, inputs)) for inputs in (what, changed))
        assert (one != other) == (text in reads)


@pytest.mark.slow
def test_importing_the_package_imports_no_probe() -> None:
    said = "import sys, landscape.probes; from landscape.catalogue import PROBES as p; "
    code = said + "sys.exit(str([m.module for m in p.values() if m.module in sys.modules] or ''))"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, text=True).stderr.strip() == ""
    )


def test_digests_tell_things_apart() -> None:
    one = {"a": np.array([1, 2]), "b": ("x", None), "c": 0.1}
    assert digest(one) == digest({"c": 0.1, "b": ["x", None], "a": torch.tensor([1, 2], dtype=torch.int32)})
    for other in ({**one, "a": np.array([2, 1])}, {**one, "a": np.array([[1, 2]])}, {**one, "b": ("x", "None")},
                  {**one, "c": 0.2}, {**one, "b": ("x",)}):  # fmt: skip
        assert digest(other) != digest(one)
    with pytest.raises(TypeError, match="items hold a set"):
        digest({1, 2})


def test_harness_needs_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    with pytest.raises(InputError, match="harness tasks need lm-eval: pip install 'landscape-toolkit\\[harness\\]'"):
        probe("harness:lambada", cases.gpt2(), cases.tokenizer())
    with pytest.raises(InputError, match="the harness needs the name of a task: harness:TASK"):
        probe("harness", cases.gpt2(), cases.tokenizer())


def test_results_of_the_harness_become_scores_and_outcomes() -> None:
    results = {"alias": "x", "sample_len": 25, "acc,none": 0.64, "acc_stderr,none": 0.098, "ppl,none": 7.5,
               "ppl_stderr,none": "N/A", "acc,strict": 0.5, "acc_stderr,strict": 0.1}  # fmt: skip
    acc, ppl, strict = harness._scores("x", results, "", {"x": {"acc": True, "ppl": False}})
    assert (acc.metric, acc.value, acc.error, acc.items, acc.better) == ("acc", 0.64, 0.098, 25, "higher")
    assert (ppl.metric, ppl.value, ppl.better) == ("ppl", 7.5, "lower") and np.isnan(ppl.error)
    assert (strict.metric, strict.error) == ("acc,strict", 0.1) and [acc.headline, ppl.headline] == [True, False]
    sample = {"doc_id": 4, "doc_hash": "h", "metrics": ["acc"], "acc": 1,
              "filtered_resps": [(-3.0, False), (-1.5, True), (-9.0, False)]}  # fmt: skip
    row = harness._outcome("x", sample)
    odds = np.exp([-3.0, -1.5, -9.0])
    assert (row["choice"], row["acc"], row["doc"]) == (1, 1.0, 4)
    assert [row[f"p_{k}"] for k in range(3)] == pytest.approx(list(odds / odds.sum()))


def test_a_model_of_an_unknown_class_must_say_its_kind() -> None:
    with pytest.raises(InputError, match="a Puppet does not say its kind; give kind: causal, masked, classifier"):
        probe("induction", model(0), speaker())
    reader = ProbeModel.of(model(0), speaker(), "causal")
    assert reader.longest == 64
