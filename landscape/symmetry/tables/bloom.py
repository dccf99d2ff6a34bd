"""BLOOM: a norm after the embedding, norms before each layer, biases of attention by the number of the head (ALiBi).

The gain of the norm after the embedding acts on the stream itself and cannot be folded into what reads it, so the
stream is only permuted. The bias of attention differs from head to head, so heads keep their order; inside each, any
invertible map is a symmetry.
"""

from __future__ import annotations

from dataclasses import replace

from landscape.foreign import Pretrained
from landscape.symmetry.group.groups import heads, stream, units
from landscape.symmetry.group.table import Fused, Group, SymmetryGroup, Table

ROTATES_UNTIED = False
"""Whether the stream can be rotated only if the head is not tied to the embedding."""


def table(model: Pretrained, symmetry_group: SymmetryGroup) -> Table:
    """The symmetries of a model."""
    config = model.config
    count, width = config.n_head, config.hidden_size
    size = width // count
    groups: list[Group] = [stream(width, rotates=False, centred=True)]
    lines: dict[str, str | Fused] = {
        "transformer.word_embeddings.weight": "- stream",
        "lm_head.weight": "- stream",
        "score.weight": "- stream",
    }
    lines |= {f"transformer.{norm}.{kind}": "stream"
              for norm in ("word_embeddings_layernorm", "ln_f") for kind in ("weight", "bias")}  # fmt: skip
    # Rows are ordered by head, and within a head by queries, keys, values.
    thirds = [tuple((3 * head + k) * size + c for head in range(count) for c in range(size)) for k in range(3)]
    for n in range(config.n_layer):
        at, attention, ffn = f"transformer.h.{n}", f"{n}.heads", f"{n}.ffn"
        groups += [
            replace(heads(attention, count, size, symmetry_group), ordered=True),
            units(ffn, 4 * width, "gelu", symmetry_group),
        ]
        names = (f"{attention}/qk", f"{attention}/qk*", f"{attention}/vo")
        qkv = f"{at}.self_attention.query_key_value"
        lines |= {
            f"{qkv}.weight": Fused(0, tuple((f"{m} stream", t) for m, t in zip(names, thirds, strict=True))),
            f"{qkv}.bias": Fused(0, tuple(zip(names, thirds, strict=True))),
            f"{at}.self_attention.dense.weight": f"stream {attention}/vo*",
            f"{at}.self_attention.dense.bias": "stream",
            f"{at}.mlp.dense_h_to_4h.weight": f"{ffn}/unit stream",
            f"{at}.mlp.dense_h_to_4h.bias": f"{ffn}/unit",
            f"{at}.mlp.dense_4h_to_h.weight": f"stream {ffn}/unit*",
            f"{at}.mlp.dense_4h_to_h.bias": "stream",
            **{f"{at}.{norm}.{kind}": "stream"
               for norm in ("input_layernorm", "post_attention_layernorm") for kind in ("weight", "bias")},
        }  # fmt: skip
    return Table.of("bloom", model, groups, lines)
