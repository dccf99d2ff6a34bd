"""ELECTRA: BERT's encoder, an embedding that may have a width of its own, heads of generator and discriminator.

Norms write the embedding and the stream, so both are only permuted.
"""

from __future__ import annotations

from landscape.foreign import Pretrained
from landscape.symmetry.group import encoder
from landscape.symmetry.group.groups import activation_of, stream, units
from landscape.symmetry.group.table import Fused, Group, SymmetryGroup, Table

ROTATES_UNTIED = False
"""Whether the stream can be rotated only if the head is not tied to the embedding."""


def table(model: Pretrained, symmetry_group: SymmetryGroup) -> Table:
    """The symmetries of a model.

    A generator that is tied to the embedding puts its order on the outputs of ``generator_predictions.dense``.
    """
    config, width, narrow = model.config, model.config.hidden_size, model.config.embedding_size
    embedding = "stream" if narrow == width else "embedding"
    head = embedding if config.tie_word_embeddings else "decoder"
    groups, lines = encoder.layers(config, "electra", symmetry_group)
    before: list[Group] = [
        stream(width, rotates=False, centred=True),
        Group("embedding", narrow),
        Group("decoder", narrow),
        units("discriminator", width, activation_of(config), symmetry_group),
        units("classifier", width, "gelu", symmetry_group),
    ]
    at = "generator_predictions"
    every: dict[str, str | Fused] = {
        **lines,
        **encoder.embeddings("electra", embedding),
        "electra.embeddings_project.weight": f"stream {embedding}",
        "electra.embeddings_project.bias": "stream",
        **encoder.decoder(f"{at}.dense", f"{at}.LayerNorm", "generator_lm_head", head),
        **encoder.hidden(
            "discriminator_predictions.dense", "discriminator_predictions.dense_prediction", "discriminator"
        ),
        **encoder.hidden("classifier.dense", "classifier.out_proj", "classifier"),
    }
    return Table.of("electra", model, [*before, *groups], every)
