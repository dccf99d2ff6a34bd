"""What a GPU measures is what a processor measures, to rounding."""

from __future__ import annotations

from pathlib import Path

import finished as study
import numpy as np
import pandas as pd
import pytest
import torch

import landscape as ls
from landscape.points.evaluate import evaluate
from landscape.points.strategy import Strategy
from landscape.study.store import Store

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
DRAWN = {"llc", "chain", "trace", "curve", "alignment", "fit"}
"""Tables of what is drawn at random on the device, or follows from many steps of gradients."""
OF_THE_MACHINE = {"seconds", "device", "strategy", "threads", "hours"}


def both(runs: Path, finished: Path, place: Path, device: str) -> dict[str, tuple[pd.DataFrame, pd.DataFrame]]:
    """The tables of the study of every kind by the processor and by a device."""
    ours, theirs = (Store(folder / "results") for folder in (finished, study.of(runs, place, device)))
    keys = [task["key"] for task in ours.record()["tasks"]]
    assert keys == [task["key"] for task in theirs.record()["tasks"]]
    names = sorted(ours.tables(keys))
    return {name: (ours.rows(name, keys), theirs.rows(name, keys)) for name in names}


@pytest.mark.parametrize("device", [pytest.param("cpu", marks=pytest.mark.slow), pytest.param("cuda:all", marks=gpu)])
def test_rows_of_every_kind_are_those_of_a_processor(
    few_runs: Path, finished: Path, tmp_path: Path, device: str
) -> None:
    tables = both(few_runs, finished, tmp_path, device)
    assert {"loss", "barrier", "profile", "probe"} <= set(tables)
    for name, (wanted, found) in tables.items():
        assert len(wanted) == len(found) > 0 and list(wanted.columns) == list(found.columns)
        numbers = wanted.select_dtypes("number").columns.difference(list(OF_THE_MACHINE))
        if name in DRAWN:
            assert np.isfinite(found[numbers].to_numpy(float, na_value=0.0)).all()
            continue
        ours, theirs = (frame[numbers].to_numpy(float, na_value=np.nan) for frame in (wanted, found))
        np.testing.assert_allclose(theirs, ours, rtol=2e-3, atol=2e-4, err_msg=name)


@gpu
@pytest.mark.parametrize("dtype", ["auto", "tf32", "bfloat16"])
def test_lower_precision_says_its_error(few_runs: Path, dtype: str) -> None:
    refs = [few_runs / f"seed_{seed}" / "step_10" for seed in range(3)]
    exact, found = (ls.barriers(refs, sequences=64, length=16, points=5, device=where, dtype=own)
                    for where, own in (("cpu", "float32"), ("cuda", dtype)))  # fmt: skip
    errors = found.frame["dtype_error"].fillna(0).to_numpy(float)
    apart = np.abs(found.frame["barrier"].to_numpy(float) - exact.frame["barrier"].to_numpy(float))
    assert (apart <= 2 * errors + 1e-5).all() and errors.max() < 0.01


@gpu
def test_chunks_that_do_not_fit_are_halved() -> None:
    """A GPU with half a gigabyte takes as many points at once as it can."""
    import cases
    from transformers import GPT2Config

    from landscape.objectives import causal_lm

    config = GPT2Config(vocab_size=500, n_embd=256, n_layer=4, n_head=4, n_positions=128, bos_token_id=None)
    ids = torch.randint(500, (128, 128), generator=cases.generator(3))
    objective = causal_lm.build(cases.auto(config, 1), {"input_ids": ids}).to(torch.device("cuda"))
    point = objective.space.vector(dict(objective.model.named_parameters())).detach()
    anchors, rows = torch.stack([point, 1.1 * point]), torch.rand(64, 2, generator=cases.generator(4)).double()
    few = evaluate(objective, anchors, rows, strategy=Strategy())["loss"]
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 2**29) / total)
    try:
        many = evaluate(objective, anchors, rows, strategy=Strategy("vmap", 64, 128))["loss"]
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    torch.testing.assert_close(many, few, rtol=0, atol=1e-4)
