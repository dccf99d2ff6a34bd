"""Which modules of a model are kept on which device, where no device can hold them all."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping

import torch
from torch import nn

from landscape.errors import InputError
from landscape.points.streamed import NOWHERE, Placement

LOG = logging.getLogger("landscape")
ROOM = 0.85
"""Share of the free memory of a GPU that parameters may take; the rest is for activations."""


def spread(
    model: nn.Module, dtype: torch.dtype, device: torch.device, free: Mapping[int | str, int] | None = None
) -> Placement:
    """The modules of a model on all GPUs that this process sees, as accelerate divides them.

    What fits on no GPU is made again for every pass, on the device of the data; on a CPU that is the whole model.

    Args:
        model: The model; its values are not used.
        dtype: Of its parameters in the computation.
        device: Where the data are.
        free: Bytes of each GPU by its number, and of ``cpu``; None is what is free.

    Raises:
        InputError: If accelerate is not installed.
    """
    if device.type != "cuda":
        return NOWHERE
    try:
        from accelerate import infer_auto_device_map
        from accelerate.utils import get_balanced_memory, get_max_memory
    except ModuleNotFoundError as error:
        raise InputError(
            "device_map = auto needs accelerate, which an extra brings: pip install 'landscape-toolkit[spread]'"
        ) from error
    whole = sorted(getattr(model, "_no_split_modules", None) or ())
    room = {place: int(ROOM * size) for place, size in (free or get_max_memory()).items()}
    balanced = get_balanced_memory(model, room, dtype=dtype, no_split_module_classes=whole)
    found = infer_auto_device_map(model, balanced, dtype=dtype, no_split_module_classes=whole)
    modules = {name for name, _ in model.named_modules()}
    places = {
        name: torch.device("cuda", place) for name, place in found.items() if isinstance(place, int) and name in modules
    }
    counts = Counter(str(place) for place in places.values())
    kept = ", ".join(f"{count} on {place}" for place, count in sorted(counts.items())) or "none on a GPU"
    LOG.info("of %d parts of the model %s; the others are read for every pass", len(found), kept)
    return Placement(places)
