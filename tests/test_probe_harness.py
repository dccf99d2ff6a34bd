"""Tasks of lm-evaluation-harness as probes; needs the extra ``harness``, which ``make peers`` installs."""

from __future__ import annotations

import json
from pathlib import Path

import cases
import pytest
import torch

from landscape.errors import InputError
from landscape.probes import probe

pytest.importorskip("lm_eval")
pytestmark = pytest.mark.filterwarnings("ignore")

TASK = """
task: tiny_pairs
dataset_path: json
dataset_kwargs:
  data_files: {{validation: {file}}}
validation_split: validation
output_type: multiple_choice
doc_to_text: "w1"
doc_to_target: 0
doc_to_choice: "{{{{[good, bad]}}}}"
target_delimiter: " "
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [{"good": f"w{k % 7} w{k % 5}", "bad": f"w{k % 11} w{k % 3}"} for k in range(25)]
    (tmp_path / "data.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "pairs.yaml").write_text(TASK.format(file=tmp_path / "data.jsonl"))
    return tmp_path


def test_a_task_of_the_harness_is_what_summing_log_probabilities_gives(folder: Path) -> None:
    model, tokenizer = cases.gpt2(), cases.tokenizer()
    tokenizer.eos_token = "[SEP]"
    found = probe("harness:tiny_pairs", model, tokenizer, items=folder)
    rows = [json.loads(line) for line in (folder / "data.jsonl").read_text().splitlines()]

    def total(text: str) -> float:
        ids = torch.tensor([tokenizer(f"w1 {text}")["input_ids"]])
        with torch.no_grad():
            log_p = model(input_ids=ids).logits[0].log_softmax(dim=-1)
        return float(sum(log_p[t, ids[0, t + 1]] for t in range(ids.shape[1] - 1)))

    wanted = [total(row["good"]) >= total(row["bad"]) for row in rows]
    (score,) = found.scores
    assert score.metric == "acc" and score.value == pytest.approx(sum(wanted) / 25) and score.headline
    assert score.error == pytest.approx((score.value * (1 - score.value) / 24) ** 0.5, rel=1e-6)
    assert found.items["acc"].tolist() == [float(one) for one in wanted] and len(set(wanted)) == 2
    assert probe("harness:tiny_pairs", model, tokenizer, items=folder, count=4).items["doc"].tolist() == [0, 1, 2, 3]


def test_nothing_is_downloaded_and_what_is_missing_is_said(folder: Path) -> None:
    tokenizer = cases.tokenizer()
    tokenizer.eos_token = "[SEP]"
    with pytest.raises(InputError, match="the data of the task blimp_adjunct_island is not on this machine"):
        probe("harness:blimp_adjunct_island", cases.gpt2(), tokenizer)
    with pytest.raises(InputError, match="lm-eval has no task called nonsense; see: lm-eval ls tasks"):
        probe("harness:nonsense", cases.gpt2(), tokenizer)
    with pytest.raises(InputError, match="begins texts with a start or an end token, and the tokenizer has neither"):
        probe("harness:tiny_pairs", cases.gpt2(), cases.tokenizer(), items=folder)
