"""Minimal pairs by length-sorted batches, against scoring them pair by pair.

python benchmarks/minimal_pairs.py [tiny]

A GPT-2 of 20 million parameters with its 50,257 tokens scores sentences of the packaged novel against themselves with
two words swapped. The other side takes one pair at a time, as a batch of two, and makes logits, log-probabilities and
sums in the usual three lines. Rounds alternate; each side takes the number of threads that suits it better.
"""

from __future__ import annotations

import re
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from landscape.probes import ProbeModel
from landscape.probes.base import scoring
from landscape.texts import HELD_OUT_TEXT, TRAINING_TEXT

ROUNDS = 5


def main() -> None:
    """Print pairs a second of both sides, their ratio, and the largest difference of a margin."""
    tiny = "tiny" in sys.argv[1:]
    model, good, bad = setting(pairs=20 if tiny else 300, width=32 if tiny else 288)
    seconds: dict[str, list[float]] = {}
    values: dict[str, np.ndarray] = {}
    works = {"ours": ours, "pair by pair": pair_by_pair}
    threads = {name: best_threads(lambda work=work: work(model, good[:12], bad[:12])) for name, work in works.items()}
    for _ in range(1 if tiny else ROUNDS):
        for name, work in works.items():
            torch.set_num_threads(threads[name])
            begin = time.perf_counter()
            values[name] = work(model, good, bad)
            seconds.setdefault(name, []).append(time.perf_counter() - begin)
    for name, times in seconds.items():
        print(f"{name}: {len(good) / statistics.median(times):.1f} pairs a second, {threads[name]} threads")
    ratios = [b / a for a, b in zip(seconds["ours"], seconds["pair by pair"], strict=True)]
    apart = np.abs(values["ours"] - values["pair by pair"])
    print(f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}); largest difference of a "
          f"sentence {apart.max():.1e} nats, of {np.abs(values['ours']).max():.0f}")  # fmt: skip


def setting(pairs: int, width: int) -> tuple[ProbeModel, list[str], list[str]]:
    """The model, and the sentences with their twins."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer, bpe.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=8000, initial_alphabet=alphabet, show_progress=False)
    bpe.train_from_iterator([TRAINING_TEXT.read_text("utf-8")], trainer)
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(n_embd=width, n_layer=6, n_head=4, bos_token_id=None, eos_token_id=None))
    text = re.sub(r"\s+", " ", HELD_OUT_TEXT.read_text("utf-8"))
    sentences = re.findall(r"[A-Z][^.!?;\"]+[.!?]", text)
    good = [sentence for sentence in sentences if 5 <= len(sentence.split()) <= 10][:pairs]
    random, bad = np.random.RandomState(0), []
    for sentence in good:
        words = sentence.split()
        k = int(random.randint(len(words) - 1, dtype=np.int64))
        bad.append(" ".join([*words[:k], words[k + 1], words[k], *words[k + 2 :]]))
    return ProbeModel(model.eval(), PreTrainedTokenizerFast(tokenizer_object=bpe), "causal"), good, bad


def best_threads(work: Callable[[], object]) -> int:
    """One thread or all, whichever is sooner."""
    seconds = {}
    for threads in (1, torch.get_num_threads()):
        torch.set_num_threads(threads)
        for _ in range(2):
            begin = time.perf_counter()
            work()
            seconds[threads] = min(seconds.get(threads, np.inf), time.perf_counter() - begin)
    return min(seconds, key=lambda n: seconds[n])


def ours(model: ProbeModel, good: list[str], bad: list[str]) -> np.ndarray:
    """All at once."""
    return scoring.texts(model, [*good, *bad])


@torch.no_grad()
def pair_by_pair(model: ProbeModel, good: list[str], bad: list[str]) -> np.ndarray:
    """One pair at a time."""
    sums: list[list[float]] = [[], []]
    for pair in zip(good, bad, strict=True):
        ids = [model.ids(sentence) for sentence in pair]
        batch = torch.zeros(2, max(map(len, ids)), dtype=torch.long)
        for row, one in zip(batch, ids, strict=True):
            row[: len(one)] = torch.tensor(one)
        log_p = model.network(input_ids=batch).logits.log_softmax(dim=-1)
        for side, one in enumerate(ids):
            token = log_p[side, : len(one) - 1].gather(1, torch.tensor(one[1:])[:, None])
            sums[side].append(float(token.double().sum()))
    return np.concatenate([np.array(side) for side in sums])


if __name__ == "__main__":
    main()
