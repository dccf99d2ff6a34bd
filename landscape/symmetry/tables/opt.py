"""OPT: norms before each layer, learned positions, relu units; OPT-350m has norms after each layer.

Where norms come after each layer, the stream is only permuted. Where the embedding has a width of its own
(``word_embed_proj_dim``), its coordinates are a group, with any invertible map; with norms before each layer the last
gain is then folded into the projection, and the head need not be untied.
"""

from __future__ import annotations

from landscape.foreign import Pretrained
from landscape.symmetry.group.groups import activation_of, heads, stream, units
from landscape.symmetry.group.table import Fused, Group, Norm, Part, SymmetryGroup, Table

ROTATES_UNTIED = True
"""Whether the stream can be rotated only if the head is not tied to the embedding."""


def table(model: Pretrained, symmetry_group: SymmetryGroup) -> Table:
    """The symmetries of a model."""
    config, tied = model.config, model.config.tie_word_embeddings
    width, count, narrow = config.hidden_size, config.num_attention_heads, config.word_embed_proj_dim
    projected = narrow != width
    rotates = symmetry_group == "all" and config.do_layer_norm_before and (projected or not tied)
    gain = "-" if rotates else "stream"
    free = (Part("any", narrow, "linear"),) if symmetry_group == "all" else ()
    embedding, head = ("embedding/any", "embedding/any" if tied else "head/any") if projected else ("stream", "stream")
    groups: list[Group] = [stream(width, rotates=rotates, centred=True)]
    groups += [Group(name, 1 if free else narrow, free) for name in ("embedding", "head")]
    lines: dict[str, str | Fused] = {
        "model.decoder.embed_tokens.weight": f"- {embedding}",
        "model.decoder.embed_positions.weight": "- stream",
        "model.decoder.project_in.weight": f"stream {embedding}*",
        "model.decoder.project_out.weight": f"{head}* stream",
        "model.decoder.final_layer_norm.weight": gain,
        "model.decoder.final_layer_norm.bias": "stream",
        "lm_head.weight": f"- {head}",
        "score.weight": f"- {head}",
    }
    reader = "model.decoder.project_out.weight" if projected else "lm_head.weight"
    last = "model.decoder.final_layer_norm"
    norms = [Norm(f"{last}.weight", f"{last}.bias", ((reader, 1),))]
    for n in range(config.num_hidden_layers):
        at, attention, ffn = f"model.decoder.layers.{n}", f"{n}.heads", f"{n}.ffn"
        groups += [
            heads(attention, count, width // count, symmetry_group),
            units(ffn, config.ffn_dim, activation_of(config), symmetry_group),
        ]
        for name, axis in (("q", "qk"), ("k", "qk*"), ("v", "vo")):
            lines[f"{at}.self_attn.{name}_proj.weight"] = f"{attention}/{axis} stream"
            lines[f"{at}.self_attn.{name}_proj.bias"] = f"{attention}/{axis}"
        lines |= {
            f"{at}.self_attn.out_proj.weight": f"stream {attention}/vo*",
            f"{at}.self_attn.out_proj.bias": "stream",
            f"{at}.fc1.weight": f"{ffn}/unit stream",
            f"{at}.fc1.bias": f"{ffn}/unit",
            f"{at}.fc2.weight": f"stream {ffn}/unit*",
            f"{at}.fc2.bias": "stream",
        }
        attended = tuple((f"{at}.self_attn.{name}_proj.weight", 1) for name in "qkv")
        for norm, readers in (("self_attn_layer_norm", attended), ("final_layer_norm", ((f"{at}.fc1.weight", 1),))):
            lines |= {f"{at}.{norm}.weight": gain, f"{at}.{norm}.bias": "stream"}
            norms.append(Norm(f"{at}.{norm}.weight", f"{at}.{norm}.bias", readers))
    return Table.of("opt", model, groups, lines, norms if rotates else ())
