"""ALBERT: layers that share their weights, and an embedding of a width of its own.

What moves a shared layer moves it wherever it is used: its heads and units have one order in all of these places.
Norms write the embedding and the stream, so both are only permuted.
"""

from __future__ import annotations

from landscape.foreign import Pretrained
from landscape.symmetry.group import encoder
from landscape.symmetry.group.groups import stream, units
from landscape.symmetry.group.table import Fused, Group, SymmetryGroup, Table

ROTATES_UNTIED = False
"""Whether the stream can be rotated only if the head is not tied to the embedding."""
MODULES = (
    "attention.query", "attention.key", "attention.value", "attention.dense", "attention.LayerNorm", "ffn",
    "ffn_output", "full_layer_layer_norm",
)  # fmt: skip


def table(model: Pretrained, symmetry_group: SymmetryGroup) -> Table:
    """The symmetries of a model."""
    config, width = model.config, model.config.hidden_size
    head = "embedding" if config.tie_word_embeddings else "decoder"
    groups: list[Group] = [
        stream(width, rotates=False, centred=True),
        Group("embedding", config.embedding_size),
        Group("decoder", config.embedding_size),
        units("pooler", width, "tanh", symmetry_group),
    ]
    lines: dict[str, str | Fused] = {
        **encoder.embeddings("albert", "embedding"),
        "albert.encoder.embedding_hidden_mapping_in.weight": "stream embedding",
        "albert.encoder.embedding_hidden_mapping_in.bias": "stream",
        **encoder.hidden("albert.pooler", "classifier", "pooler"),
        **encoder.hidden("albert.pooler", "sop_classifier.classifier", "pooler"),
        **encoder.decoder("predictions.dense", "predictions.LayerNorm", "predictions.decoder", head),
        "predictions.bias": "-",
    }
    for g in range(config.num_hidden_groups):
        for n in range(config.inner_group_num):
            attention, ffn = f"{g}.{n}.heads", f"{g}.{n}.ffn"
            groups += encoder.layer_groups(config, attention, ffn, symmetry_group)
            at = f"albert.encoder.albert_layer_groups.{g}.albert_layers.{n}"
            lines |= encoder.layer(at, MODULES, attention, ffn)
    return Table.of("albert", model, groups, lines)
