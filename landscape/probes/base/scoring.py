"""Log-probabilities of many short texts at once.

Texts are sorted by length, so that the texts of a pass have about the same length. Only the logits that are read are
made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from landscape.errors import InputError
from landscape.objectives.head import (
    CPU_LOGITS,
    GPU_LOGITS,
    head_is_plain,
    head_is_positionwise,
    hidden,
    positions,
    wide,
)
from landscape.probes.base.model import ProbeModel
from landscape.probes.base.prefixes import PrefixTree
from landscape.shapes import Float, Int

TOKENS, GPU_TOKENS = 512, 16384
"""Tokens of a pass on a CPU and on a GPU. On two cores, larger passes were up to twice as slow."""
BLOCK = 2048
"""Tokens of the vocabulary whose logits are made at a time."""


def passes(lengths: Sequence[int], tokens: int = TOKENS) -> Iterator[list[int]]:
    """Batches of texts that are neighbours in length, by their numbers; each has at most ``tokens`` with its padding.

    >>> list(passes([2, 7, 2, 3], tokens=8))
    [[0, 2], [3], [1]]
    """
    batch: list[int] = []
    for k in np.argsort(np.asarray(lengths), kind="stable").tolist():
        if batch and lengths[k] * (len(batch) + 1) > tokens:
            yield batch
            batch = []
        batch.append(k)
    if batch:
        yield batch


def padded(
    sequences: Sequence[Sequence[int]], device: torch.device, fill: int = 0
) -> tuple[Int[Tensor, "n l"], Int[Tensor, "n l"]]:
    """Token ids, padded on the right, and the attention mask.

    Args:
        sequences: Token ids.
        device: Device of the result.
        fill: Padding token.
    """
    longest = max(map(len, sequences))
    ids = torch.tensor([[*s, *[fill] * (longest - len(s))] for s in sequences])
    mask = torch.tensor([[1] * len(s) + [0] * (longest - len(s)) for s in sequences])
    return ids.to(device), mask.to(device)


def require_length(model: ProbeModel, sequences: Sequence[Sequence[int]], texts: Sequence[str] = ()) -> None:
    """Refuse sequences that are too long for the model.

    Args:
        model: The model.
        sequences: Token ids.
        texts: The texts of the sequences, to name the one that is too long.

    Raises:
        InputError: If there is no sequence, or one is too long.
    """
    if not sequences:
        raise InputError("there is nothing to score; give at least one text")
    longest = max(range(len(sequences)), key=lambda k: len(sequences[k]))
    if (tokens := len(sequences[longest])) > model.longest:
        which = f": {texts[longest]:.60}..." if texts else ""
        raise InputError(f"an item has {tokens} tokens and the model takes {model.longest}; give shorter items{which}")


@torch.no_grad()
def causal(model: ProbeModel, sequences: Sequence[Sequence[int]]) -> list[Float[np.ndarray, " tokens"]]:
    """``ln p(token | tokens before it)`` in nats of every token but the first, for each sequence.

    Padding is on the right, where no token sees it. If sequences share a prefix, as the two sentences of a pair do, the
    model's head is applied to it once.

    Raises:
        InputError: If a sequence is too long.
    """
    require_length(model, sequences)
    network = model.network
    plain = head_is_plain(network, {"input_ids": torch.tensor([sequences[0]], device=model.device)})
    plain = plain and isinstance(network.get_output_embeddings(), nn.Linear)
    tree = PrefixTree(sequences)
    values = np.full(len(tree.token), np.nan)
    done = np.zeros(len(tree.token), dtype=bool)
    chosen = tree.longest()
    paths = [tree.nodes[k][:-1] for k in chosen]  # nothing is predicted after the last token
    for batch in passes([len(path) for path in paths], TOKENS if model.device.type == "cpu" else GPU_TOKENS):
        ids, _ = padded([sequences[chosen[k]][:-1] for k in batch], model.device)
        nodes = np.concatenate([paths[k] for k in batch])
        row = np.repeat(np.arange(len(batch)), [len(paths[k]) for k in batch])
        position = np.concatenate([np.arange(len(paths[k])) for k in batch])
        new, first = np.unique(nodes, return_index=True)
        first, new = first[~done[new]], new[~done[new]]
        done[new] = True
        branches = np.flatnonzero(np.isin(tree.parent, new))
        index = torch.from_numpy(row[first]), torch.from_numpy(position[first])
        parent = torch.from_numpy(np.searchsorted(new, tree.parent[branches])).to(model.device)
        token = torch.from_numpy(tree.token[branches]).to(model.device)
        if plain:
            states = hidden(network, {"input_ids": ids, "use_cache": False})[index]  # type: ignore[dict-item]
            log_p = _plain(states, network.get_output_embeddings(), parent, token)
        else:
            logits = wide(network(input_ids=ids).logits[index])
            log_p = logits[parent, token] - logits.logsumexp(dim=-1)[parent]
        values[branches] = log_p.double().cpu().numpy()
    return [values[nodes[1:]] for nodes in tree.nodes]


def _plain(
    states: Float[Tensor, "n width"], head: nn.Linear, parent: Int[Tensor, " wanted"], token: Int[Tensor, " wanted"]
) -> Float[Tensor, " wanted"]:
    """``ln p`` in nats of tokens after some of the states; the logits are made a block of the vocabulary at a time.

    The blocks stay in the processor's cache. This is 1.6 times as fast as all of 50,257 tokens for a few states at a
    time.
    """
    weight, bias = head.weight, head.bias
    blocks = torch.stack([
        wide(F.linear(states, weight[k : k + BLOCK], None if bias is None else bias[k : k + BLOCK])).logsumexp(dim=-1)
        for k in range(0, len(weight), BLOCK)
    ])
    logits = (wide(states[parent]) * wide(weight[token])).sum(dim=-1)
    return logits + (0 if bias is None else wide(bias[token])) - blocks.logsumexp(dim=0)[parent]


@torch.no_grad()
def at(
    model: ProbeModel,
    sequences: Sequence[Sequence[int]],
    where: Sequence[int],
    read: Callable[[Float[Tensor, "n vocabulary"], list[int]], Any],
) -> None:
    """Compute the log-probabilities of all tokens at one position of each sequence, and pass them to ``read``.

    Args:
        model: The model.
        sequences: Token ids.
        where: Position in each sequence whose output is read.
        read: Takes the log-probabilities of a few sequences, in nats, and the numbers of these sequences.

    Raises:
        InputError: If a sequence is too long.
    """
    require_length(model, sequences)
    network, device = model.network, model.device
    ids, _ = padded(sequences[:1], device)
    positionwise = head_is_positionwise(network, {"input_ids": ids}, torch.tensor([[where[0]]], device=device))
    budget = CPU_LOGITS if device.type == "cpu" else GPU_LOGITS
    rows = max(1, budget // (4 * int(network.config.vocab_size)))
    for together in passes([len(s) for s in sequences]):
        for begin in range(0, len(together), rows):
            batch = together[begin : begin + rows]
            ids, mask = padded([sequences[k] for k in batch], device)
            chosen = torch.tensor([[where[k]] for k in batch], device=device)
            inputs = {"input_ids": ids, **({} if bool(mask.all()) else {"attention_mask": mask})}
            if positionwise:
                with positions(network, chosen):
                    logits = network(**inputs).logits[:, 0]
            else:
                logits = network(**inputs).logits.gather(
                    1, chosen[..., None].expand(-1, -1, int(network.config.vocab_size))
                )[:, 0]
            read(F.log_softmax(wide(logits), dim=-1), batch)


def choices(
    model: ProbeModel,
    sequences: Sequence[Sequence[int]],
    where: Sequence[int],
    wanted: Sequence[Sequence[int]],
) -> Float[np.ndarray, "n choices"]:
    """``ln p`` in nats of some tokens at one position of each sequence.

    Args:
        model: The model.
        sequences: Token ids.
        where: Position in each sequence whose output is read.
        wanted: The tokens, equally many for each sequence.
    """
    out = np.empty((len(sequences), len(wanted[0])))

    def read(log_p: Tensor, batch: list[int]) -> None:
        index = torch.tensor([wanted[k] for k in batch], device=log_p.device)
        out[batch] = log_p.gather(1, index).double().cpu().numpy()

    at(model, sequences, where, read)
    return out


def texts(model: ProbeModel, sentences: Sequence[str], pll: str = "within_word_l2r") -> Float[np.ndarray, " texts"]:
    """Log-probability of each text in nats, summed over its tokens.

    For a causal model it is ``sum_t ln p(x_t | x_<t)``; the first token counts if a start token comes before it. For a
    masked model it is the pseudo-log-likelihood, see :func:`pseudo`.

    Args:
        model: The model.
        sentences: The texts.
        pll: Pseudo-log-likelihood for masked models.

    Raises:
        InputError: If the model is a classifier, or a text is empty or too long.
    """
    unique = list(dict.fromkeys(sentences))
    if model.kind == "causal":
        encoded = [[*model.start, *model.ids(sentence)] for sentence in unique]
        if short := next((s for s, ids in zip(unique, encoded, strict=True) if len(ids) < 2), None):
            raise InputError(f"{short!r} is one token to this tokenizer, and its probability depends on nothing")
        if "" in unique:
            raise InputError("a text is empty; every text needs at least one word")
        sums = np.array([values.sum() for values in causal(model, encoded)])
    else:
        sums = pseudo(model, unique, pll)
    number = {sentence: k for k, sentence in enumerate(unique)}
    return np.asarray(sums[[number[sentence] for sentence in sentences]])


def pseudo(model: ProbeModel, sentences: Sequence[str], pll: str) -> Float[np.ndarray, " texts"]:
    """Pseudo-log-likelihood of each text in nats: the sum over its tokens of ``ln p(token | masked text)``.

    ``original`` masks one token at a time (Salazar et al. 2020, arXiv:1910.14659). Words of several tokens then become
    too likely, since their other tokens give them away. ``within_word_l2r`` also masks the later tokens of the same
    word (Kauf & Ivanova 2023, arXiv:2305.10588). Each token takes one sequence through the model.

    Args:
        model: A masked model.
        sentences: The texts.
        pll: ``original`` or ``within_word_l2r``.

    Raises:
        InputError: If the model is not masked, its tokenizer has no mask token or is not fast, or a text is empty.
    """
    require_masked(model)
    tokenizer = model.tokenizer
    if not tokenizer.is_fast:
        raise InputError("words are known to fast tokenizers only; save the tokenizer with its tokenizer.json")
    rows: list[list[int]] = []
    where, owner, targets = [], [], []
    for number, sentence in enumerate(sentences):
        encoded = tokenizer(sentence, verbose=False)
        ids, words = encoded["input_ids"], encoded.word_ids()
        if all(word is None for word in words):
            raise InputError("a text is empty; every text needs at least one word")
        for t, word in enumerate(words):
            if word is None:
                continue
            hide = {t} if pll == "original" else {u for u in range(t, len(ids)) if words[u] == word}
            rows.append([tokenizer.mask_token_id if u in hide else token for u, token in enumerate(ids)])
            where.append(t)
            owner.append(number)
            targets.append([ids[t]])
    return np.bincount(owner, weights=choices(model, rows, where, targets)[:, 0], minlength=len(sentences))


def require_masked(model: ProbeModel) -> None:
    """Refuse a model that is not masked, and a tokenizer without a mask token.

    Raises:
        InputError: In either case.
    """
    if model.kind != "masked":
        raise InputError(f"texts are scored by causal and masked language models, and this is a {model.kind}")
    if model.tokenizer.mask_token_id is None:
        raise InputError("the tokenizer has no mask token; a masked model needs the tokenizer it was trained with")
