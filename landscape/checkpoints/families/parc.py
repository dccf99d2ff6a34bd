"""Parc: Pythia, Mamba and RWKV trained on the same data for 4,000 steps (Michaelov et al. 2025, NeurIPS).

Six seeds of each architecture on OpenWebText; a seed of one saw the data in the order in which the same seed of the
others did.
"""

from __future__ import annotations

from landscape.checkpoints.families.family import Family, even
from landscape.study.checkpoint import Place

STEPS = (*(10 * 2**k for k in range(9)), 4000)
"""The steps that the authors' own analysis names; all repositories have the same 73."""
SIZES = {
    "pythia": ("GPTNeoXForCausalLM", 162_322_944),
    "mamba": ("MambaForCausalLM", 129_135_360),
    "rwkv": ("RwkvForCausalLM", 169_342_464),
}
NOTES = (
    "73 steps are in each repository, as branches checkpoint-N; those listed are the ones that are certain",
    "numbers of parameters are those of the model that the architecture was taken from",
)


def _family(name: str) -> Family:
    model, parameters = SIZES[name]
    return Family(
        name=f"parc-{name}",
        title=f"Parc-{name.capitalize() if name != 'rwkv' else 'RWKV'}, six seeds, the steps that are certain",
        steps=dict.fromkeys(range(6), STEPS),
        place=lambda seed, step: Place(f"jmichaelov/parc-{name}-seed{seed}", f"checkpoint-{step}"),
        model=model,
        objective="causal-lm",
        parameters=parameters,
        bytes=even(parameters, 4),
        stored="float32",
        source="model cards of jmichaelov/parc-*-seed* and the code of Michaelov et al. 2025",
        notes=NOTES,
        whole=False,
    )


FAMILIES = tuple(_family(name) for name in SIZES)
