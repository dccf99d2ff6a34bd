"""What every objective of the catalogue has to do; a new one joins by its line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cases
import numpy as np
import pytest
import torch
import transformers
from torch import nn
from torch.testing import assert_close
from transformers.models.auto import modeling_auto

from landscape.catalogue import OBJECTIVES
from landscape.checkpoints.objective_of import default_objective
from landscape.errors import InputError
from landscape.objectives import Batch, Objective
from landscape.objectives.images import Images


def t5() -> nn.Module:
    torch.manual_seed(3)
    config = transformers.T5Config(
        vocab_size=cases.WORDS, d_model=12, d_kv=4, d_ff=20, num_layers=2, num_heads=3, dropout_rate=0.0,
        pad_token_id=3, eos_token_id=2, decoder_start_token_id=3,
    )  # fmt: skip
    model: nn.Module = cases.rough(transformers.T5ForConditionalGeneration(config))
    return model


def vit() -> nn.Module:
    torch.manual_seed(3)
    config = transformers.ViTConfig(
        image_size=8, patch_size=4, num_channels=1, hidden_size=12, num_hidden_layers=2, num_attention_heads=3,
        intermediate_size=20, num_labels=3,
    )  # fmt: skip
    model: nn.Module = cases.rough(transformers.ViTForImageClassification(config))
    return model


TINY: dict[str, Callable[[], nn.Module]] = {
    "causal": lambda: cases.gpt2(2), "masked": lambda: cases.bert(2), "classifier": lambda: cases.classifier(5),
    "multi-label": lambda: cases.classifier(5, problem_type="multi_label_classification"),
    "regression": lambda: cases.classifier(5, problem_type="regression"), "seq2seq": t5, "images": vit,
}  # fmt: skip
LABELS: dict[str, Callable[[int], Any]] = {
    "multi-label": lambda n: [n % 2, n % 3 // 2, 1], "regression": lambda n: [0.3 * n, -n, 1.5],
}  # fmt: skip
INPUTS = {"input_ids", "attention_mask", "pixel_values"}
every = pytest.mark.parametrize("name", OBJECTIVES)


def encoded(name: str, **changes: Any) -> Batch:
    """Eight examples of ten tokens."""
    label = LABELS.get(OBJECTIVES.load(name).MODEL_KIND, lambda n: n % 3)
    lines = (
        json.dumps({
            "text": f"w{n} w3 w{n * n % 50}",
            "label": label(n),
            "input": f"w{n} w3",
            "target": "w5 " * (1 + n),
        })
        for n in range(19)
    )
    text = "\n".join(lines) if "labels" in OBJECTIVES[name].reads else cases.TEXT
    how = {"sequences": 8, "length": 10, "mask": 0.3, "seed": 4, "bos": "auto"} | changes
    if "images" in OBJECTIVES[name].reads:
        random = np.random.RandomState(3)
        drawn = Images([n % 3 for n in range(19)], pixels=random.randn(19, 1, 8, 8).astype(np.float32))
        return dict(OBJECTIVES.load(name).encode(drawn, None, **how))
    batch: Batch = OBJECTIVES.load(name).encode(text, cases.tokenizer(), **how)
    return batch


def built(name: str) -> Objective:
    module = OBJECTIVES.load(name)
    batch = encoded(name)
    wide = {key: tensor.double() if tensor.is_floating_point() else tensor for key, tensor in batch.items()}
    objective: Objective = module.build(TINY[module.MODEL_KIND]().double(), wide)
    return objective


def test_an_encoder_decoder_reads_one_text_and_writes_another(tmp_path: Path) -> None:
    """Transformers lists BART's class among those of masked words, too."""
    config = transformers.BartConfig(architectures=["BartForConditionalGeneration"])
    config.save_pretrained(tmp_path)
    assert default_objective(tmp_path) == "seq2seq"


@every
def test_every_objective_states_the_same_facts(name: str, tmp_path: Path) -> None:
    module = OBJECTIVES.load(name)
    model: Any = TINY[module.MODEL_KIND]()
    assert getattr(transformers, module.AUTO)._model_mapping[type(model.config)] is type(model)
    assert getattr(modeling_auto, module.MAPPING)[model.config.model_type]
    assert set(OBJECTIVES[name].reads) <= {"labels", "bos", "images"} and module.suits(model.config)
    cases.save(model, tmp_path)
    assert default_objective(tmp_path) == name
    batch = encoded(name)
    with torch.no_grad():
        inputs = {key: batch[key] for key in set(batch) & INPUTS}
        more = {"decoder_input_ids": inputs["input_ids"]} if model.config.is_encoder_decoder else {}
        logits = model(**inputs, **more).logits
    assert module.classes(model.config) == {"multi-label": 2, "regression": 0}.get(name, logits.shape[-1])


@every
def test_batches_have_a_row_an_example_and_are_the_same_for_a_seed(name: str) -> None:
    one, again, other = (encoded(name, seed=seed) for seed in (4, 4, 5))
    first = next(key for key in one if key in INPUTS)
    assert one[first].shape[:2] == ((8, 1) if "images" in OBJECTIVES[name].reads else (8, 10))
    assert {len(tensor) for tensor in one.values()} == {8}
    assert one.keys() == again.keys() and all(torch.equal(one[key], again[key]) for key in one)
    assert one[first].shape == other[first].shape
    assert len(encoded(name, sequences=5)[first]) == 5
    with pytest.raises(InputError, match="lower sequences|give more"):
        encoded(name, sequences=10**5)


@pytest.mark.parametrize("name", [name for name in OBJECTIVES if hasattr(OBJECTIVES.load(name), "targets")])
def test_the_loss_is_the_mean_over_the_targets(name: str) -> None:
    """Example by example, from the logits of the whole model."""
    module, objective = OBJECTIVES.load(name), built(name)
    model: Any = objective.model
    position, target = module.targets(objective.batch)
    assert len(position) == len(target) == 8 and target.shape[:2] == position.shape
    inputs = {key: objective.batch[key] for key in set(objective.batch) & INPUTS}
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
    assert (
        objective.unit.partition(" per ")[0] in ("nats", "squared error")
        and objective.examples == 8
        and taken.examples == 5
    )
    for metric, values in whole.items():
        assert values.shape == (8,) and values.isfinite().all()
        assert_close(torch.cat([part[metric] for part in parts]), values, rtol=0, atol=1e-10)
        assert_close(some[metric], values[order], rtol=0, atol=1e-10)
    assert len(set(whole["loss"].tolist())) > 1


@pytest.mark.parametrize("name", [name for name in OBJECTIVES if "labels" in OBJECTIVES[name].reads])
def test_the_loss_of_an_example_is_that_of_transformers(name: str) -> None:
    """One at a time: of several, transformers weighs long targets more."""
    objective = built(name)
    model: Any = objective.model
    with torch.no_grad():
        found = objective.measure(model, objective.batch)["loss"]
        for k in range(8):
            part = objective.part(k, k + 1)
            labels = part["labels"][:, 0] if name.endswith("classification") else part["labels"]
            assert_close(model(**{**part, "labels": labels}).loss, found[k], rtol=0, atol=1e-10)


def test_an_unknown_objective_is_an_error() -> None:
    with pytest.raises(
        ValueError, match=r"no objective is called 'causal'; did you mean causal-lm\?; there are causal-lm"
    ):
        OBJECTIVES.load("causal")
