"""GPT-NeoX (Pythia): rotary positions on a part of each head, attention and feed-forward layer side by side."""

from __future__ import annotations

from math import ceil

from landscape.foreign import Pretrained
from landscape.symmetry.group.groups import activation_of, heads, stream, units
from landscape.symmetry.group.table import Fused, Group, Norm, SymmetryGroup, Table

ROTATES_UNTIED = True
"""Whether the stream can be rotated only if the head is not tied to the embedding."""


def table(model: Pretrained, symmetry_group: SymmetryGroup) -> Table:
    """The symmetries of a model."""
    config = model.config
    count, width = config.num_attention_heads, config.hidden_size
    size = width // count
    # An odd number is rounded up to whole pairs, as transformers does.
    rotary = 2 * ceil(int(size * config.rope_parameters.get("partial_rotary_factor", 1.0)) / 2)
    rotates = symmetry_group == "all" and not config.tie_word_embeddings
    groups: list[Group] = [stream(width, rotates=rotates, centred=True)]
    lines: dict[str, str | Fused] = {
        "gpt_neox.embed_in.weight": "- stream",
        "gpt_neox.final_layer_norm.weight": "-" if rotates else "stream",
        "gpt_neox.final_layer_norm.bias": "stream",
        "lm_head.weight": "- stream",
    }
    norms = [Norm("gpt_neox.final_layer_norm.weight", "gpt_neox.final_layer_norm.bias", (("lm_head.weight", 1),))]
    for n in range(config.num_hidden_layers):
        at, attention, ffn = f"gpt_neox.layers.{n}", f"{n}.heads", f"{n}.ffn"
        groups += [
            heads(attention, count, size, symmetry_group, rotary=rotary),
            units(ffn, config.intermediate_size, activation_of(config), symmetry_group),
        ]
        # Rows are ordered by head, and within a head by queries, keys, values.
        thirds = [tuple((3 * head + k) * size + c for head in range(count) for c in range(size)) for k in range(3)]
        names = (f"{attention}/qk", f"{attention}/qk*", f"{attention}/vo")
        qkv = f"{at}.attention.query_key_value"
        lines |= {
            f"{qkv}.weight": Fused(0, tuple((f"{m} stream", t) for m, t in zip(names, thirds, strict=True))),
            f"{qkv}.bias": Fused(0, tuple(zip(names, thirds, strict=True))),
            f"{at}.attention.dense.weight": f"stream {attention}/vo*",
            f"{at}.attention.dense.bias": "stream",
            f"{at}.mlp.dense_h_to_4h.weight": f"{ffn}/unit stream",
            f"{at}.mlp.dense_h_to_4h.bias": f"{ffn}/unit",
            f"{at}.mlp.dense_4h_to_h.weight": f"stream {ffn}/unit*",
            f"{at}.mlp.dense_4h_to_h.bias": "stream",
        }
        for norm, reader in (("input_layernorm", qkv), ("post_attention_layernorm", f"{at}.mlp.dense_h_to_4h")):
            lines |= {f"{at}.{norm}.weight": "-" if rotates else "stream", f"{at}.{norm}.bias": "stream"}
            norms.append(Norm(f"{at}.{norm}.weight", f"{at}.{norm}.bias", ((f"{reader}.weight", 1),)))
    return Table.of("gpt_neox", model, groups, lines, norms if rotates else ())
