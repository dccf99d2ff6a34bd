"""BERT: norms after each layer, so that their output is the stream, and only permutations are symmetries of it."""

from __future__ import annotations

from landscape.foreign import Pretrained
from landscape.symmetry.group.groups import activation_of, heads, stream, units
from landscape.symmetry.group.table import Fused, Group, SymmetryGroup, Table

ROTATES_UNTIED = False
"""Whether the stream can be rotated only if the head is not tied to the embedding."""


def table(model: Pretrained, symmetry_group: SymmetryGroup) -> Table:
    """The symmetries of a model.

    A decoder that is tied to the embedding puts the order of the stream on both axes of ``transform.dense``.
    """
    config = model.config
    width, count = config.hidden_size, config.num_attention_heads
    decoder = "stream" if config.tie_word_embeddings else "decoder"
    groups: list[Group] = [
        stream(width, rotates=False, centred=True),
        Group("decoder", width),
        units("pooler", width, "tanh", symmetry_group),
    ]
    lines: dict[str, str | Fused] = {
        **{f"bert.embeddings.{name}_embeddings.weight": "- stream" for name in ("word", "position", "token_type")},
        **{f"bert.embeddings.LayerNorm.{kind}": "stream" for kind in ("weight", "bias")},
        "bert.pooler.dense.weight": "pooler/unit stream",
        "bert.pooler.dense.bias": "pooler/unit",
        "classifier.weight": "- pooler/unit*",
        "classifier.bias": "-",
        "cls.seq_relationship.weight": "- pooler/unit*",
        "cls.seq_relationship.bias": "-",
        "cls.predictions.transform.dense.weight": f"{decoder} stream",
        "cls.predictions.transform.dense.bias": decoder,
        "cls.predictions.transform.LayerNorm.weight": decoder,
        "cls.predictions.transform.LayerNorm.bias": decoder,
        "cls.predictions.decoder.weight": f"- {decoder}",
        "cls.predictions.decoder.bias": "-",
        "cls.predictions.bias": "-",
    }
    for n in range(config.num_hidden_layers):
        at, attention, ffn = f"bert.encoder.layer.{n}", f"{n}.heads", f"{n}.ffn"
        groups += [
            heads(attention, count, width // count, symmetry_group),
            units(ffn, config.intermediate_size, activation_of(config), symmetry_group),
        ]
        for name, axis in (("query", "qk"), ("key", "qk*"), ("value", "vo")):
            lines[f"{at}.attention.self.{name}.weight"] = f"{attention}/{axis} stream"
            lines[f"{at}.attention.self.{name}.bias"] = f"{attention}/{axis}"
        lines |= {
            f"{at}.attention.output.dense.weight": f"stream {attention}/vo*",
            f"{at}.attention.output.dense.bias": "stream",
            f"{at}.intermediate.dense.weight": f"{ffn}/unit stream",
            f"{at}.intermediate.dense.bias": f"{ffn}/unit",
            f"{at}.output.dense.weight": f"stream {ffn}/unit*",
            f"{at}.output.dense.bias": "stream",
            **{f"{at}.{part}.LayerNorm.{kind}": "stream"
               for part in ("attention.output", "output") for kind in ("weight", "bias")},
        }  # fmt: skip
    return Table.of("bert", model, groups, lines)
