"""Gemma 2 and 3: norms before and after each layer, of gain ``1 + w``; in Gemma 3 also of queries and keys.

The gain after a layer acts on what the layer adds to the stream, and cannot be folded into what reads it. So the stream
is permuted and its coordinates may change their signs, which gains do not see; it is not rotated, whether or not the
head is tied. Queries and keys of Gemma 3 share one gain over all heads, so that only signs of pairs pass. A factor
moved from the gain of queries to that of keys is a symmetry too, and not a linear map of ``w``; it is left out.
"""

from __future__ import annotations

from landscape.foreign import Pretrained
from landscape.symmetry.group.decoder import attention, gated, grouped_heads
from landscape.symmetry.group.groups import signed_stream, units
from landscape.symmetry.group.table import Fused, Group, SymmetryGroup, Table

ROTATES_UNTIED = False
"""Whether the stream can be rotated only if the head is not tied to the embedding."""
STREAM = "stream/unit"


def table(model: Pretrained, symmetry_group: SymmetryGroup) -> Table:
    """The symmetries of a model."""
    config = model.config
    normed = config.model_type.startswith("gemma3")
    groups: list[Group] = [signed_stream(config.hidden_size, symmetry_group)]
    lines: dict[str, str | Fused] = {
        "model.embed_tokens.weight": f"- {STREAM}",
        "model.norm.weight": "stream",
        "lm_head.weight": f"- {STREAM}",
    }
    for n in range(config.num_hidden_layers):
        at, heads, ffn = f"model.layers.{n}", f"{n}.heads", f"{n}.ffn"
        groups += [
            grouped_heads(heads, config, symmetry_group, normed=normed),
            units(ffn, config.intermediate_size, "linear", symmetry_group),
        ]
        lines |= attention(f"{at}.self_attn", heads, STREAM) | gated(f"{at}.mlp", ffn, STREAM)
        lines |= {f"{at}.self_attn.{name}_norm.weight": "-" for name in "qk"}
        lines |= {
            f"{at}.{norm}layernorm.weight": "stream"
            for norm in ("input_", "post_attention_", "pre_feedforward_", "post_feedforward_")
        }
    return Table.of("gemma2", model, groups, lines)
