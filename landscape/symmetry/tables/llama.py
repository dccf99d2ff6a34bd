"""Llama and models built like it (Mistral, Qwen 2): rotary positions, grouped queries, gated units, RMSNorm."""

from __future__ import annotations

from landscape.foreign import Pretrained
from landscape.symmetry.group.groups import heads, stream, units
from landscape.symmetry.group.table import Fused, Group, Norm, SymmetryGroup, Table

ROTATES_UNTIED = True
"""Whether the stream can be rotated only if the head is not tied to the embedding."""


def table(model: Pretrained, symmetry_group: SymmetryGroup) -> Table:
    """The symmetries of a model; the gate of a unit is only permuted, and what it gates may take any factor."""
    config = model.config
    width, keys = config.hidden_size, config.num_key_value_heads
    size = getattr(config, "head_dim", None) or width // config.num_attention_heads
    rotates = symmetry_group == "all" and not config.tie_word_embeddings
    groups: list[Group] = [stream(width, rotates=rotates, centred=False)]
    gain = "-" if rotates else "stream"
    lines: dict[str, str | Fused] = {
        "model.embed_tokens.weight": "- stream",
        "model.norm.weight": gain,
        "lm_head.weight": "- stream",
    }
    norms = [Norm("model.norm.weight", None, (("lm_head.weight", 1),))]
    for n in range(config.num_hidden_layers):
        at, attention, ffn = f"model.layers.{n}", f"{n}.heads", f"{n}.ffn"
        queries = config.num_attention_heads // keys
        groups += [
            heads(attention, keys, size, symmetry_group, queries=queries, rotary=size),
            units(ffn, config.intermediate_size, "linear", symmetry_group),
        ]
        for name, axis in (("q", "qk+"), ("k", "qk*"), ("v", "vo")):
            lines[f"{at}.self_attn.{name}_proj.weight"] = f"{attention}/{axis} stream"
            lines[f"{at}.self_attn.{name}_proj.bias"] = f"{attention}/{axis}"
        lines |= {
            f"{at}.self_attn.o_proj.weight": f"stream {attention}/vo*+",
            f"{at}.self_attn.o_proj.bias": "stream",
            f"{at}.mlp.gate_proj.weight": f"{ffn} stream",
            f"{at}.mlp.gate_proj.bias": ffn,
            f"{at}.mlp.up_proj.weight": f"{ffn}/unit stream",
            f"{at}.mlp.up_proj.bias": f"{ffn}/unit",
            f"{at}.mlp.down_proj.weight": f"stream {ffn}/unit*",
            f"{at}.mlp.down_proj.bias": "stream",
            f"{at}.input_layernorm.weight": gain,
            f"{at}.post_attention_layernorm.weight": gain,
        }
        attended = tuple((f"{at}.self_attn.{name}_proj.weight", 1) for name in "qkv")
        fed = tuple((f"{at}.mlp.{name}_proj.weight", 1) for name in ("gate", "up"))
        norms += [
            Norm(f"{at}.input_layernorm.weight", None, attended),
            Norm(f"{at}.post_attention_layernorm.weight", None, fed),
        ]
    return Table.of("llama", model, groups, lines, norms if rotates else ())
