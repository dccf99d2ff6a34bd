"""Lines that decoders with rotary positions, grouped queries and gated units share: Llama and those built like it."""

from __future__ import annotations

from landscape.foreign import Config
from landscape.symmetry.group.groups import heads
from landscape.symmetry.group.table import Fused, Group, Norm, SymmetryGroup

Lines = dict[str, str | Fused]


def grouped_heads(name: str, config: Config, symmetry_group: SymmetryGroup, *, normed: bool = False) -> Group:
    """The heads of a layer, whose queries and keys positions rotate throughout.

    Args:
        name: Name of the group.
        config: The model's config.
        symmetry_group: Any invertible map inside a head, or permutations only.
        normed: Whether queries and keys have norms.
    """
    keys, size = config.num_key_value_heads, head_size(config)
    queries = config.num_attention_heads // keys
    return heads(name, keys, size, symmetry_group, queries=queries, rotary=size, normed=normed)


def head_size(config: Config) -> int:
    """Number of coordinates of a head."""
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


def attention(at: str, group: str, stream: str = "stream") -> Lines:
    """The lines of the projections of an attention layer.

    Args:
        at: Name of its module.
        group: Name of its group of heads.
        stream: How its weights name the stream.
    """
    lines: Lines = {f"{at}.o_proj.weight": f"{stream} {group}/vo*+", f"{at}.o_proj.bias": stream}
    for name, axis in (("q", "qk+"), ("k", "qk*"), ("v", "vo")):
        lines[f"{at}.{name}_proj.weight"] = f"{group}/{axis} {stream}"
        lines[f"{at}.{name}_proj.bias"] = f"{group}/{axis}"
    return lines


def gated(at: str, group: str, stream: str = "stream") -> Lines:
    """The lines of gated units: the gate is only permuted, and what it gates may take any factor.

    Args:
        at: Name of their module.
        group: Name of their group.
        stream: How its weights name the stream.
    """
    return {
        f"{at}.gate_proj.weight": f"{group} {stream}",
        f"{at}.gate_proj.bias": group,
        f"{at}.up_proj.weight": f"{group}/unit {stream}",
        f"{at}.up_proj.bias": f"{group}/unit",
        f"{at}.down_proj.weight": f"{stream} {group}/unit*",
        f"{at}.down_proj.bias": stream,
    }


def pre_norms(at: str, offset: float = 0.0) -> tuple[Norm, ...]:
    """The two norms of a layer whose gains are folded into its projections.

    Args:
        at: Name of the layer's module.
        offset: What is added to the parameter to make the gain.
    """
    attended = tuple((f"{at}.self_attn.{name}_proj.weight", 1) for name in "qkv")
    fed = tuple((f"{at}.mlp.{name}_proj.weight", 1) for name in ("gate", "up"))
    return (
        Norm(f"{at}.input_layernorm.weight", None, attended, offset),
        Norm(f"{at}.post_attention_layernorm.weight", None, fed, offset),
    )


def last_norm(offset: float = 0.0) -> Norm:
    """The norm before the head.

    Args:
        offset: What is added to the parameter to make the gain.
    """
    return Norm("model.norm.weight", None, (("lm_head.weight", 1),), offset)
