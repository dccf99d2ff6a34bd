"""Pythia (Biderman et al. 2023, arXiv:2304.01373) and PolyPythias (van der Wal et al. 2025, arXiv:2503.09543)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial

from landscape.checkpoints.families.family import Defect, Family, Label
from landscape.study.checkpoint import Place

STEPS = (0, *(2**i for i in range(10)), *range(1000, 143_001, 1000))
LAST = STEPS[-1]
SIZES = {
    # parameters, layers
    "14m": (14_067_712, 6),
    "31m": (30_494_720, 6),
    "70m": (70_426_624, 6),
    "160m": (162_322_944, 12),
    "410m": (405_334_016, 24),
    "1b": (1_011_781_632, 16),
    "1.4b": (1_414_647_808, 24),
    "2.8b": (2_775_208_960, 32),
    "6.9b": (6_857_302_016, 32),
    "12b": (11_846_072_320, 36),
}
POLY = ("14m", "31m", "70m", "160m", "410m")
MASK = 2048 * 2048
SAME_AS_MAIN = (0, *(2**i for i in range(10)), *range(1000, 53_001, 1000), *range(55_000, 70_001, 5000),
                80_000, 90_000, 100_000, 103_000, 110_000, 120_000, 130_000, 140_000)  # fmt: skip
SAME_AS_LAST = (54_000, *range(56_000, 59_001, 1000), *range(61_000, 64_001, 1000), 143_000)
NOTES = (
    "steps below about 8 differ by less than float16 can store",
    "main is not used: it is empty in several repositories",
    "before 27 February 2026 pythia-14m held what is pythia-14m-deduped now (model card)",
    "step 2 was reported equal to step 0 as well (EleutherAI/pythia#198), without detail",
)


def place(repo: str, seed: int, step: int | None) -> Place:
    """A branch a step; seed 0 is the plain repository, other seeds have one each.

    Args:
        repo: The plain repository.
        seed: The seed.
        step: The step.
    """
    return Place(f"EleutherAI/{repo}{f'-seed{seed}' if seed else ''}", f"step{step}")


def weights(parameters: int, layers: int, seed: int, step: int | None) -> int:
    """Bytes of a float16 checkpoint: causal masks are stored beside the weights.

    Args:
        parameters: Number of parameters.
        layers: Number of layers.
        seed: The seed.
        step: The step.
    """
    return 2 * parameters + layers * MASK


def _each(steps: Iterable[int], seeds: Iterable[int]) -> frozenset[Label]:
    steps = tuple(steps)
    return frozenset((seed, step) for seed in seeds for step in steps)


def _own_defects(name: str) -> tuple[Defect, ...]:
    by = "EleutherAI/pythia"
    match name:
        case "pythia-2.8b":
            return (
                Defect(
                    "same weights", _each(SAME_AS_MAIN, [0]), "serves the weights of main, not of its step", f"{by}#205"
                ),
                Defect(
                    "same weights",
                    _each(SAME_AS_LAST, [0]),
                    "ten branches serve one file, the wrong step for nine or all",
                    f"{by}#205",
                ),
            )
        case "pythia-12b":
            return (
                Defect(
                    "shared file", _each([50_000, 58_000], [0]), "its first shard is the final model's", f"{by}#206"
                ),
            )
        case "pythia-14m":
            return (Defect("empty main", _each(STEPS, [4, 5]), "main is empty", "hub pages"),)
        case "pythia-410m":
            return (
                Defect(
                    "no weights", frozenset({(9, 40_000), (6, 88_000), (2, 111_000)}), "has no weights", f"{by}#202"
                ),
                Defect("note", _each(STEPS, [3, 4]), "an outlier run by its authors' account", "PolyPythias paper"),
                Defect("empty main", _each(STEPS, [4, 5]), "main is empty", "hub pages"),
            )
    return ()


def _family(name: str, title: str, size: str, seeds: Iterable[int], notes: tuple[str, ...] = NOTES) -> Family:
    parameters, layers = SIZES[size]
    seeds = tuple(seeds)
    warmup = Defect("same weights", _each([0, 1], seeds), "steps 0 and 1 are the same weights", "EleutherAI/pythia#83")
    return Family(
        name=name,
        title=title,
        steps=dict.fromkeys(seeds, STEPS),
        place=partial(place, name),
        model="GPTNeoXForCausalLM",
        objective="causal-lm",
        parameters=parameters,
        bytes=partial(weights, parameters, layers),
        stored="float16",
        source="github.com/EleutherAI/pythia, README.md",
        notes=notes,
        defects=(warmup, *_own_defects(name)),
    )


def _decoupled(what: str, means: str) -> Family:
    name, seeds = f"pythia-160m-{what}", (1, 2, 3)
    base = _family(name, f"Pythia 160m, {means}, three runs", "160m", seeds)
    descent: tuple[Defect, ...] = ()
    if what == "weight":
        says = "steps from 1 on do not descend from the run's own step 0"
        descent = (Defect("no descent", _each(STEPS, [1, 2]), says, "EleutherAI/pythia#203"),)
    empty = Defect("empty main", _each(STEPS, seeds if what == "data" else [1]), "main is empty", "hub pages")
    return replace(base, defects=(*base.defects, *descent, empty))


FAMILIES = (
    *(
        _family(
            f"pythia-{size}", f"GPT-NeoX of {size} on the Pile, 154 steps", size, range(10) if size in POLY else [0]
        )
        for size in SIZES
    ),
    *(
        _family(f"pythia-{size}-deduped", f"GPT-NeoX of {size} on the deduplicated Pile, 154 steps", size, [0])
        for size in SIZES
    ),
    _decoupled("data", "data order alone varied"),
    _decoupled("weight", "initialisation alone varied"),
)
