"""ViT: patches in place of tokens, norms before each layer, a classifier that reads the first position."""

from __future__ import annotations

from landscape.foreign import Pretrained
from landscape.symmetry.group.groups import activation_of, heads, stream, units
from landscape.symmetry.group.table import Fused, Group, Norm, SymmetryGroup, Table

ROTATES_UNTIED = False
"""Whether the stream can be rotated only if the head is not tied to the embedding."""


def table(model: Pretrained, symmetry_group: SymmetryGroup) -> Table:
    """The symmetries of a model."""
    config = model.config
    width, count = config.hidden_size, config.num_attention_heads
    rotates = symmetry_group == "all"
    gain = "-" if rotates else "stream"
    groups: list[Group] = [stream(width, rotates=rotates, centred=True)]
    lines: dict[str, str | Fused] = {
        "vit.embeddings.cls_token": "- - stream",
        "vit.embeddings.mask_token": "- - stream",
        "vit.embeddings.position_embeddings": "- - stream",
        "vit.embeddings.patch_embeddings.projection.weight": "stream - - -",
        "vit.embeddings.patch_embeddings.projection.bias": "stream",
        "vit.layernorm.weight": gain,
        "vit.layernorm.bias": "stream",
        "classifier.weight": "- stream",
        "classifier.bias": "-",
    }
    norms = [Norm("vit.layernorm.weight", "vit.layernorm.bias", (("classifier.weight", 1),))]
    for n in range(config.num_hidden_layers):
        at, attention, ffn = f"vit.layers.{n}", f"{n}.heads", f"{n}.ffn"
        groups += [
            heads(attention, count, width // count, symmetry_group),
            units(ffn, config.intermediate_size, activation_of(config), symmetry_group),
        ]
        for name, axis in (("q", "qk"), ("k", "qk*"), ("v", "vo")):
            lines[f"{at}.attention.{name}_proj.weight"] = f"{attention}/{axis} stream"
            lines[f"{at}.attention.{name}_proj.bias"] = f"{attention}/{axis}"
        lines |= {
            f"{at}.attention.o_proj.weight": f"stream {attention}/vo*",
            f"{at}.attention.o_proj.bias": "stream",
            f"{at}.mlp.fc1.weight": f"{ffn}/unit stream",
            f"{at}.mlp.fc1.bias": f"{ffn}/unit",
            f"{at}.mlp.fc2.weight": f"stream {ffn}/unit*",
            f"{at}.mlp.fc2.bias": "stream",
        }
        attended = tuple((f"{at}.attention.{name}_proj.weight", 1) for name in "qkv")
        for norm, readers in (("before", attended), ("after", ((f"{at}.mlp.fc1.weight", 1),))):
            weight, bias = f"{at}.layernorm_{norm}.weight", f"{at}.layernorm_{norm}.bias"
            lines |= {weight: gain, bias: "stream"}
            norms.append(Norm(weight, bias, readers))
    return Table.of("vit", model, groups, lines, norms if rotates else ())
