"""Series over training with planted truth, and a source of randomness that draws every resample."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
import pandas as pd
import pytest
import simulated
from simulated import OCTAVES, sigmoid

from landscape.stages.events import dating
from landscape.stages.series.observed import Observed
from landscape.stages.series.runs import Measured
from landscape.stages.series.smooth import Curves, smooth
from landscape.stages.settings import Primary, Stages

X = np.log1p(OCTAVES)
_FITTED: dict[tuple[object, ...], Curves] = {}


def observed(values: dict[str, np.ndarray], steps: np.ndarray) -> Observed:
    """Series of seeds, each ``[seeds, steps]``."""
    rows = [
        pd.DataFrame({"series": name, "seed": seed, "step": steps, "value": run})
        for name, runs in values.items() for seed, run in enumerate(runs)
    ]  # fmt: skip
    return Observed(pd.concat(rows, ignore_index=True).assign(error=np.nan, shared_error=np.nan, headline=True))


PRIMARY = Primary(connectivity="barrier:last", behaviour="good", test="onset")


SETTINGS = Stages.model_validate({"threshold": 0.5, "primary": PRIMARY, "draws": 50})


WHERE = {
    "path": "linear",
    "align": "none",
    "branch_step": None,
    "branch_a": None,
    "branch_b": None,
    "unit": "nats per token",
}


def barrier(between: str, a: tuple[int, int], b: tuple[int, int], value: float, **more: object) -> dict[str, object]:
    ends = {"seed_a": a[0], "step_a": a[1], "seed_b": b[0], "step_b": b[1]}
    half = 1.959964 * 0.02
    return {**WHERE, **ends, "between": between, "barrier": value, "low": value - half, "high": value + half, **more}


def short(**series: list[list[float]]) -> Observed:
    """Series of fewer steps than a curve needs."""
    values = {name.replace("_", ":"): np.array(runs) for name, runs in series.items()}
    return observed(values, np.arange(len(next(iter(values.values()))[0]), dtype=float))


def coupled(seeds: int = 6, noise: float = 0.03) -> dict[str, np.ndarray]:
    """Connectivity at exp(3), with the seeds from early to late; one behaviour goes with it, the other against it."""
    random = np.random.default_rng(1)
    late = np.linspace(-0.8, 0.8, seeds)[:, None]
    make = {"barrier:last": 1 - sigmoid(X, 3 + late), "good": sigmoid(X, 4 + late), "contrary": sigmoid(X, 4 - late),
            "loss": 3 - sigmoid(X, 2) - sigmoid(X, 5 + 0 * late)}  # fmt: skip
    return {name: values + noise * random.standard_normal((seeds, len(X))) for name, values in make.items()}


class Every(np.random.Generator):
    """In place of a generator: it draws each resample of so many seeds once, so that intervals are exact."""

    def __init__(self, seeds: int) -> None:
        super().__init__(np.random.PCG64(0))
        self.rows = np.array(list(product(range(seeds), repeat=seeds)))

    def integers(self, seeds: int, size: tuple[int, int]) -> np.ndarray:
        """Chosen seeds, ``[seeds, draws]`` if there are so many draws as resamples, else ``[resamples, seeds]``."""
        return self.rows.T if size == self.rows.T.shape else self.rows

    def multinomial(self, seeds: int, shares: np.ndarray, size: int) -> np.ndarray:
        """How often each seed is chosen."""
        return np.stack([np.bincount(row, minlength=seeds) for row in self.rows])


def run_of(steps: np.ndarray, value: np.ndarray, error: float = np.nan, seed: int = 0) -> tuple[Measured, Curves]:
    """A run and its curve, on ``log(step + 1)``."""
    return simulated.run_of(steps, value, np.random.default_rng(seed), error)


@pytest.fixture(autouse=True, scope="module")
def curves_once() -> Iterator[None]:
    """The same series is smoothed once, however many tests analyse it: this is nearly all of the time."""

    def remembered(
        x: np.ndarray, value: np.ndarray, sd: np.ndarray, count: int, *, draws: int, random: np.random.Generator
    ) -> Curves:
        key = (x.tobytes(), value.tobytes(), sd.tobytes(), count, draws, str(random.bit_generator.state))
        if key not in _FITTED:
            _FITTED[key] = smooth(x, value, sd, count, draws=draws, random=random)
        return _FITTED[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dating, "smooth", remembered)
        yield
