"""What is said of a study whose numbers may be of no use: before it is run, and after."""

from __future__ import annotations

from typing import TYPE_CHECKING

from landscape.profile.metrics.perplexity import LARGEST_LOSS, OF_UNIT
from landscape.study.file import Study
from landscape.study.store import Store

if TYPE_CHECKING:
    import pandas as pd

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


def found(store: Store, keys: list[str]) -> list[str]:
    """Sentences on losses that are too large: for a trained model, or for a perplexity.

    Args:
        store: Results.
        keys: Of the tasks that measured these losses.
    """
    rows = store.rows("loss", keys)
    return [] if rows.empty else [*_worse_than_guessing(rows), *_without_perplexity(rows)]


def _without_perplexity(rows: pd.DataFrame) -> list[str]:
    """Whether some mean loss of a token is too large for a perplexity."""
    large = rows[(rows["loss"] > LARGEST_LOSS) & rows["unit"].str.endswith(OF_UNIT)]
    if large.empty:
        return []
    first = large["checkpoint"].iloc[0]
    return [f"there is no perplexity where the loss is above {LARGEST_LOSS:g} nats, as in {first}"]


def _worse_than_guessing(rows: pd.DataFrame) -> list[str]:
    """Checkpoints whose loss is above that of a uniform guess, counted in a sentence."""
    if "uniform_loss" not in rows:
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
