"""Mixtral: like Llama, with a router and experts of gated units in place of the feed-forward layer.

Experts are permuted together with the rows of the router, and units inside each expert. What a gate gates could also
take a factor in each unit of each expert; a group has one order or map for each block, so this factor is left out.
"""

from __future__ import annotations

from landscape.foreign import Pretrained
from landscape.symmetry.group.decoder import attention, grouped_heads, last_norm, pre_norms
from landscape.symmetry.group.groups import stream
from landscape.symmetry.group.table import Fused, Group, Norm, SymmetryGroup, Table

ROTATES_UNTIED = True
"""Whether the stream can be rotated only if the head is not tied to the embedding."""


def table(model: Pretrained, symmetry_group: SymmetryGroup) -> Table:
    """The symmetries of a model."""
    config = model.config
    count, inner = config.num_local_experts, config.intermediate_size
    rotates = symmetry_group == "all" and not config.tie_word_embeddings
    groups: list[Group] = [stream(config.hidden_size, rotates=rotates, centred=False)]
    gain = "-" if rotates else "stream"
    lines: dict[str, str | Fused] = {
        "model.embed_tokens.weight": "- stream",
        "model.norm.weight": gain,
        "lm_head.weight": "- stream",
    }
    norms = [last_norm()]
    halves = [tuple(range(k * inner, (k + 1) * inner)) for k in range(2)]
    for n in range(config.num_hidden_layers):
        at, heads, experts = f"model.layers.{n}", f"{n}.heads", f"{n}.experts"
        groups += [grouped_heads(heads, config, symmetry_group), Group(experts, count, within=inner)]
        unit = f"{experts}+ stream"
        lines |= attention(f"{at}.self_attn", heads)
        lines |= {
            f"{at}.mlp.gate.weight": f"{experts} stream",
            f"{at}.mlp.experts.gate_up_proj": Fused(1, tuple((unit, half) for half in halves), joined=1),
            f"{at}.mlp.experts.down_proj": Fused(2, ((unit, halves[0]),), joined=2),
            f"{at}.input_layernorm.weight": gain,
            f"{at}.post_attention_layernorm.weight": gain,
        }
        read = ((f"{at}.mlp.gate.weight", 1), (f"{at}.mlp.experts.gate_up_proj", 2))
        norms += [pre_norms(at)[0], Norm(f"{at}.post_attention_layernorm.weight", None, read)]
    return Table.of("mixtral", model, groups, lines, norms if rotates else ())
