"""GPT-2: norms before each layer, learned positions, queries, keys and values in one matrix stored inputs first."""

from __future__ import annotations

from landscape.foreign import Pretrained
from landscape.symmetry.group.groups import activation_of, heads, stream, units
from landscape.symmetry.group.table import Fused, Group, Norm, SymmetryGroup, Table

ROTATES_UNTIED = True
"""Whether the stream can be rotated only if the head is not tied to the embedding."""


def table(model: Pretrained, symmetry_group: SymmetryGroup) -> Table:
    """The symmetries of a model; the stream is rotated only if the head is not tied to the embedding.

    The last gain is folded into the head, and must not be folded into the embedding.
    """
    config = model.config
    width, size = config.n_embd, config.n_embd // config.n_head
    inner = config.n_inner or 4 * width
    rotates = symmetry_group == "all" and not config.tie_word_embeddings
    groups: list[Group] = [stream(width, rotates=rotates, centred=True)]
    lines: dict[str, str | Fused] = {
        "transformer.wte.weight": "- stream",
        "transformer.wpe.weight": "- stream",
        "transformer.ln_f.weight": "-" if rotates else "stream",
        "transformer.ln_f.bias": "stream",
        "lm_head.weight": "- stream",
    }
    norms = [Norm("transformer.ln_f.weight", "transformer.ln_f.bias", (("lm_head.weight", 1),))]
    for n in range(config.n_layer):
        at, attention, ffn = f"transformer.h.{n}", f"{n}.heads", f"{n}.ffn"
        groups += [
            heads(attention, config.n_head, size, symmetry_group),
            units(ffn, inner, activation_of(config), symmetry_group),
        ]
        thirds = [tuple(range(k * width, (k + 1) * width)) for k in range(3)]
        names = (f"{attention}/qk", f"{attention}/qk*", f"{attention}/vo")
        lines |= {
            f"{at}.attn.c_attn.weight": Fused(1, tuple((f"stream {m}", t) for m, t in zip(names, thirds, strict=True))),
            f"{at}.attn.c_attn.bias": Fused(0, tuple(zip(names, thirds, strict=True))),
            f"{at}.attn.c_proj.weight": f"{attention}/vo* stream",
            f"{at}.attn.c_proj.bias": "stream",
            f"{at}.mlp.c_fc.weight": f"stream {ffn}/unit",
            f"{at}.mlp.c_fc.bias": f"{ffn}/unit",
            f"{at}.mlp.c_proj.weight": f"{ffn}/unit* stream",
            f"{at}.mlp.c_proj.bias": "stream",
        }
        for norm, reader in (("ln_1", "attn.c_attn"), ("ln_2", "mlp.c_fc")):
            lines |= {f"{at}.{norm}.weight": "-" if rotates else "stream", f"{at}.{norm}.bias": "stream"}
            norms.append(Norm(f"{at}.{norm}.weight", f"{at}.{norm}.bias", ((f"{at}.{reader}.weight", 0),)))
    return Table.of("gpt2", model, groups, lines, norms if rotates else ())
