"""BLOOM (BigScience 2022, arXiv:2211.05100): small sizes, eight steps each."""

from __future__ import annotations

from landscape.checkpoints.families.family import Defect, Family, even
from landscape.study.checkpoint import Place

STEPS = (1000, 10_000, *range(100_000, 600_001, 100_000))
SIZES = {
    "560m": (559_214_592, STEPS, True),
    "1b1": (1_065_314_304, STEPS, True),
    "1b7": (1_722_408_960, (1000, 10_000, *range(50_000, 300_001, 50_000)), True),
    "7b1": (7_069_016_064, STEPS, False),
}


def _bloom(size: str) -> Family:
    parameters, steps, certain = SIZES[size]
    odd = {
        "7b1": Defect(
            "same weights", frozenset({(0, 100_000), (0, 200_000)}), "two steps were reported equal", "user report"
        ),
        "560m": Defect("note", frozenset({(0, 500_000), (0, 600_000)}), "was reported odd", "user report"),
    }
    return Family(
        name=f"bloom-{size}",
        title=f"BLOOM of {size}, eight steps",
        steps={0: tuple(steps)},
        place=lambda seed, step: Place(f"bigscience/bloom-{size}-intermediate", f"global_step{step}"),
        model="BloomForCausalLM",
        objective="causal-lm",
        parameters=parameters,
        bytes=even(parameters, 2),
        stored="float16",
        source="model cards of bigscience/bloom-*-intermediate",
        notes=("a step is a git tag", "the tokenizer may be missing: name that of the final repository in [data]"),
        defects=(odd[size],) if size in odd else (),
        whole=certain,
    )


FAMILIES = tuple(_bloom(size) for size in SIZES)
