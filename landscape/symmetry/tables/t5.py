"""T5: an encoder and a decoder with one embedding, RMSNorms before each layer, biases of attention by distance.

The bias of attention has a column for each head, which all layers of the encoder, or of the decoder, share. So heads
have one order in all self-attention layers of a side, and maps of their own in each; cross-attention has no such bias,
and each of its layers an order of its own. Encoder and decoder read one embedding, so they have one stream. It is
rotated where the head is not tied to the embedding.
"""

from __future__ import annotations

from landscape.foreign import Pretrained
from landscape.symmetry.group.groups import ACTIVATIONS, heads, stream, units
from landscape.symmetry.group.table import Fused, Group, Norm, Part, SymmetryGroup, Table

ROTATES_UNTIED = True
"""Whether the stream can be rotated only if the head is not tied to the embedding."""
Lines = dict[str, str | Fused]


def table(model: Pretrained, symmetry_group: SymmetryGroup) -> Table:
    """The symmetries of a model."""
    config = model.config
    head = getattr(model, "lm_head", None)
    rotates = symmetry_group == "all" and head is not None and head.weight is not model.shared.weight
    gain = "-" if rotates else "stream"
    groups: list[Group] = [stream(config.d_model, rotates=rotates, centred=False)]
    names = ("shared", "encoder.embed_tokens", "decoder.embed_tokens", "lm_head")
    lines: Lines = {f"{name}.weight": "- stream" for name in names}
    crossing: list[tuple[str, int]] = []
    norms: list[Norm] = []
    for side, count in (("encoder", config.num_layers), ("decoder", config.num_decoder_layers)):
        parts: list[Part] = []
        for n in range(count):
            block, ffn = f"{side}.block.{n}.layer", f"{side}.{n}.ffn"
            own = heads("", config.num_heads, config.d_kv, symmetry_group).parts
            parts += [Part(f"{part.name}{n}", part.size, part.kind) for part in own]
            lines |= _attention(f"{block}.0.SelfAttention", f"{side}.heads", n)
            norms.append(Norm(f"{block}.0.layer_norm.weight", None, _read(f"{block}.0.SelfAttention")))
            lines[f"{block}.0.SelfAttention.relative_attention_bias.weight"] = f"- {side}.heads"
            last = 1
            if side == "decoder":
                last, cross = 2, f"{block}.1.EncDecAttention"
                groups.append(heads(f"{side}.{n}.cross", config.num_heads, config.d_kv, symmetry_group))
                lines |= _attention(cross, f"{side}.{n}.cross")
                norms.append(Norm(f"{block}.1.layer_norm.weight", None, ((f"{cross}.q.weight", 1),)))
                crossing += [(f"{cross}.{name}.weight", 1) for name in "kv"]
            free = "linear" if config.is_gated_act else config.dense_act_fn
            groups.append(units(ffn, config.d_ff, free if free in ACTIVATIONS else "", symmetry_group))
            lines |= _fed(f"{block}.{last}.DenseReluDense", ffn)
            wi = ("wi_0", "wi_1") if config.is_gated_act else ("wi",)
            read = tuple((f"{block}.{last}.DenseReluDense.{name}.weight", 1) for name in wi)
            norms.append(Norm(f"{block}.{last}.layer_norm.weight", None, read))
        groups.append(Group(f"{side}.heads", config.num_heads, tuple(parts)))
    norms.append(Norm("encoder.final_layer_norm.weight", None, tuple(crossing)))
    norms.append(Norm("decoder.final_layer_norm.weight", None, (("lm_head.weight", 1),)))
    lines |= {norm.weight: gain for norm in norms}
    return Table.of("t5", model, groups, lines, norms if rotates else ())


def _attention(at: str, group: str, layer: int | None = None) -> Lines:
    """The lines of an attention layer, whose parts have the number of the layer where layers share an order."""
    number = "" if layer is None else str(layer)
    axes = (("q", f"qk{number}"), ("k", f"qk{number}*"), ("v", f"vo{number}"))
    return {
        f"{at}.o.weight": f"stream {group}/vo{number}*",
        **{f"{at}.{name}.weight": f"{group}/{axis} stream" for name, axis in axes},
    }


def _read(at: str) -> tuple[tuple[str, int], ...]:
    return tuple((f"{at}.{name}.weight", 1) for name in "qkv")


def _fed(at: str, group: str) -> Lines:
    """The lines of a feed-forward layer: ``wi``, or a gate ``wi_0`` and what it gates, ``wi_1``."""
    return {
        f"{at}.wi.weight": f"{group}/unit stream",
        f"{at}.wi_0.weight": f"{group} stream",
        f"{at}.wi_1.weight": f"{group}/unit stream",
        f"{at}.wo.weight": f"stream {group}/unit*",
    }
