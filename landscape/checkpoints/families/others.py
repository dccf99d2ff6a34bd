"""Runs of one seed: Amber (LLM360), BLOOM (BigScience), SmolLM 2 and 3 (Hugging Face)."""

from __future__ import annotations

from landscape.checkpoints.families.family import Defect, Family, Place, even

BLOOM_STEPS = (1000, 10_000, *range(100_000, 600_001, 100_000))
BLOOM = {
    "560m": (559_214_592, BLOOM_STEPS, True),
    "1b1": (1_065_314_304, BLOOM_STEPS, True),
    "1b7": (1_722_408_960, (1000, 10_000, *range(50_000, 300_001, 50_000)), True),
    "7b1": (7_069_016_064, BLOOM_STEPS, False),
}
SMOLLM2 = {
    "135m": (134_515_008, range(240_000, 1_920_001, 240_000)),
    "360m": (361_821_120, range(160_000, 2_560_001, 160_000)),
    "1.7b": (1_711_376_384, range(125_000, 5_125_001, 125_000)),
}
SMOLLM3_STAGES = ((1, 3_440_000), (2, 4_200_000), (3, 4_720_000))
SMOLLM3_STEPS = tuple(range(40_000, 4_720_001, 40_000))


def _bloom(size: str) -> Family:
    parameters, steps, certain = BLOOM[size]
    odd = {
        "7b1": Defect(frozenset({(0, 100_000), (0, 200_000)}), "two steps were reported equal", "user report"),
        "560m": Defect(frozenset({(0, 500_000), (0, 600_000)}), "was reported odd", "user report"),
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
        defects=(Defect(labels, "main is empty", "hub pages", main=True),),
    )


def _smollm3(seed: int, step: int | None) -> Place:
    stage = next(stage for stage, last in SMOLLM3_STAGES if (step or 0) <= last)
    return Place("HuggingFaceTB/SmolLM3-3B-checkpoints", f"stage{stage}-step-{step}")


FAMILIES = (
    Family(
        name="amber",
        title="Amber: a LLaMA of 7B, 359 checkpoints 3.5 billion tokens apart",
        steps={0: tuple(range(359))},
        place=lambda seed, step: Place("LLM360/Amber", f"ckpt_{step:03d}"),
        model="LlamaForCausalLM",
        objective="causal-lm",
        parameters=6_738_415_616,
        bytes=even(6_738_415_616, 2),
        stored="bfloat16",
        source="model card of LLM360/Amber, since renamed IFM/Amber",
        notes=("step is the number of the checkpoint, not of the optimizer step",),
        whole=False,
    ),
    *(_bloom(size) for size in BLOOM),
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
        defects=(Defect(frozenset((0, step) for step in SMOLLM3_STEPS), "main is empty", "hub pages", main=True),),
    ),
)
