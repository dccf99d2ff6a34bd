"""Two-layer language models with attention alone, of Hoogland et al. 2024 (arXiv:2402.02364).

Each seed has a repository, with a file of TransformerLens for each step. There is no config: weights need a model of
your own.
"""

from __future__ import annotations

from landscape.checkpoints.families.family import Family, even
from landscape.study.checkpoint import Place

PARAMETERS = 3_355_016
STEPS = tuple(range(100, 50_001, 100))

FAMILIES = (
    Family(
        name="two-layer-attention",
        title="two layers of attention, 256 wide, 3 million parameters",
        steps=dict.fromkeys((2, 3, 4), STEPS),
        place=lambda seed, step: Place(
            f"timaeus/L2W256-s-{seed}", folder=f"checkpoints/checkpoint_{step or 0:07d}.pth"
        ),
        model="HookedTransformer",
        objective="causal-lm",
        parameters=PARAMETERS,
        bytes=even(PARAMETERS, 4),
        stored="float32",
        source="hub pages of timaeus/L2W256-s-*",
        notes=(
            "its class is of TransformerLens, and there is no config: bring a model of your own",
            "seeds 2, 3 and 4 and steps to 4,600 were seen; that steps go to 50,000 by 100 is inferred from the log",
        ),
        whole=False,
    ),
)
