"""OLMo: like Llama, with LayerNorms that have no parameters.

No gain has to be folded, so the stream is rotated also where the head is tied to the embedding; a rotation keeps the
mean, which the norms subtract. Some models clip queries, keys and values (``clip_qkv``). No rotation inside a head
passes that: there heads and the coordinates of their values are only permuted.
"""

from __future__ import annotations

from landscape.foreign import Pretrained
from landscape.symmetry.group.decoder import attention, gated, grouped_heads
from landscape.symmetry.group.groups import stream, units
from landscape.symmetry.group.table import Fused, Group, SymmetryGroup, Table

ROTATES_UNTIED = False
"""Whether the stream can be rotated only if the head is not tied to the embedding."""


def table(model: Pretrained, symmetry_group: SymmetryGroup) -> Table:
    """The symmetries of a model."""
    config = model.config
    inside: SymmetryGroup = "permutations" if config.clip_qkv is not None else symmetry_group
    groups: list[Group] = [stream(config.hidden_size, rotates=symmetry_group == "all", centred=True)]
    lines: dict[str, str | Fused] = {"model.embed_tokens.weight": "- stream", "lm_head.weight": "- stream"}
    for n in range(config.num_hidden_layers):
        at, heads, ffn = f"model.layers.{n}", f"{n}.heads", f"{n}.ffn"
        groups += [
            grouped_heads(heads, config, inside),
            units(ffn, config.intermediate_size, "linear", symmetry_group),
        ]
        lines |= attention(f"{at}.self_attn", heads) | gated(f"{at}.mlp", ffn)
    return Table.of("olmo", model, groups, lines)
