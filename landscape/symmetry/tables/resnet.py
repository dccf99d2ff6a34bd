"""ResNet with BatchNorm, of basic or bottleneck layers.

Channels that an identity shortcut carries past layers are one group, up to the next layer whose shortcut has weights.
A channel may take a positive factor in gain and shift of its norm, which the statistics of the norm do not see.
"""

from __future__ import annotations

from landscape.foreign import Pretrained
from landscape.symmetry.group.groups import units
from landscape.symmetry.group.table import Fused, Group, SymmetryGroup, Table

ROTATES_UNTIED = False
"""Whether the stream can be rotated only if the head is not tied to the embedding."""


def table(model: Pretrained, symmetry_group: SymmetryGroup) -> Table:
    """The symmetries of a model."""
    config = model.config
    groups: list[Group] = []
    lines: dict[str, str | Fused] = {"classifier.1.bias": "-"}

    def channels(name: str, size: int) -> str:
        groups.append(units(name, size, config.hidden_act, symmetry_group))
        return name

    def convolved(at: str, inputs: str, outputs: str) -> None:
        lines[f"{at}.convolution.weight"] = f"{outputs} {inputs} - -"
        lines[f"{at}.normalization.weight"] = lines[f"{at}.normalization.bias"] = f"{outputs}/unit"

    here = channels("stem", config.embedding_size)
    convolved("resnet.embedder.embedder", "-", here)
    for s, stage in enumerate(model.resnet.encoder.stages):
        for n, layer in enumerate(stage.layers):
            at, before = f"resnet.encoder.stages.{s}.layers.{n}", here
            if hasattr(layer.shortcut, "convolution"):
                here = channels(f"stage.{s}.{n}", layer.shortcut.convolution.out_channels)
                convolved(f"{at}.shortcut", f"{before}/unit*", here)
            inside = before
            for k, part in enumerate(layer.layer):
                last = k + 1 == len(layer.layer)
                outputs = here if last else channels(f"{s}.{n}.{k}", part.convolution.out_channels)
                convolved(f"{at}.layer.{k}", f"{inside}/unit*", outputs)
                inside = outputs
    lines["classifier.1.weight"] = f"- {here}/unit*"
    return Table.of("resnet", model, groups, lines)
