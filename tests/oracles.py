"""Definitions written out naively, and the field's usual loop."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch


def barrier(definition: str, t: Any, loss: Any) -> float:
    """Each definition as its paper words it, with loops."""
    ends = loss[0], loss[-1]
    above = [loss[i] - ((1 - t[i]) * ends[0] + t[i] * ends[1]) for i in range(len(t))]
    match definition:
        case "chord":
            return max(above)
        case "mean_ends":
            return max(loss) - sum(ends) / 2
        case "max_ends":
            return max(loss) - max(ends)
        case "midpoint":
            return loss[list(t).index(0.5)] - sum(ends) / 2
        case "area":
            return sum((above[i] + above[i + 1]) / 2 * (t[i + 1] - t[i]) for i in range(len(t) - 1))
        case "convexity_gap":
            worst = 0.0
            for i in range(len(t)):
                for k in range(i + 2, len(t)):
                    for j in range(i + 1, k):
                        share = (t[j] - t[i]) / (t[k] - t[i])
                        worst = max(worst, loss[j] - (1 - share) * loss[i] - share * loss[k])
            return worst
    raise AssertionError(definition)


@torch.no_grad()
def usual_loop(a: Any, b: Any, ids: torch.Tensor, times: Any) -> np.ndarray:
    """Interpolate the state dicts, load them, ask transformers for the loss of each sequence."""
    model = copy.deepcopy(a)
    out = []
    for t in times:
        other = b.state_dict()
        model.load_state_dict({name: (1 - t) * value + t * other[name] for name, value in a.state_dict().items()})
        out.append([float(model(input_ids=row[None], labels=row[None]).loss) for row in ids])
    return np.array(out)
