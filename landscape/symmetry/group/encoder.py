"""Lines that encoders with norms after each layer share: BERT and those built like it."""

from __future__ import annotations

from collections.abc import Iterable

from landscape.foreign import Config
from landscape.symmetry.group.groups import activation_of, heads, units
from landscape.symmetry.group.table import Fused, Group, SymmetryGroup

Lines = dict[str, str | Fused]
ROLES = ("query", "key", "value", "out", "first_norm", "up", "down", "last_norm")
BERT = (
    "attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense",
    "attention.output.LayerNorm", "intermediate.dense", "output.dense", "output.LayerNorm",
)  # fmt: skip
"""What BERT, RoBERTa and ELECTRA call the parts of a layer, in the order of ``ROLES``."""


def layer(at: str, modules: Iterable[str], attention: str, ffn: str) -> Lines:
    """The lines of one layer.

    Args:
        at: Name of the layer's module.
        modules: Names of its parts below it, in the order of ``ROLES``.
        attention: Name of its group of heads.
        ffn: Name of its group of units.
    """
    where = {role: f"{at}.{name}" for role, name in zip(ROLES, modules, strict=True)}
    lines: Lines = {}
    for role, axis in (("query", "qk"), ("key", "qk*"), ("value", "vo")):
        lines[f"{where[role]}.weight"] = f"{attention}/{axis} stream"
        lines[f"{where[role]}.bias"] = f"{attention}/{axis}"
    return lines | {
        f"{where['out']}.weight": f"stream {attention}/vo*",
        f"{where['out']}.bias": "stream",
        f"{where['up']}.weight": f"{ffn}/unit stream",
        f"{where['up']}.bias": f"{ffn}/unit",
        f"{where['down']}.weight": f"stream {ffn}/unit*",
        f"{where['down']}.bias": "stream",
        **normed(where["first_norm"], "stream"),
        **normed(where["last_norm"], "stream"),
    }


def layers(config: Config, prefix: str, symmetry_group: SymmetryGroup) -> tuple[list[Group], Lines]:
    """Groups and lines of all layers of a model whose parts have BERT's names.

    Args:
        config: The model's config.
        prefix: Name of the module that holds the encoder.
        symmetry_group: All symmetries, or permutations only.
    """
    groups: list[Group] = []
    lines: Lines = {}
    for n in range(config.num_hidden_layers):
        attention, ffn = f"{n}.heads", f"{n}.ffn"
        groups += layer_groups(config, attention, ffn, symmetry_group)
        lines |= layer(f"{prefix}.encoder.layer.{n}", BERT, attention, ffn)
    return groups, lines


def layer_groups(config: Config, attention: str, ffn: str, symmetry_group: SymmetryGroup) -> list[Group]:
    """The groups of one layer.

    Args:
        config: The model's config.
        attention: Name of its group of heads.
        ffn: Name of its group of units.
        symmetry_group: All symmetries, or permutations only.
    """
    count = config.num_attention_heads
    return [
        heads(attention, count, config.hidden_size // count, symmetry_group),
        units(ffn, config.intermediate_size, activation_of(config), symmetry_group),
    ]


def embeddings(prefix: str, axis: str = "stream") -> Lines:
    """The lines of BERT's embeddings.

    Args:
        prefix: Name of the module that holds them.
        axis: The group of their coordinates.
    """
    names = ("word", "position", "token_type")
    lines: Lines = {f"{prefix}.embeddings.{name}_embeddings.weight": f"- {axis}" for name in names}
    return lines | normed(f"{prefix}.embeddings.LayerNorm", axis)


def normed(at: str, axis: str) -> Lines:
    """The lines of a norm: its gain and its shift."""
    return {f"{at}.weight": axis, f"{at}.bias": axis}


def hidden(into: str, out: str, group: str) -> Lines:
    """The lines of a head of two linear layers with units between: a pooler and a classifier.

    Args:
        into: Name of the first layer.
        out: Name of the second.
        group: Name of the group of units.
    """
    return {
        f"{into}.weight": f"{group}/unit stream",
        f"{into}.bias": f"{group}/unit",
        f"{out}.weight": f"- {group}/unit*",
        f"{out}.bias": "-",
    }


def decoder(into: str, norm: str, out: str, axis: str) -> Lines:
    """The lines of a head of masked words: a linear layer, a norm, and the decoder, whose bias may lie beside it.

    A decoder that is tied to the embedding puts the order of the embedding on the outputs of the linear layer.

    Args:
        into: Name of the linear layer.
        norm: Name of the norm.
        out: Name of the decoder.
        axis: The group of the coordinates that the decoder reads.
    """
    return {
        f"{into}.weight": f"{axis} stream",
        f"{into}.bias": axis,
        **normed(norm, axis),
        f"{out}.weight": f"- {axis}",
        f"{out}.bias": "-",
    }
