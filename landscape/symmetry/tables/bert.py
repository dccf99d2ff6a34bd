"""BERT: norms after each layer, so that their output is the stream, and only permutations are symmetries of it."""

from __future__ import annotations

from landscape.foreign import Pretrained
from landscape.symmetry.group import encoder
from landscape.symmetry.group.groups import stream, units
from landscape.symmetry.group.table import Fused, Group, SymmetryGroup, Table

ROTATES_UNTIED = False
"""Whether the stream can be rotated only if the head is not tied to the embedding."""


def table(model: Pretrained, symmetry_group: SymmetryGroup) -> Table:
    """The symmetries of a model.

    A decoder that is tied to the embedding puts the order of the stream on both axes of ``transform.dense``.
    """
    config, width = model.config, model.config.hidden_size
    head = "stream" if config.tie_word_embeddings else "decoder"
    groups, lines = encoder.layers(config, "bert", symmetry_group)
    before: list[Group] = [
        stream(width, rotates=False, centred=True),
        Group("decoder", width),
        units("pooler", width, "tanh", symmetry_group),
    ]
    at = "cls.predictions"
    every: dict[str, str | Fused] = {
        **lines,
        **encoder.embeddings("bert"),
        **encoder.hidden("bert.pooler.dense", "classifier", "pooler"),
        **encoder.hidden("bert.pooler.dense", "cls.seq_relationship", "pooler"),
        **encoder.decoder(f"{at}.transform.dense", f"{at}.transform.LayerNorm", f"{at}.decoder", head),
        f"{at}.bias": "-",
    }
    return Table.of("bert", model, [*before, *groups], every)
