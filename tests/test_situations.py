"""Situations of public bug reports, each a script that makes its own checkpoints and runs whole commands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from forked import stand_ins

pytestmark = pytest.mark.slow
FOLDER = Path(__file__).parent / "situations"
APART = {"07_hub_cache_offline"}
"""Scripts whose commands start by themselves: they change what is read by an import, or the user."""


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with ``landscape`` and ``python`` that need no start."""
    with stand_ins(tmp_path_factory.mktemp("commands")) as folder:
        yield folder


def said(name: str, folder: Path, commands: Path) -> str:
    """What a script prints, in one line, with nothing of frames and progress."""
    forked = [] if name in APART else [str(commands)]
    path = os.pathsep.join([*forked, str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "TMPDIR": str(folder), "COLUMNS": "300"}
    done = subprocess.run(
        ["bash", FOLDER / f"{name}.sh"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment,
        timeout=300, check=False,
    )  # fmt: skip
    return " ".join(done.stdout.split())


WANTED: dict[str, tuple[str, ...]] = {
    "02_short_run_moves_dates": (
        r"== cut .*skill: its mean over seeds leaves out seed 2 \(from step 0 to 8 only\).* 2 NaN 8.0 inf 3 17.0",
    ),
    "03_different_tokenizers": (r"== own/0 own/1 Error: .*tokenizer.* == own/1 own/0 Error: .*tokenizer",),
    "04_regression_and_multilabel": (
        r"== reg on reg.jsonl .* 1 │ +\d+\.\d+ .* == multi on multi.jsonl .* 1 │ +\d+\.\d+ ",
        r"the label 0.9 is no class: classes are whole numbers",
    ),
    "05_gpt2_classifier_no_pad": (r"Error: .*; set pad_token_id in the config.json .* rc 2$",),
    "06_gemma3_multimodal": (r"chord barrier \(nats per token\)", r"rc 0$"),
    "07_hub_cache_offline": (r"from_pretrained: ok barrier: ",),
    "08_step_names": (
        r"'multiberts-seed_0-step_20k': 20000, 'run/step=1e3': 1000, 'run/step_1_000': 1000, 'footstep2/final': None",
    ),
    "09_brackets_in_paths": (
        r"betas=\[0.9,0.95\]/seed_0/step_10 .* hf\[1\]/checkpoint-1 .* 1 betas=\[0.9,0.95\]/seed_0/step_10 2 betas=",
    ),
    "10_trainer_root": (r"^1 run/checkpoint-10 2 run/checkpoint-20 3 run 4 other$",),
    "11_bert_as_causal": (r"Error: .* sees the tokens that it is to predict.* rc 2$",),
    "12_tokenizers_not_recognised": (r"1 b/0 2 b/1 chord barrier \(nats per token\)",),
    "14_xlnet_length": (r"1 x/0 2 x/1 chord barrier \(nats per token\)",),
    "15_adapters": (
        r"== a .*│ 1 │ +\d+\.\d+ .* == b ",
        r"== b warning: 2 tensors in b have no place in a GPT2LMHeadModel and are left out: \S*lora_A",
        r"== c.pt warning: 2 tensors in c.pt have no place",
    ),
    "16_usual_files_refused": (r"^Error: namespace.pt was refused.*--allow-class argparse.Namespace$",),
    "17_no_way_out_messages": (
        r"Error: the data has 1 of the 32 examples wanted",
        r"Error: t5/0 is a t5, which AutoModelForCausalLM cannot make; choose another objective: .*seq2seq",
        r"failed: losses huge: the loss is not finite at 1 of 1 points in float32; the weights there overflow",
        r"Error: bnb is quantised.* call dequantize\(\)",
        r"Error: leftover is quantised",
    ),
}


def test_every_script_is_tried() -> None:
    """Two of them have answers in numbers, and tests of their own."""
    assert {file.stem for file in FOLDER.glob("*.sh")} == {*WANTED, "01_buffers_ignored", "13_jsonl_as_plain_text"}


@pytest.mark.parametrize("name", WANTED)
def test_a_situation_ends_as_it_should(name: str, tmp_path: Path, commands: Path) -> None:
    found = said(name, tmp_path, commands)
    for words in WANTED[name]:
        assert re.search(words, found), found
    assert "Traceback" not in found and "cannot write" not in found


def test_losses_with_learned_buffers_are_those_of_from_pretrained(tmp_path: Path, commands: Path) -> None:
    found = said("01_buffers_ignored", tmp_path, commands)
    usual = re.findall(r"(\w+) \d from_pretrained: ([\d.]+)", found)
    assert usual and [value for _, value in usual] == re.findall(r"landscape t [\d.]+ ([\d.]+)", found), found


def test_json_lines_are_read_by_their_text(tmp_path: Path, commands: Path) -> None:
    """Both files hold the same kind of words: braces and quotes would cost more."""
    found = said("13_jsonl_as_plain_text", tmp_path, commands)
    plain, _, lines, _ = (float(row) for row in re.findall(r"│ [12] │(?: +[\d.]+ +│)? +([\d.]+)", found))
    assert abs(plain - lines) < 0.3, found
