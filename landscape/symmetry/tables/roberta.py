"""RoBERTa: BERT with other heads. Only permutations are symmetries of the stream, which norms write."""

from __future__ import annotations

from landscape.foreign import Pretrained
from landscape.symmetry.group import encoder
from landscape.symmetry.group.groups import stream, units
from landscape.symmetry.group.table import Fused, Group, SymmetryGroup, Table

ROTATES_UNTIED = False
"""Whether the stream can be rotated only if the head is not tied to the embedding."""


def table(model: Pretrained, symmetry_group: SymmetryGroup) -> Table:
    """The symmetries of a model."""
    config, width = model.config, model.config.hidden_size
    head = "stream" if config.tie_word_embeddings else "decoder"
    groups, lines = encoder.layers(config, "roberta", symmetry_group)
    before: list[Group] = [
        stream(width, rotates=False, centred=True),
        Group("decoder", width),
        units("classifier", width, "tanh", symmetry_group),
    ]
    every: dict[str, str | Fused] = {
        **lines,
        **encoder.embeddings("roberta"),
        **encoder.hidden("classifier.dense", "classifier.out_proj", "classifier"),
        **encoder.decoder("lm_head.dense", "lm_head.layer_norm", "lm_head.decoder", head),
        "lm_head.bias": "-",
    }
    return Table.of("roberta", model, [*before, *groups], every)
