"""OLMo 2 and 3: RMSNorms after each layer, and of queries and keys over the whole width.

The gain after a layer acts on what the layer adds to the stream, and cannot be folded into what reads it. So the stream
is permuted and its coordinates may change their signs, which gains do not see; it is not rotated. The norms of queries
and keys take the root mean square over all heads, so that heads are permuted with their gains and no head takes a
factor of its own. A gain stands between each coordinate and its rotation by positions. So only signs of pairs pass (a
quarter turn would also swap two gains; it is left out), and a factor of a pair's gains in queries over that in keys.
"""

from __future__ import annotations

from dataclasses import replace

from landscape.foreign import Pretrained
from landscape.symmetry.group.decoder import attention, gated, grouped_heads, head_size
from landscape.symmetry.group.groups import signed_stream, units
from landscape.symmetry.group.table import Fused, Group, Part, SymmetryGroup, Table

ROTATES_UNTIED = False
"""Whether the stream can be rotated only if the head is not tied to the embedding."""
STREAM = "stream/unit"


def table(model: Pretrained, symmetry_group: SymmetryGroup) -> Table:
    """The symmetries of a model."""
    config, size = model.config, head_size(model.config)
    gains = Part("gain", size, "pair_scale" if symmetry_group == "all" else "fixed", size)
    groups: list[Group] = [signed_stream(config.hidden_size, symmetry_group)]
    lines: dict[str, str | Fused] = {
        "model.embed_tokens.weight": f"- {STREAM}",
        "model.norm.weight": "stream",
        "lm_head.weight": f"- {STREAM}",
    }
    for n in range(config.num_hidden_layers):
        at, heads, ffn = f"model.layers.{n}", f"{n}.heads", f"{n}.ffn"
        own = grouped_heads(heads, config, symmetry_group, normed=True)
        groups += [
            replace(own, parts=(*own.parts, gains)),
            units(ffn, config.intermediate_size, "linear", symmetry_group),
        ]
        lines |= attention(f"{at}.self_attn", heads, STREAM) | gated(f"{at}.mlp", ffn, STREAM)
        lines |= {
            f"{at}.self_attn.q_norm.weight": f"{heads}/gain+",
            f"{at}.self_attn.k_norm.weight": f"{heads}/gain*",
            f"{at}.post_attention_layernorm.weight": "stream",
            f"{at}.post_feedforward_layernorm.weight": "stream",
        }
    return Table.of("olmo2", model, groups, lines)
