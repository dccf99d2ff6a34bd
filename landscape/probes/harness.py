"""Any task of lm-evaluation-harness as a probe, by name: ``harness:TASK``; an optional extra.

Scores and errors are the harness' own, for each of its metrics. Nothing is downloaded: a task's data must lie in the
cache of the ``datasets`` library, or beside its YAML file, whose folder is given as items.
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
from landscape.probes.base.finding import Found, Score
from landscape.probes.base.subject import Given, Subject

TAKES = ("causal",)
BATCH = 16
OFFLINE = ("HF_DATASETS_OFFLINE", "HF_HUB_OFFLINE")


@dataclass(frozen=True)
class Items:
    """A task of the harness; its documents are the harness' own, in their order."""

    task: str
    folder: str | None
    limit: int | None


def items(subject: Subject, given: Given, random: np.random.RandomState) -> Items:
    """The task; ``count`` takes only the first so many documents.

    Raises:
        InputError: If the harness is not installed, no task is named, or the tokenizer lacks what texts begin with.
    """
    if not given.task:
        raise InputError("the harness needs the name of a task: harness:TASK, such as harness:lambada_openai")
    _harness()
    if subject.tokenizer.bos_token_id is None and subject.tokenizer.eos_token_id is None:
        raise InputError("lm-eval begins texts with a start or an end token, and the tokenizer has neither; set one")
    return Items(given.task, None if given.items is None else str(given.items), given.count)


def _harness() -> Any:
    """The library.

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
    """Within this, the data sets and hub libraries ask no server, also where they have been imported before."""
    import datasets
    from huggingface_hub import constants

    kept = [
        (datasets.config, "HF_DATASETS_OFFLINE"),
        (datasets.config, "HF_HUB_OFFLINE"),
        (constants, "HF_HUB_OFFLINE"),
    ]
    before = [getattr(module, name, None) for module, name in kept]
    environment = {name: os.environ.get(name) for name in OFFLINE}
    try:
        for module, name in kept:
            setattr(module, name, True)
        os.environ.update(dict.fromkeys(OFFLINE, "1"))
        yield
    finally:
        for (module, name), value in zip(kept, before, strict=True):
            setattr(module, name, value)
        for name, old in environment.items():
            os.environ.pop(name, None) if old is None else os.environ.update({name: old})


def measure(subject: Subject, items: Items) -> Found:
    """Every metric of the task, and of its subtasks.

    Raises:
        InputError: If there is no such task, or its data is not here.
    """
    lm_eval = _harness()
    model = lm_eval.models.huggingface.HFLM(
        pretrained=subject.model, tokenizer=subject.tokenizer, batch_size=BATCH, device=str(subject.device)
    )
    manager = lm_eval.tasks.TaskManager(include_path=items.folder)
    if items.task not in manager.all_tasks:
        raise InputError(f"lm-eval has no task called {items.task}; see: lm-eval ls tasks")
    try:
        with offline():
            found = lm_eval.simple_evaluate(
                model=model, tasks=[items.task], task_manager=manager, limit=items.limit, log_samples=True,
                verbosity="ERROR",
            )  # fmt: skip
    except (ConnectionError, FileNotFoundError, ValueError) as error:
        raise InputError(
            f"the data of the task {items.task} is not on this machine ({str(error).splitlines()[0]}); fetch it "
            "with the datasets library first, since a probe downloads nothing"
        ) from error
    scores = [
        score
        for name, results in found["results"].items()
        for score in _scores(name, results, "" if name == items.task else name, found["higher_is_better"])
    ]
    frame = pd.DataFrame([_outcome(name, sample) for name, some in found["samples"].items() for sample in some])
    frame.insert(0, "item", range(len(frame)))
    return Found(tuple(scores), frame, f"lm-eval {lm_eval.__version__}, {items.task}")


def _scores(name: str, results: dict[str, Any], subset: str, higher: dict[str, dict[str, bool]]) -> list[Score]:
    """Rows like ``acc,none`` with ``acc_stderr,none``."""
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
    """The metrics of a document, its hash, and what was chosen where there were choices."""
    numbers = {m: float(sample[m]) for m in sample.get("metrics", []) if isinstance(sample.get(m), int | float)}
    row: dict[str, Any] = {"task": name, "doc": sample["doc_id"], "hash": sample["doc_hash"], **numbers}
    replies = sample.get("filtered_resps", [])
    if len(replies) > 1 and all(isinstance(reply, tuple | list) and len(reply) == 2 for reply in replies):
        values = np.array([float(reply[0]) for reply in replies])
        row["choice"] = int(values.argmax())
        p = np.exp(values - values.max())
        row.update({f"p_{k}": share for k, share in enumerate(p / p.sum())})
    return row
