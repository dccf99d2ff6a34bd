"""n-grams: how close the model's predictions are to uni-, bi- and trigram models of the training text.

The score is ``KL(q_n(. | last n - 1 tokens) || p_model(. | all tokens before))`` in nats, averaged over the positions
of held-out text. Its minimum over training dates the stage at which the model is closest to the n-gram model. Hoogland
et al. (2024, arXiv:2402.02364) measure the cross-entropy, which is the KL plus the constant entropy of ``q_n``, with
single tokens as context; so does the score called ``isolated``.

``q_n`` is smoothed by interpolated absolute discounting (Ney, Essen & Kneser 1994):
``max(c(h y) - d, 0) / c(h) + d N(h) / c(h) q_{n-1}(y)``. ``N(h)`` is the number of different tokens seen after ``h``,
``d = n_1 / (n_1 + 2 n_2)`` is from the numbers of n-grams that occur once and twice, and ``q_0`` is uniform. This is
not Kneser-Ney smoothing, whose lower orders count contexts instead of tokens.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from scipy import sparse
from torch import Tensor

from landscape.errors import InputError
from landscape.objectives.head import wide
from landscape.objectives.text import blocks, read_file
from landscape.probes.base.model import ProbeInputs, ProbeModel, require_text
from landscape.probes.base.result import ProbeResult, Score, digest, mean
from landscape.probes.base.scoring import at
from landscape.shapes import Float, Int

TAKES = ("causal",)
USUAL_FOR: tuple[str, ...] = ()
RANDOM_ITEMS = False
ORDERS = {1: "unigram", 2: "bigram", 3: "trigram"}
SEQUENCES = 32
"""Default number of stretches, at most."""
CONTEXTS = 512
"""Number of single tokens as context: the most frequent ones."""
LOGITS = 4 * 2**20
"""Probabilities of a pass."""


@dataclass(frozen=True)
class Ngrams:
    """Counts of the n-grams of a text.

    Attributes:
        vocabulary: Size of the vocabulary.
        unigrams: Count of each token.
        contexts: For n = 2 and 3, the contexts that occur, as increasing numbers in base ``vocabulary``.
        starts: Index into ``tokens`` at which the tokens after each context begin.
        tokens: Tokens seen after each context.
        counts: Count of each of these tokens.
    """

    vocabulary: int
    unigrams: Int[np.ndarray, " vocabulary"]
    contexts: tuple[np.ndarray, ...]
    starts: tuple[np.ndarray, ...]
    tokens: tuple[np.ndarray, ...]
    counts: tuple[np.ndarray, ...]

    def q(self, order: int, before: Int[np.ndarray, "n context"]) -> Float[np.ndarray, "n vocabulary"]:
        """Distribution of the next token after each context, of which the last ``order - 1`` tokens are used."""
        n = len(before)
        if order == 0:
            return np.full((n, self.vocabulary), 1 / self.vocabulary)
        lower = self.q(order - 1, before)
        if order == 1:
            return discounted(np.broadcast_to(self.unigrams, lower.shape), discount(self.unigrams), lower)
        table, counts = order - 2, self.counts[order - 2]
        wanted = code(before[:, before.shape[1] - order + 1 :], self.vocabulary)
        row = np.searchsorted(self.contexts[table], wanted).clip(max=len(self.contexts[table]) - 1)
        known = self.contexts[table][row] == wanted
        everything = sparse.csr_matrix(
            (counts, self.tokens[table], self.starts[table]), shape=(len(self.contexts[table]), self.vocabulary)
        )
        mixed = discounted(np.asarray(everything[row].todense()), discount(counts), lower)
        return np.where(known[:, None], mixed, lower)

    def to_bytes(self) -> bytes:
        """The counts as the content of a file."""
        stream = io.BytesIO()
        arrays = {f"{name}{k}": array for name in ("contexts", "starts", "tokens", "counts")
                  for k, array in enumerate(getattr(self, name))}  # fmt: skip
        np.savez(stream, vocabulary=self.vocabulary, unigrams=self.unigrams, **arrays)
        return stream.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Ngrams:
        """The counts from the content of a file."""
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            tables = {name: tuple(arrays[f"{name}{k}"] for k in range(len(ORDERS) - 1))
                      for name in ("contexts", "starts", "tokens", "counts")}  # fmt: skip
            return cls(int(arrays["vocabulary"]), arrays["unigrams"], **tables)


def code(context: Int[np.ndarray, "n length"], vocabulary: int) -> Int[np.ndarray, " n"]:
    """Each context as one number in base ``vocabulary``."""
    number = np.zeros(len(context), dtype=np.int64)
    for column in context.T:
        number = number * vocabulary + column
    return number


def discounted(
    seen: Int[np.ndarray, "n vocabulary"], d: float, lower: Float[np.ndarray, "n vocabulary"]
) -> Float[np.ndarray, "n vocabulary"]:
    """Counts as probabilities: ``d`` is taken off each positive count and spread over all tokens by ``lower``.

    Args:
        seen: Counts of the tokens after each context.
        d: The discount, in [0, 1].
        lower: Distribution of the lower order.
    """
    free = d * (seen > 0).sum(axis=1, keepdims=True)
    return np.asarray((np.maximum(seen - d, 0) + free * lower) / seen.sum(axis=1, keepdims=True))


def discount(counts: Int[np.ndarray, " ngrams"]) -> float:
    """The discount ``n_1 / (n_1 + 2 n_2)``, in [0, 1]; one half if no n-gram occurs once."""
    once, twice = int((counts == 1).sum()), int((counts == 2).sum())
    return once / (once + 2 * twice) if once else 0.5


def fit(ids: Int[np.ndarray, " tokens"], vocabulary: int) -> Ngrams:
    """Count the n-grams of a text.

    Raises:
        InputError: If the text is shorter than a trigram.
    """
    if len(ids) < 3:
        raise InputError(f"n-grams need a training text, and this one has {len(ids)} tokens; give --train-text")
    contexts, starts, tokens, counts = [], [], [], []
    for order in (2, 3):
        windows = np.lib.stride_tricks.sliding_window_view(ids.astype(np.int64), order)
        grams, count = np.unique(code(windows, vocabulary), return_counts=True)
        before, token = np.divmod(grams, vocabulary)
        context, start = np.unique(before, return_index=True)
        contexts.append(context)
        starts.append(np.append(start, len(grams)))
        tokens.append(token)
        counts.append(count)
    return Ngrams(vocabulary, np.bincount(ids, minlength=vocabulary), tuple(contexts), tuple(starts), tuple(tokens),
                  tuple(counts))  # fmt: skip


@dataclass(frozen=True)
class Items:
    """Stretches of text, the start token, and the counts of the training text."""

    ids: Int[Tensor, "sequences length"]
    start: tuple[int, ...]
    ngrams: Ngrams


def prepared(
    model: ProbeModel,
    inputs: ProbeInputs,
    kept: Callable[[str, str], bytes | None],
    keep: Callable[[str, str, bytes], None],
) -> ProbeInputs:
    """The inputs with the n-grams of the training text, which are counted once and kept by their text.

    Args:
        model: Whose tokenizer is used.
        inputs: The inputs.
        kept: Content of a file of a folder and name; None if there is none.
        keep: Keeps a content under a folder and name.
    """
    if not inputs.train_text:
        return inputs
    ids = model.tokens(inputs.train_text).numpy()
    vocabulary = int(model.network.config.vocab_size)
    file = f"{digest([vocabulary, ids])}.npz"
    if (known := kept("ngrams", file)) is not None:
        return replace(inputs, ngrams=Ngrams.from_bytes(known))
    counted = fit(ids, vocabulary)
    keep("ngrams", file, counted.to_bytes())
    return replace(inputs, ngrams=counted)


def items(model: ProbeModel, inputs: ProbeInputs, random: np.random.RandomState) -> Items:
    """Stretches of the held-out text, and the counts of the training text.

    Args:
        model: The model.
        inputs: ``train_text``, or its counts in ``ngrams`` too; ``text``, or ``items``, a file of text; ``count`` or
            ``sequences`` stretches of ``length`` tokens.
        random: Not used.

    Raises:
        InputError: If there is no training text, a text is too short, or the vocabulary is too large.
    """
    if not inputs.train_text.strip():
        raise InputError(
            "ngrams needs the text that the model was trained on, or one like it, and there is none: give train_text, "
            "a file with text in it"
        )
    text = read_file(inputs.items, "items") if inputs.items else inputs.text
    require_text(text)
    vocabulary = int(model.network.config.vocab_size)
    if vocabulary**3 >= 2**63:
        raise InputError(f"a vocabulary of {vocabulary} tokens is too large to count trigrams of")
    length = min(inputs.length, model.longest - len(model.start))
    ids = blocks(model.tokens(text), inputs.count or min(SEQUENCES, inputs.sequences), length)
    counted = inputs.ngrams or fit(model.tokens(inputs.train_text).numpy(), vocabulary)
    return Items(ids, tuple(model.start), counted)


@torch.no_grad()
def measure(model: ProbeModel, items: Items) -> ProbeResult:
    """KL from each n-gram model in nats, the share of equal likeliest tokens in [0, 1], and KL after single tokens.

    The positions of a stretch form one cluster.
    """
    length, begin = items.ids.shape[1], len(items.start)
    rows = max(1, LOGITS // (items.ngrams.vocabulary * length))
    parts = []
    for first in range(0, len(items.ids), rows):
        ids = items.ids[first : first + rows]
        start = torch.tensor(items.start, dtype=torch.long).expand(len(ids), -1)
        logits = wide(model.network(input_ids=torch.cat([start, ids], dim=1).to(model.device)).logits)
        # Predictions start at the third token, so that all orders have the same positions.
        log_p = F.log_softmax(logits[:, begin + 1 : -1].flatten(0, 1), dim=-1).double().cpu().numpy()
        before = np.stack([ids[:, 0:-2].flatten().numpy(), ids[:, 1:-1].flatten().numpy()], axis=1)
        frame = {"item": np.repeat(np.arange(first, first + len(ids)), length - 2),
                 "position": np.tile(np.arange(3, length + 1), len(ids)), "choice": log_p.argmax(axis=1)}  # fmt: skip
        for order in ORDERS:
            q = items.ngrams.q(order, before)
            frame[f"kl_{order}"] = divergence(q, log_p)
            frame[f"same_{order}"] = (q.argmax(axis=1) == frame["choice"]).astype(float)
        parts.append(pd.DataFrame(frame))
    outcomes = pd.concat(parts, ignore_index=True)
    scores: list[Score] = []
    for order, called in ORDERS.items():
        more: dict[str, Any] = {"subset": called, "better": "lower"}
        scores.append(mean("kl", outcomes[f"kl_{order}"].to_numpy(), outcomes["item"], headline=True, **more))
        scores.append(mean("same", outcomes[f"same_{order}"].to_numpy(), outcomes["item"], share=True, subset=called))
    isolated, share = _isolated(model, items)
    about = f"training text of {int(items.ngrams.unigrams.sum()):,} tokens; isolated: contexts of {share:.0%} of it"
    return ProbeResult((*scores, isolated), outcomes, about)


def divergence(
    q: Float[np.ndarray, "n vocabulary"], log_p: Float[np.ndarray, "n vocabulary"]
) -> Float[np.ndarray, " n"]:
    """``KL(q || p) = sum q (ln q - ln p)`` of each row, in nats."""
    return np.asarray((q * (np.log(q) - log_p)).sum(axis=1))


def _isolated(model: ProbeModel, items: Items) -> tuple[Score, float]:
    """KL in nats from the bigram model after single frequent tokens, weighted by frequency; and their share."""
    counts = items.ngrams.unigrams
    ranked = np.argsort(-counts, kind="stable")[:CONTEXTS]
    tokens = ranked[counts[ranked] > 0]
    values = np.empty(len(tokens))

    def read(log_p: Tensor, batch: list[int]) -> None:
        q = items.ngrams.q(2, tokens[batch][:, None])
        values[batch] = divergence(q, log_p.double().cpu().numpy())

    at(model, [[*items.start, int(token)] for token in tokens], [len(items.start)] * len(tokens), read)
    weights = counts[tokens] / counts[tokens].sum()
    value = float(weights @ values)
    error = float(np.sqrt(len(tokens) / (len(tokens) - 1) * (weights**2 * (values - value) ** 2).sum()))
    score = Score("kl", value, error, len(tokens), subset="bigram, isolated", better="lower")
    return score, float(counts[tokens].sum() / counts.sum())
