"""Mistral of Stanford CRFM (not Mistral AI): GPT-2 small and medium on OpenWebText, five seeds each, 609 steps."""

from __future__ import annotations

from functools import partial

from landscape.checkpoints.families.family import Family
from landscape.study.checkpoint import Place

STEPS = (*range(0, 101, 10), *range(150, 2001, 50), *range(2100, 20_001, 100), *range(21_000, 400_001, 1000))
SMALL = {21: "alias", 49: "battlestar", 81: "caprica", 343: "darkmatter", 777: "expanse"}
MEDIUM = {21: "arwen", 49: "beren", 81: "celebrimbor", 343: "durin", 777: "eowyn"}
NOTES = (
    "step 0 is stored in float32 and later steps in float16",
    "attention is scaled by the layer's index (scale_attn_by_inverse_layer_idx), which transformers before 5.4 ignored",
)


def place(size: str, names: dict[int, str], seed: int, step: int | None) -> Place:
    """A branch a checkpoint.

    Args:
        size: Size of the model.
        names: Names of the runs by seed.
        seed: The seed.
        step: The step.
    """
    return Place(f"stanford-crfm/{names[seed]}-gpt2-{size}-x{seed}", f"checkpoint-{step}")


def weights(first: int, later: int, seed: int, step: int | None) -> int:
    """Bytes of a checkpoint: causal masks are stored beside the weights.

    Args:
        first: Bytes of step 0.
        later: Bytes of any other step.
        seed: The seed.
        step: The step.
    """
    return first if step == 0 else later


def _family(size: str, names: dict[int, str], parameters: int, first: int, later: int) -> Family:
    return Family(
        name=f"mistral-gpt2-{size}",
        title=f"GPT-2 {size} from five seeds, 609 steps to 400,000 (Stanford CRFM's Mistral)",
        steps=dict.fromkeys(names, STEPS),
        place=partial(place, size, names),
        model="GPT2LMHeadModel",
        objective="causal-lm",
        parameters=parameters,
        bytes=partial(weights, first, later),
        stored="float16",
        source="github.com/stanford-crfm/mistral, mistral_models.json",
        notes=NOTES,
    )


FAMILIES = (
    _family("small", SMALL, 124_439_808, 510_000_000, 261_000_000),
    _family("medium", MEDIUM, 354_823_168, 1_440_000_000, 735_000_000),
)
