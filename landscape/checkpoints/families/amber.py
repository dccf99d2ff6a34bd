"""Amber (Liu et al. 2023, arXiv:2312.06550): a LLaMA of LLM360 with 359 checkpoints."""

from __future__ import annotations

from landscape.checkpoints.families.family import Family, even
from landscape.study.checkpoint import Place

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
)
