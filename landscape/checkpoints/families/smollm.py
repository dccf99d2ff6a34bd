"""SmolLM2 (Allal et al. 2025, arXiv:2502.02737) and SmolLM3 of Hugging Face: one seed, many steps."""

from __future__ import annotations

from landscape.checkpoints.families.family import Defect, Family, even
from landscape.study.checkpoint import Place

SMOLLM2 = {
    "135m": (134_515_008, range(240_000, 1_920_001, 240_000)),
    "360m": (361_821_120, range(160_000, 2_560_001, 160_000)),
    "1.7b": (1_711_376_384, range(125_000, 5_125_001, 125_000)),
}
SMOLLM3_STAGES = ((1, 3_440_000), (2, 4_200_000), (3, 4_720_000))
SMOLLM3_STEPS = tuple(range(40_000, 4_720_001, 40_000))


def _smollm2(size: str) -> Family:
    parameters, steps = SMOLLM2[size]
    repo = f"HuggingFaceTB/SmolLM2-{size.upper()}-intermediate-checkpoints"
    labels = frozenset((0, step) for step in steps)
    return Family(
        name=f"smollm2-{size}",
        title=f"SmolLM2 of {size}, {len(steps)} steps",
        steps={0: tuple(steps)},
        place=lambda seed, step: Place(repo, f"step-{step}"),
        model="LlamaForCausalLM",
        objective="causal-lm",
        parameters=parameters,
        bytes=even(parameters, 2),
        stored="bfloat16",
        source=f"model card of {repo}",
        defects=(Defect("empty main", labels, "main is empty", "hub pages"),),
    )


def _smollm3(seed: int, step: int | None) -> Place:
    stage = next(stage for stage, last in SMOLLM3_STAGES if (step or 0) <= last)
    return Place("HuggingFaceTB/SmolLM3-3B-checkpoints", f"stage{stage}-step-{step}")


FAMILIES = (
    *(_smollm2(size) for size in SMOLLM2),
    Family(
        name="smollm3-3b",
        title="SmolLM3 of 3B, three stages of pretraining",
        steps={0: SMOLLM3_STEPS},
        place=_smollm3,
        model="SmolLM3ForCausalLM",
        objective="causal-lm",
        parameters=3_075_098_624,
        bytes=even(3_075_098_624, 2),
        stored="bfloat16",
        source="model card of HuggingFaceTB/SmolLM3-3B-checkpoints",
        defects=(Defect("empty main", frozenset((0, step) for step in SMOLLM3_STEPS), "main is empty", "hub pages"),),
    ),
)
