"""Whether checkpoints, tokenizer and text go together, beyond what is refused for their shapes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import nn

from landscape.checkpoints import fetch, models, tokenizers
from landscape.checkpoints.identity import sha256
from landscape.errors import InputError
from landscape.objectives import Objective
from landscape.session.buffers import Buffers
from landscape.study.checkpoint import Checkpoint
from landscape.study.sections import Data
from landscape.study.tasks import MAIN

ADAPTER = re.compile(r"lora_|adapter|ia3_|prompt_encoder")
"""In the names of tensors of adapters."""
FEW_UNKNOWN = 0.001
"""Share of unknown tokens that any text may have."""


def warnings(
    data: Mapping[str, Data], objectives: Mapping[str, Objective], checkpoints: Sequence[Checkpoint]
) -> list[str]:
    """What is to be said before checkpoints are evaluated.

    Args:
        data: Data sets by name.
        objectives: Objectives by data set; their models are of one class.
        checkpoints: The checkpoints.

    Raises:
        InputError: If they have tokenizers of different vocabularies, and none is chosen.
    """
    here = [c for c in {c.content: c for c in checkpoints}.values() if fetch.is_here(c)]
    model = next(iter(objectives.values())).model
    blends = dict.fromkeys(data[on].buffers for on in objectives)
    return [
        *([] if all(data[on].tokenizer or data[on].own for on in objectives) else of_tokenizers(checkpoints)),
        *(line for on, objective in objectives.items() for line in of_text(objective, on)),
        *of_tensors(here, model),
        *(line for how in blends for line in of_buffers(here, model, how)),
    ]


def of_tokenizers(checkpoints: Sequence[Checkpoint]) -> list[str]:
    """Whether checkpoints have the first's tokenizer, whose ids all are evaluated on; those without are left out.

    Raises:
        InputError: If the vocabularies differ.
    """
    seen: dict[tuple[tuple[str, str], ...], Checkpoint] = {}
    for checkpoint in checkpoints:
        if files := _tokenizer_files(fetch.described(checkpoint)):
            seen.setdefault(files, checkpoint)
    if len(seen) < 2:
        return []
    first, *others = seen.values()
    table = tokenizers.load(fetch.described(first)).get_vocab()
    for other in others:
        theirs = tokenizers.load(fetch.described(other)).get_vocab()
        if differ := sorted(token for token in table.keys() | theirs.keys() if table.get(token) != theirs.get(token)):
            ids = [held.get(differ[0], "no token") for held in (table, theirs)]
            raise InputError(
                f"two tokenizers: {differ[0]!r} is {ids[0]} in {first.ref} and {ids[1]} in {other.ref}, one of "
                f"{len(differ)} tokens that differ, and all are evaluated on the same ids; give checkpoints of one "
                'tokenizer, or name the one to use: tokenizer = "..." in [data], or --tokenizer'
            )
    return [
        f"the tokenizer files of {others[0].ref} are not those of {first.ref}, by which all are evaluated; the "
        "vocabularies are the same"
    ]


def _tokenizer_files(folder: Path) -> tuple[tuple[str, str], ...]:
    """The files of a tokenizer, each with the hash of its content."""
    files = (file for file in tokenizers.files_of(folder) if file.name != tokenizers.CONFIG)
    return tuple((file.name, sha256(file)) for file in files if file.is_file())


def of_text(objective: Objective, on: str = MAIN) -> list[str]:
    """Whether the tokenizer knows the text of a data set."""
    share = objective.columns.get("unknown", 0.0)
    if share < FEW_UNKNOWN:
        return []
    which = "" if on == MAIN else f" of [data.{on}]"
    return [
        f"the tokenizer does not know {share:.2g} of the tokens of the text{which}; give a text, or the tokenizer, of "
        "the model's kind"
    ]


def of_tensors(checkpoints: Sequence[Checkpoint], model: nn.Module) -> list[str]:
    """How many tensors of files the model has no place for."""
    more = {c.ref: names for c in checkpoints if (names := models.unused(fetch.weights(c), model))}
    if not more:
        return []
    ref, names = next(iter(more.items()))
    every = f" and in {len(more) - 1} other checkpoints" if len(more) > 1 else ""
    return [
        f"{len(names)} tensors in {ref}{every} have no place in a {type(model).__name__} and are left out: "
        f"{', '.join(names[:3])}{' ...' if len(names) > 3 else ''}"
        + ("; an adapter in a folder of its own is merged into its base" if any(map(ADAPTER.search, names)) else "")
    ]


def of_buffers(checkpoints: Sequence[Checkpoint], model: nn.Module, how: str) -> list[str]:
    """Whether checkpoints differ in what is part of the function and no parameter.

    Args:
        checkpoints: Those whose files are here.
        model: A model of their architecture.
        how: What a point between two ends takes.
    """
    differ = Buffers.of(model).differ(checkpoints)
    which = "their mean" if how == "interpolated" else "those of the nearer end"
    if not differ:
        return []
    return [
        f"the checkpoints differ in {len(differ)} learned buffers ({', '.join(differ[:2])}"
        f"{', ...' if len(differ) > 2 else ''}): a point between two ends takes {which}"
    ]
