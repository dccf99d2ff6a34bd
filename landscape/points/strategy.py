"""How to evaluate many points fast: one after the other or several under ``vmap``, and how many examples in a pass.

Which strategy is fastest depends on the model and the device, so it is timed. The timed passes give results like all
others, so no evaluation is wasted on the choice.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

import torch

TRIAL_SHARE = 0.05
"""Largest share of the work that is spent on trials of strategies or numbers of threads; 0 tries nothing."""
LONG = 0.3
"""Seconds of a pass from which on its warm-up is negligible."""
TOLERANCE = 0.95
"""A strategy replaces another if it takes less than this fraction of its time."""
LARGER, SMALLER = (128, 512), (16, 8)
"""Examples in a pass that are tried after the default."""
STACKED, ON_GPU = (2, 4, 8, 16, 32, 64), (16, 64)
"""Numbers of stacked points that are tried; a GPU needs many at once to be busy."""


@dataclass(frozen=True)
class Strategy:
    """How to evaluate; results are the same up to rounding.

    Attributes:
        kind: ``loop`` or ``vmap``.
        points: Number of points at once; 1 for the loop.
        examples: Number of examples in one forward pass of a point.
    """

    kind: Literal["loop", "vmap"] = "loop"
    points: int = 1
    examples: int = 32

    def smaller(self) -> Strategy | None:
        """A strategy with half as much memory; None if there is nothing left to halve."""
        if self.points > 2:
            return replace(self, points=self.points // 2)
        if self.kind == "vmap":
            return Strategy("loop", 1, self.examples)
        return replace(self, examples=self.examples // 2) if self.examples > 1 else None


@dataclass
class Tuner:
    """The fastest strategy so far, and the one on trial.

    A candidate gets two slices of the work, of which the first is a warm-up; if slices are long, only the very first of
    all is, in which memory is touched for the first time. The search starts at the default and tries
    larger batches, smaller ones if larger ones do not help, and then several points under ``vmap``. It stops before its
    slices make up more than ``TRIAL_SHARE`` of the work. The slices of a trial give results like all others.

    Attributes:
        examples: Number of examples of a point; no batch is larger.
        evaluations: Examples times points of the whole work; 0 tries nothing.
        best: The fastest strategy so far.
        stacked: Numbers of points that are tried under ``vmap``, until more are not faster.
        seconds: Seconds that ``best`` takes for one example at one point; infinite before it was timed.
        spent: Evaluations of trials so far.
        finished: Called with the fastest strategy if the search is complete, not if it ran out of work.
        trial: The strategy on trial; None after the search.
    """

    examples: int
    evaluations: int
    best: Strategy = field(default_factory=Strategy)
    stacked: tuple[int, ...] = STACKED
    seconds: float = math.inf
    spent: int = 0
    finished: Callable[[Strategy], None] = lambda _: None
    trial: Strategy | None = field(init=False, default=None)
    _warm: bool = field(init=False, default=False)
    _whole: bool = field(init=False, default=True)
    _candidates: Iterator[Strategy] = field(init=False)

    def __post_init__(self) -> None:
        """Put the default itself on trial, which costs nothing extra."""
        self.best = replace(self.best, examples=min(self.best.examples, self.examples))
        self._candidates = self._search()
        if self.evaluations * TRIAL_SHARE >= 1:
            self.trial = self.best

    @property
    def points(self) -> int:
        """Number of points to stack for the next chunk."""
        return (self.trial or self.best).points

    def next(self, points: int, examples: int) -> tuple[Strategy, int]:
        """The strategy for the next slice of a chunk, and the number of its examples.

        ``points`` is the size of the chunk, and ``examples`` the number of its examples that are left.
        """
        trial = self.trial
        if trial is None or trial.examples > examples or trial.points > points:
            return self.best, examples
        return trial, trial.examples

    def took(self, strategy: Strategy, evaluations: int, seconds: float) -> None:
        """Use the time of one slice; it counts only if the strategy is on trial.

        Args:
            strategy: The strategy of the slice.
            evaluations: Examples times points of the slice.
            seconds: Time that it took.
        """
        if strategy != self.trial:
            return
        self.spent += evaluations if strategy != self.best else 0
        if not self._warm and (seconds <= LONG or self.seconds == math.inf):
            self._warm = True
            return
        each = seconds / evaluations
        if each < TOLERANCE * self.seconds:
            self.best, self.seconds = strategy, each
        self._advance()

    def failed(self, strategy: Strategy) -> bool:
        """Whether a strategy that could not run was on trial; if so, it is not tried again."""
        if strategy != self.trial or strategy == self.best:
            return False
        self._advance()
        return True

    def _advance(self) -> None:
        self.trial, self._warm = None, False
        for candidate in self._candidates:
            if affordable(self.spent + 2 * candidate.points * candidate.examples, self.evaluations):
                self.trial = candidate
                return
            self._whole = False
        if self._whole:
            self.finished(self.best)

    def _search(self) -> Iterator[Strategy]:
        default = self.best.examples
        yield from self._while_faster(self._batch(n) for n in LARGER if default < n < 4 * self.examples)
        if self.best.examples == default:
            yield from self._while_faster(self._batch(n) for n in SMALLER if n < default)
        yield from self._while_faster(Strategy("vmap", n, self.best.examples) for n in self.stacked)

    def _while_faster(self, candidates: Iterator[Strategy]) -> Iterator[Strategy]:
        for candidate in candidates:
            yield candidate
            if self.best != candidate:
                return

    def _batch(self, examples: int) -> Strategy:
        return Strategy(examples=min(examples, self.examples))


def affordable(trials: int, work: int) -> bool:
    """Whether this much work for trials is a small share of the whole."""
    return trials <= TRIAL_SHARE * work


def least_seconds(work: Callable[[], object]) -> float:
    """Seconds of a piece of work after warm-up; it runs twice, or once if it is long."""
    fastest = math.inf
    for _ in range(2):
        begin = time.perf_counter()
        work()
        fastest = min(fastest, seconds := time.perf_counter() - begin)
        if seconds > LONG:
            break
    return fastest


def choose_threads(work: Callable[[], object], repeats: int) -> None:
    """Let torch use one thread or all, whichever is faster; small models are slower on many.

    Args:
        work: One piece of the work.
        repeats: Number of such pieces; if trials would be too large a share of them, nothing changes.
    """
    counts = {1, len(os.sched_getaffinity(0))}
    if affordable(2 * len(counts), repeats):
        seconds = {}
        for threads in counts:
            torch.set_num_threads(threads)
            seconds[threads] = least_seconds(work)
        torch.set_num_threads(min(seconds, key=lambda threads: seconds[threads]))
