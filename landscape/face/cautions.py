"""What is said of a study whose numbers may be of no use: before it is run, and after."""

from __future__ import annotations

from landscape.study.file import Study
from landscape.study.store import Store

SENTENCES = 3
"""Measures of which it is said that their steps are too few; a calibration has eighteen."""


def foreseen(study: Study) -> list[str]:
    """Sentences on what is known to be of no use before anything is measured, each once."""
    read = {name for measure in study.measure for name in measure.on}
    return [f'[data.{name}] is read by no measure; a measure reads it with on = ["main", "{name}"]'
            for name in study.other_data if name not in read] + _too_few_steps(study)  # fmt: skip


def _too_few_steps(study: Study) -> list[str]:
    """Sentences on the steps of chains that are known to be too few."""
    chains = [(own, on) for measure in study.measure if (own := measure.of_chains) for on in measure.on]
    if not chains:  # what follows imports torch
        return []
    from landscape.llc.arithmetic import foreseen as of

    said = [of(own, study.data_sets[on].sequences) for own, on in chains]
    every = list(dict.fromkeys(one for one in said if one))
    more = len(every) - SENTENCES
    return every if more <= 0 else [*every[:SENTENCES], f"the same of {more} more measures"]


def worse_than_guessing(store: Store, keys: list[str]) -> list[str]:
    """Checkpoints whose loss is above that of a uniform guess, counted in a sentence."""
    rows = store.rows("loss", keys)
    if rows.empty or "uniform_loss" not in rows:
        return []
    worse = rows[rows["loss"] > rows["uniform_loss"]]
    if worse.empty:
        return []
    first = worse.iloc[0]
    return [
        f"the loss of {len(worse)} of {len(rows)} checkpoints is above that of a uniform guess, "
        f"{first['uniform_loss']:.3f}, such as {first['loss']:.3f} of {first['checkpoint']}: they are untrained, or "
        "the text or the tokenizer is not of the model's kind"
    ]
