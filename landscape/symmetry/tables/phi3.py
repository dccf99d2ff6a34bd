"""Phi-3: like Llama, with queries, keys and values in one matrix, gates and units in another.

Positions rotate all coordinates of a head, or the first part of them (``partial_rotary_factor``).
"""

from __future__ import annotations

from math import ceil

from landscape.foreign import Pretrained
from landscape.symmetry.group.decoder import head_size, last_norm
from landscape.symmetry.group.groups import heads, stream, units
from landscape.symmetry.group.table import Fused, Group, Norm, SymmetryGroup, Table

ROTATES_UNTIED = True
"""Whether the stream can be rotated only if the head is not tied to the embedding."""


def table(model: Pretrained, symmetry_group: SymmetryGroup) -> Table:
    """The symmetries of a model."""
    config, size = model.config, head_size(model.config)
    count, keys, inner = config.num_attention_heads, config.num_key_value_heads, config.intermediate_size
    rotary = 2 * ceil(int(size * config.rope_parameters.get("partial_rotary_factor", 1.0)) / 2)
    rotates = symmetry_group == "all" and not config.tie_word_embeddings
    groups: list[Group] = [stream(config.hidden_size, rotates=rotates, centred=False)]
    gain = "-" if rotates else "stream"
    lines: dict[str, str | Fused] = {
        "model.embed_tokens.weight": "- stream",
        "model.norm.weight": gain,
        "lm_head.weight": "- stream",
    }
    norms = [last_norm()]
    bounds = (0, count * size, (count + keys) * size, (count + 2 * keys) * size)
    thirds = [tuple(range(bounds[k], bounds[k + 1])) for k in range(3)]
    halves = [tuple(range(k * inner, (k + 1) * inner)) for k in range(2)]
    for n in range(config.num_hidden_layers):
        at, attention, ffn = f"model.layers.{n}", f"{n}.heads", f"{n}.ffn"
        groups += [
            heads(attention, keys, size, symmetry_group, queries=count // keys, rotary=rotary),
            units(ffn, inner, "linear", symmetry_group),
        ]
        qkv = (f"{attention}/qk+ stream", f"{attention}/qk* stream", f"{attention}/vo stream")
        fed = (f"{ffn} stream", f"{ffn}/unit stream")
        lines |= {
            f"{at}.self_attn.qkv_proj.weight": Fused(0, tuple(zip(qkv, thirds, strict=True))),
            f"{at}.self_attn.o_proj.weight": f"stream {attention}/vo*+",
            f"{at}.mlp.gate_up_proj.weight": Fused(0, tuple(zip(fed, halves, strict=True))),
            f"{at}.mlp.down_proj.weight": f"stream {ffn}/unit*",
        }
        for norm, reader in (("input_layernorm", "self_attn.qkv"), ("post_attention_layernorm", "mlp.gate_up")):
            lines[f"{at}.{norm}.weight"] = gain
            norms.append(Norm(f"{at}.{norm}.weight", None, ((f"{at}.{reader}_proj.weight", 1),)))
    return Table.of("phi3", model, groups, lines, norms if rotates else ())
