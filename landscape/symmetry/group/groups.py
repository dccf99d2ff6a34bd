"""Groups that architectures share: the residual stream, hidden units, attention heads."""

from __future__ import annotations

from landscape.foreign import Config
from landscape.symmetry.group.table import STREAM, Group, Part, PartKind, SymmetryGroup

ACTIVATIONS: dict[str, PartKind] = {"relu": "scale", "tanh": "sign", "linear": "linear"}
"""What commutes with an activation: ``f(c x) = c f(x)`` for positive c, for -1, for any c."""


def stream(width: int, *, rotates: bool, centred: bool) -> Group:
    """The residual stream: permuted, or rotated as a whole.

    Args:
        width: Number of its coordinates.
        rotates: Whether it may be rotated; its norms must be folded then.
        centred: Whether its norms subtract the mean, which a rotation must then keep.
    """
    if not rotates:
        return Group(STREAM, width)
    return Group(STREAM, 1, (Part("", width, "centred" if centred else "orthogonal"),))


def signed_stream(width: int, symmetry_group: SymmetryGroup) -> Group:
    """The residual stream, whose coordinates are permuted and may change their signs: RMSNorms whose gains stay.

    In lines, weights name the part ``unit``; gains of norms are only permuted and name no part.

    Args:
        width: Number of its coordinates.
        symmetry_group: Whether more than permutations is allowed.
    """
    return Group(STREAM, width, (Part("unit", 1, "sign"),) if symmetry_group == "all" else ())


def units(name: str, size: int, activation: str, symmetry_group: SymmetryGroup) -> Group:
    """Hidden units, with the factors that commute with their activation: positive ones for relu, signs for tanh.

    In lines, axes that such a factor moves name the part ``unit``, with a star for outgoing weights. Axes that are only
    permuted (weights before a norm, gates) name no part.

    Args:
        name: Name of the group.
        size: Number of units.
        activation: Name of the activation between incoming and outgoing weights; ``linear`` if there is none.
        symmetry_group: Whether more than permutations is allowed.
    """
    free = ACTIVATIONS.get(activation, "fixed") if symmetry_group == "all" else "fixed"
    return Group(name, size, (Part("unit", 1, free),) if free != "fixed" else ())


def heads(
    name: str,
    count: int,
    size: int,
    symmetry_group: SymmetryGroup,
    *,
    queries: int = 1,
    rotary: int = 0,
    values: int | None = None,
    normed: bool = False,
) -> Group:
    """Attention heads: heads are permuted, and inside a head queries move with keys and values with outputs.

    Args:
        name: Name of the group.
        count: Number of heads of keys and values.
        size: Number of coordinates of a head's queries.
        symmetry_group: Any invertible map inside a head, or permutations only.
        queries: Number of heads of queries that share one head of keys.
        rotary: Number of coordinates that positions rotate; in these no permutation is a symmetry.
        values: Number of coordinates of a head's values, if different.
        normed: Whether queries and keys have norms with gains; only signs, equal in a pair that positions rotate, pass.
    """
    inside: PartKind = "linear" if symmetry_group == "all" else "permutation"
    turning: PartKind = inside if not rotary else "rotary" if symmetry_group == "all" else "fixed"
    if normed:
        turning = "pair_sign" if symmetry_group == "all" else "fixed"
    qk, vo = Part("qk", size, turning, rotary), Part("vo", values or size, inside)
    return Group(name, count, (qk, vo), queries)


def activation_of(config: Config) -> str:
    """The name of the activation of a model's feed-forward layers."""
    names = ("hidden_act", "hidden_activation", "activation_function", "activation")
    return str(next((value for name in names if (value := getattr(config, name, None))), ""))
