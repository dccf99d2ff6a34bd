"""DistilBERT: BERT with names of its own. Only permutations are symmetries of the stream, which norms write.

The units before the classifier have a relu, so that each may take a positive factor.
"""

from __future__ import annotations

from landscape.foreign import Pretrained
from landscape.symmetry.group import encoder
from landscape.symmetry.group.groups import activation_of, heads, stream, units
from landscape.symmetry.group.table import Fused, Group, SymmetryGroup, Table

ROTATES_UNTIED = False
"""Whether the stream can be rotated only if the head is not tied to the embedding."""
MODULES = (
    "attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin", "sa_layer_norm", "ffn.lin1",
    "ffn.lin2", "output_layer_norm",
)  # fmt: skip


def table(model: Pretrained, symmetry_group: SymmetryGroup) -> Table:
    """The symmetries of a model."""
    config, width = model.config, model.config.dim
    head = "stream" if config.tie_word_embeddings else "decoder"
    groups: list[Group] = [
        stream(width, rotates=False, centred=True),
        Group("decoder", width),
        units("classifier", width, "relu", symmetry_group),
    ]
    lines: dict[str, str | Fused] = {
        **encoder.embeddings("distilbert"),
        **encoder.hidden("pre_classifier", "classifier", "classifier"),
        **encoder.decoder("vocab_transform", "vocab_layer_norm", "vocab_projector", head),
    }
    for n in range(config.n_layers):
        attention, ffn = f"{n}.heads", f"{n}.ffn"
        groups += [
            heads(attention, config.n_heads, width // config.n_heads, symmetry_group),
            units(ffn, config.hidden_dim, activation_of(config), symmetry_group),
        ]
        lines |= encoder.layer(f"distilbert.transformer.layer.{n}", MODULES, attention, ffn)
    return Table.of("distilbert", model, groups, lines)
