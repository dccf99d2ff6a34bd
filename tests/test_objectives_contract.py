"""What every objective of the catalogue has to do; a new one joins by its line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cases
import pytest
import torch
import transformers
from torch import nn
from torch.testing import assert_close
from transformers.models.auto import modeling_auto

from landscape.catalogue import OBJECTIVES
from landscape.checkpoints import models
from landscape.errors import InputError
from landscape.objectives import Batch, Objective

TINY: dict[str, Callable[[], nn.Module]] = {
    "causal": lambda: cases.gpt2(2), "masked": lambda: cases.bert(2), "classifier": lambda: cases.classifier(5),
}  # fmt: skip
every = pytest.mark.parametrize("name", OBJECTIVES)


def encoded(name: str, **changes: Any) -> Batch:
    """Eight examples of ten tokens."""
    lines = (json.dumps({"text": f"w{n} w3 w{n * n % 50}", "label": n % 3}) for n in range(19))
    text = "\n".join(lines) if "labels" in OBJECTIVES[name].reads else cases.TEXT
    how = {"sequences": 8, "length": 10, "mask": 0.3, "seed": 4, "bos": "auto"} | changes
    batch: Batch = OBJECTIVES.load(name).encode(text, cases.tokenizer(), **how)
    return batch


def built(name: str) -> Objective:
    module = OBJECTIVES.load(name)
    objective: Objective = module.build(TINY[module.MODEL_KIND]().double(), encoded(name))
    return objective


@every
def test_every_objective_states_the_same_facts(name: str, tmp_path: Path) -> None:
    module = OBJECTIVES.load(name)
    model: Any = TINY[module.MODEL_KIND]()
    assert getattr(transformers, module.AUTO)._model_mapping[type(model.config)] is type(model)
    assert getattr(modeling_auto, module.MAPPING)[model.config.model_type] and module.CLASS_ENDINGS
    assert set(OBJECTIVES[name].reads) <= {"labels", "bos"}
    cases.save(model, tmp_path)
    assert models.default_objective(tmp_path) == name
    batch = encoded(name)
    with torch.no_grad():
        logits = model(**{key: batch[key] for key in set(batch) & {"input_ids", "attention_mask"}}).logits
    assert module.classes(model.config) == logits.shape[-1]


@every
def test_batches_have_a_row_an_example_and_are_the_same_for_a_seed(name: str) -> None:
    one, again, other = (encoded(name, seed=seed) for seed in (4, 4, 5))
    assert one["input_ids"].shape == (8, 10) and {len(tensor) for tensor in one.values()} == {8}
    assert one.keys() == again.keys() and all(torch.equal(one[key], again[key]) for key in one)
    assert one["input_ids"].shape == other["input_ids"].shape
    assert len(encoded(name, sequences=5)["input_ids"]) == 5
    with pytest.raises(InputError, match="lower sequences|give more"):
        encoded(name, sequences=10**5)


@every
def test_the_loss_is_the_mean_over_the_targets(name: str) -> None:
    """Example by example, from the logits of the whole model."""
    module, objective = OBJECTIVES.load(name), built(name)
    model: Any = objective.model
    position, target = module.targets(objective.batch)
    assert len(position) == len(target) == 8 and target.shape[:2] == position.shape
    inputs = {key: objective.batch[key] for key in set(objective.batch) & {"input_ids", "attention_mask"}}
    expected = []
    for k in range(8):
        with torch.no_grad():
            logits = model(**{key: tensor[k : k + 1] for key, tensor in inputs.items()}).logits
        p = logits.reshape(-1, logits.shape[-1]).softmax(dim=-1)
        each = [
            -sum(p[int(t), y] for y in set(right.tolist())).log()
            for t, right in zip(position[k], target[k], strict=True)
        ]
        expected.append(torch.stack(each).mean())
    with torch.no_grad():
        assert_close(objective.measure(model, objective.batch)["loss"], torch.stack(expected), rtol=0, atol=1e-10)


@every
def test_the_loss_of_an_example_depends_on_no_other(name: str) -> None:
    objective = built(name)
    order = torch.tensor([6, 1, 7, 0, 3])
    with torch.no_grad():
        whole = objective.measure(objective.model, objective.batch)
        parts = [objective.measure(objective.model, objective.part(k, k + 3)) for k in (0, 3, 6)]
        taken = objective.take(order)
        some = taken.measure(taken.model, taken.batch)
    assert objective.unit.startswith("nats per ") and objective.examples == 8 and taken.examples == 5
    for metric, values in whole.items():
        assert values.shape == (8,) and values.isfinite().all()
        assert_close(torch.cat([part[metric] for part in parts]), values, rtol=0, atol=1e-10)
        assert_close(some[metric], values[order], rtol=0, atol=1e-10)
    assert len(set(whole["loss"].tolist())) > 1


def test_an_unknown_objective_is_an_error() -> None:
    with pytest.raises(
        ValueError, match=r"no objective is called 'causal'; did you mean causal-lm\?; there are causal-lm"
    ):
        OBJECTIVES.load("causal")
