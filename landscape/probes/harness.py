"""Any task of lm-evaluation-harness as a probe: ``harness:TASK``. It needs an optional extra.

Scores and errors are those of the harness, for each of its metrics. Nothing is downloaded: the data of a task must be
in the cache of the ``datasets`` library, or next to its YAML file in the folder that is given as ``items``.
"""

from __future__ import annotations

import importlib
import math
import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from landscape.errors import InputError
from landscape.probes.base.model import ProbeInputs, ProbeModel
from landscape.probes.base.result import ProbeResult, Score

TAKES = ("causal",)
USUAL_FOR: tuple[str, ...] = ()
RANDOM_ITEMS = False
BATCH = 16
OFFLINE = ("HF_DATASETS_OFFLINE", "HF_HUB_OFFLINE")


@dataclass(frozen=True)
class Items:
    """A task of the harness, with the folder of its YAML file and the number of documents; None takes all."""

    task: str
    folder: str | None
    limit: int | None


def items(model: ProbeModel, inputs: ProbeInputs, random: np.random.RandomState) -> Items:
    """The task.

    Args:
        model: The model.
        inputs: ``task``; ``count``, the number of first documents to take; ``items``, the folder of the YAML file.
        random: Not used.

    Raises:
        InputError: If the harness is not installed, no task is named, or the tokenizer has neither a start token nor
            an end token.
    """
    if not inputs.task:
        raise InputError("the harness needs the name of a task: harness:TASK, such as harness:lambada_openai")
    _harness()
    if model.tokenizer.bos_token_id is None and model.tokenizer.eos_token_id is None:
        raise InputError("lm-eval begins texts with a start or an end token, and the tokenizer has neither; set one")
    return Items(inputs.task, None if inputs.items is None else str(inputs.items), inputs.count)


def _harness() -> Any:
    """The harness.

    Raises:
        InputError: If it is not installed.
    """
    try:
        for part in ("models.huggingface", "tasks"):
            importlib.import_module(f"lm_eval.{part}")
        return importlib.import_module("lm_eval")
    except ModuleNotFoundError as error:
        raise InputError("harness tasks need lm-eval: pip install 'landscape-toolkit[harness]'") from error


@contextmanager
def offline() -> Generator[None]:
    """Within this context, the libraries of data sets and of the hub contact no server, even if already imported."""
    import datasets
    from huggingface_hub import constants

    switches = [
        (datasets.config, "HF_DATASETS_OFFLINE"),
        (datasets.config, "HF_HUB_OFFLINE"),
        (constants, "HF_HUB_OFFLINE"),
    ]
    before = [getattr(module, name, None) for module, name in switches]
    environment = {name: os.environ.get(name) for name in OFFLINE}
    try:
        for module, name in switches:
            setattr(module, name, True)
        os.environ.update(dict.fromkeys(OFFLINE, "1"))
        yield
    finally:
        for (module, name), value in zip(switches, before, strict=True):
            setattr(module, name, value)
        for name, old in environment.items():
            os.environ.pop(name, None) if old is None else os.environ.update({name: old})


def measure(model: ProbeModel, items: Items) -> ProbeResult:
    """Every metric of the task and of its subtasks, in the units of the harness.

    Raises:
        InputError: If there is no such task, or its data is not on this disk.
    """
    lm_eval = _harness()
    wrapped = lm_eval.models.huggingface.HFLM(
        pretrained=model.network, tokenizer=model.tokenizer, batch_size=BATCH, device=str(model.device)
    )
    manager = lm_eval.tasks.TaskManager(include_path=items.folder)
    if items.task not in manager.all_tasks:
        raise InputError(f"lm-eval has no task called {items.task}; see: lm-eval ls tasks")
    try:
        with offline():
            results = lm_eval.simple_evaluate(
                model=wrapped, tasks=[items.task], task_manager=manager, limit=items.limit, log_samples=True,
                verbosity="ERROR",
            )  # fmt: skip
    except (ConnectionError, FileNotFoundError, ValueError) as error:
        raise InputError(
            f"the data of the task {items.task} is not on this machine ({str(error).splitlines()[0]}); fetch it "
            "with the datasets library first, since a probe downloads nothing"
        ) from error
    scores = [
        score
        for name, own in results["results"].items()
        for score in _scores(name, own, "" if name == items.task else name, results["higher_is_better"])
    ]
    frame = pd.DataFrame([_outcome(name, sample) for name, some in results["samples"].items() for sample in some])
    frame.insert(0, "item", range(len(frame)))
    return ProbeResult(tuple(scores), frame, f"lm-eval {lm_eval.__version__}, {items.task}")


def _scores(name: str, results: dict[str, Any], subset: str, higher: dict[str, dict[str, bool]]) -> list[Score]:
    """Scores from entries such as ``acc,none`` and ``acc_stderr,none``."""
    out: list[Score] = []
    for key, value in results.items():
        metric, _, which = key.partition(",")
        if not which or metric.endswith("_stderr") or not isinstance(value, int | float):
            continue
        error = results.get(f"{metric}_stderr,{which}", math.nan)
        better = higher.get(name, {}).get(metric)
        out.append(Score(
            metric if which == "none" else f"{metric},{which}", float(value),
            float(error) if isinstance(error, int | float) else math.nan, int(results.get("sample_len", 0)), subset,
            "" if better is None else "higher" if better else "lower", headline=not subset and not out,
        ))  # fmt: skip
    return out


def _outcome(name: str, sample: dict[str, Any]) -> dict[str, Any]:
    """The metrics and hash of a document, and the choice if it has choices."""
    numbers = {m: float(sample[m]) for m in sample.get("metrics", []) if isinstance(sample.get(m), int | float)}
    row: dict[str, Any] = {"task": name, "doc": sample["doc_id"], "hash": sample["doc_hash"], **numbers}
    replies = sample.get("filtered_resps", [])
    if len(replies) > 1 and all(isinstance(reply, tuple | list) and len(reply) == 2 for reply in replies):
        values = np.array([float(reply[0]) for reply in replies])
        row["choice"] = int(values.argmax())
        p = np.exp(values - values.max())
        row.update({f"p_{k}": share for k, share in enumerate(p / p.sum())})
    return row
