"""Qwen 3: like Llama, with norms of queries and keys whose gains all heads share.

A gain of such a norm is one number for each coordinate of a head. So no rotation of a pair passes but that by half a
turn, a sign (a quarter turn would also swap two gains, in all heads at once; it is left out). And the gains of a pair
may be multiplied in queries and divided in keys, for all heads alike. The norm undoes any positive factor of one head
up to its epsilon; that is not exact, and left out.
"""

from __future__ import annotations

from landscape.foreign import Pretrained
from landscape.symmetry.group.decoder import attention, gated, grouped_heads, head_size, last_norm, pre_norms
from landscape.symmetry.group.groups import stream, units
from landscape.symmetry.group.table import Fused, Group, Part, SymmetryGroup, Table

ROTATES_UNTIED = True
"""Whether the stream can be rotated only if the head is not tied to the embedding."""


def table(model: Pretrained, symmetry_group: SymmetryGroup) -> Table:
    """The symmetries of a model."""
    config, size = model.config, head_size(model.config)
    rotates = symmetry_group == "all" and not config.tie_word_embeddings
    groups: list[Group] = [stream(config.hidden_size, rotates=rotates, centred=False)]
    gain = "-" if rotates else "stream"
    lines: dict[str, str | Fused] = {
        "model.embed_tokens.weight": "- stream",
        "model.norm.weight": gain,
        "lm_head.weight": "- stream",
    }
    norms = [last_norm()]
    for n in range(config.num_hidden_layers):
        at, heads, ffn, gains = f"model.layers.{n}", f"{n}.heads", f"{n}.ffn", f"{n}.gains"
        groups += [
            grouped_heads(heads, config, symmetry_group, normed=True),
            Group(gains, 1, (Part("pair", size, "pair_scale", size),)),
            units(ffn, config.intermediate_size, "linear", symmetry_group),
        ]
        lines |= {f"{at}.{norm}.weight": gain for norm in ("input_layernorm", "post_attention_layernorm")}
        lines |= attention(f"{at}.self_attn", heads) | gated(f"{at}.mlp", ffn)
        for name, axis in (("q", f"{gains}/pair"), ("k", f"{gains}/pair*")):
            lines[f"{at}.self_attn.{name}_norm.weight"] = axis if symmetry_group == "all" else "-"
        norms += pre_norms(at)
    return Table.of("qwen3", model, groups, lines, norms if rotates else ())
