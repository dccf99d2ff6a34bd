"""Llama and models built like it (Mistral, Qwen 2): rotary positions, grouped queries, gated units, RMSNorm."""

from __future__ import annotations

from landscape.foreign import Pretrained
from landscape.symmetry.group.decoder import attention, gated, grouped_heads, last_norm, pre_norms
from landscape.symmetry.group.groups import stream, units
from landscape.symmetry.group.table import Fused, Group, SymmetryGroup, Table

ROTATES_UNTIED = True
"""Whether the stream can be rotated only if the head is not tied to the embedding."""


def table(model: Pretrained, symmetry_group: SymmetryGroup) -> Table:
    """The symmetries of a model; the gate of a unit is only permuted, and what it gates may take any factor."""
    return pre_normed("llama", model, symmetry_group)


def pre_normed(name: str, model: Pretrained, symmetry_group: SymmetryGroup, offset: float = 0.0) -> Table:
    """The symmetries of a model with an RMSNorm before each layer.

    Args:
        name: Name of the architecture.
        model: The model.
        symmetry_group: All symmetries, or permutations only.
        offset: What is added to the parameter of a norm to make its gain.
    """
    config = model.config
    rotates = symmetry_group == "all" and not config.tie_word_embeddings
    groups: list[Group] = [stream(config.hidden_size, rotates=rotates, centred=False)]
    gain = "-" if rotates else "stream"
    lines: dict[str, str | Fused] = {
        "model.embed_tokens.weight": "- stream",
        "model.norm.weight": gain,
        "lm_head.weight": "- stream",
    }
    norms = [last_norm(offset)]
    for n in range(config.num_hidden_layers):
        at, heads, ffn = f"model.layers.{n}", f"{n}.heads", f"{n}.ffn"
        groups += [
            grouped_heads(heads, config, symmetry_group),
            units(ffn, config.intermediate_size, "linear", symmetry_group),
        ]
        lines |= {f"{at}.{norm}.weight": gain for norm in ("input_layernorm", "post_attention_layernorm")}
        lines |= attention(f"{at}.self_attn", heads) | gated(f"{at}.mlp", ffn)
        norms += pre_norms(at, offset)
    return Table.of(name, model, groups, lines, norms if rotates else ())
