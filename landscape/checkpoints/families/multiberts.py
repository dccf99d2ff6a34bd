"""MultiBERTs (Sellam et al. 2022, arXiv:2106.16163): 25 BERTs from other seeds, five of them over training."""

from __future__ import annotations

from landscape.checkpoints.families.family import Family
from landscape.study.checkpoint import Place

FINAL = 2_000_000
STEPS = (*range(0, 200_001, 20_000), *range(300_000, FINAL + 1, 100_000))
PARAMETERS = 110_106_428


def place(seed: int, step: int | None) -> Place:
    """One repository a checkpoint; the last step is the released model of the seed."""
    if step == FINAL:
        return Place(f"google/multiberts-seed_{seed}")
    return Place(f"google/multiberts-seed_{seed}-step_{(step or 0) // 1000}k")


FAMILIES = (
    Family(
        name="multiberts",
        title="BERT-base from 25 seeds of initialisation and data order; seeds 0 to 4 over training",
        steps={seed: STEPS if seed < 5 else (FINAL,) for seed in range(25)},
        place=place,
        model="BertForPreTraining",
        objective="masked-lm",
        parameters=PARAMETERS,
        bytes=lambda seed, step: 441_000_000,
        stored="float32",
        source="github.com/google-research/language, multiberts/README.md; 1 step = 256 sequences of 512 tokens",
        notes=(
            "the last step is google/multiberts-seed_K for every seed; google/multiberts-seed_K-step_2000k, of seeds 0 "
            "to 4, is reached by its own hf:// name",
            "weights are pytorch_model.bin; tf_model.h5 beside them is never downloaded",
            "with masked-lm, pooler and next-sentence head are no part of the space",
        ),
    ),
)
