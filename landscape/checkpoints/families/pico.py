"""Pico decoders (Diehl Martinez et al. 2025): built like Llama in four sizes, with a checkpoint every 1,000 steps.

A step is a commit of the branch of the run. The class is the makers' own code, which is never run here: weights need a
model of your own.
"""

from __future__ import annotations

from landscape.checkpoints.families.family import Family, even
from landscape.study.checkpoint import Place

SIZES = {"tiny": 11_282_784, "small": 64_595_328, "medium": 181_095_168, "large": 569_808_384}
STEPS = tuple(range(0, 125_001, 1000))
NOTES = (
    "its class is code of the makers, which is never run: bring a model of your own",
    "a step is a commit of the branch of the run, found by its title; steps above 33,000 were not seen",
)


def _family(size: str) -> Family:
    return Family(
        name=f"pico-decoder-{size}",
        title=f"Pico decoder, {size}",
        steps={0: STEPS},
        place=lambda seed, step: Place(
            f"pico-lm/pico-decoder-{size}", f"pico-decoder-{size}-1", title=f"Saving HF Model -- Step {step}"
        ),
        model="PicoDecoderHF",
        objective="causal-lm",
        parameters=SIZES[size],
        bytes=even(SIZES[size], 4),
        stored="float32",
        source="github.com/pico-lm/pico-train, src/checkpointing, and hub pages of pico-lm",
        notes=NOTES,
        whole=False,
    )


FAMILIES = tuple(_family(size) for size in SIZES)
