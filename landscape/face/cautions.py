"""What is said of a study whose numbers may be of no use: before it is run, and after."""

from __future__ import annotations

from typing import TYPE_CHECKING

from landscape.profile.metrics.perplexity import LARGEST_LOSS, OF_UNIT
from landscape.study.file import Study
from landscape.study.store import Store

if TYPE_CHECKING:
    import pandas as pd

MEASURED = ("losses", "barriers", "curves")
"""Kinds of tasks that measure losses of checkpoints, or along paths between two."""
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
        keys: Of the tasks that measured these losses, of checkpoints and along paths.
    """
    tables = store.tables(keys, ["loss", "barrier"])
    guessed = _worse_than_guessing(tables["loss"]) if "loss" in tables else []
    return [*guessed, *_without_perplexity(tables)]


def _without_perplexity(tables: dict[str, pd.DataFrame]) -> list[str]:
    """Whether some mean loss of a token is too large for a perplexity: that of a checkpoint, or else along a path."""
    places = (("loss", "loss", "{checkpoint}"), ("barrier", "largest_loss", "the path from {a} to {b}"))
    for table, loss, place in places:
        rows = tables.get(table)
        if rows is not None:
            large = rows[(rows[loss] > LARGEST_LOSS) & rows["unit"].str.endswith(OF_UNIT)]
            for row in large.head(1).to_dict("records"):
                where = place.format(**row)
                return [f"there is no perplexity where the loss is above {LARGEST_LOSS:g} nats, as in {where}"]
    return []


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
