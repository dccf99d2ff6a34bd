"""Reading a checkpoint into the flat vector, against copying the same bytes from memory to memory.

python benchmarks/load.py [bert-base|tiny]

The checkpoint is a BERT as MultiBERTs has it on the hub: ``pytorch_model.bin`` with old names, position ids and its
decoder stored twice; and the same as ``save_pretrained`` writes it. Both lie in the hub client's cache, filled from
a loopback hub, and are read by their ``hf://`` name, with everything that a task pays for.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from hub_mirror import HubMirror

ROUNDS = 11


def main() -> None:
    """Print seconds and the ratio, over interleaved rounds; all sides write to the same resident memory."""
    with tempfile.TemporaryDirectory() as folder:
        mirror = HubMirror().start()
        os.environ |= {"HF_ENDPOINT": mirror.url, "HF_HOME": f"{folder}/hf", "HF_HUB_DISABLE_XET": "1",
                       "HF_HUB_DISABLE_PROGRESS_BARS": "1", "NO_PROXY": "127.0.0.1"}  # fmt: skip
        compare(mirror, Path(folder), tiny="tiny" in sys.argv[1:])


def compare(mirror: HubMirror, folder: Path, *, tiny: bool) -> None:
    """Fill the cache, then time."""
    import numpy as np
    import torch
    from transformers import BertConfig, BertForPreTraining

    from landscape.checkpoints import fetch, find, models
    from landscape.objectives import masked_lm
    from landscape.space import Space

    small = {"hidden_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 200}
    model = BertForPreTraining(BertConfig(**(small if tiny else {})))
    model.save_pretrained(folder / "safetensors")
    (folder / "bin").mkdir()
    model.config.save_pretrained(folder / "bin")
    old = {n.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): v
           for n, v in model.state_dict().items()}  # fmt: skip
    torch.save({**old, "bert.embeddings.position_ids": torch.arange(512)[None]}, folder / "bin" / "pytorch_model.bin")
    for form in ("safetensors", "bin"):
        mirror.repo(f"google/{form}").commit("main", folder / form)

    found = {form: fetch.pinned(find(f"hf://google/{form}")[0]) for form in ("safetensors", "bin")}
    skeleton = models.skeleton(fetch.described(found["bin"]), masked_lm.AUTO)
    flat = {form: models.load(fetch.weights(c), skeleton) for form, c in found.items()}
    assert torch.equal(flat["safetensors"], flat["bin"])
    buffer = torch.empty_like(flat["bin"])
    sides: dict[str, Callable[[], object]] = {
        **{
            form: (lambda c=c: models.load(fetch.weights(c), skeleton, buffer, look=False)) for form, c in found.items()
        },
        "bin, looked at": lambda: models.load(fetch.weights(found["bin"]), skeleton, buffer),
        "memcpy": lambda: np.copyto(buffer.numpy(), flat["bin"].numpy()),
    }
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(ROUNDS):
        for name, side in sides.items():
            begin = time.perf_counter()
            side()
            seconds[name].append(time.perf_counter() - begin)
    size = flat["bin"].nbytes / 1e6
    print(f"{size:.0f} MB in {len(Space.of(skeleton).names)} parameters, from the hub client's cache")
    for form in list(sides)[:-1]:
        ratios = [a / b for a, b in zip(seconds[form], seconds["memcpy"], strict=True)]
        middle = {name: statistics.median(seconds[name]) * 1e3 for name in (form, "memcpy")}
        print(
            f"{form} {middle[form]:.1f} ms, memcpy {middle['memcpy']:.1f} ms, "
            f"ratio {statistics.median(ratios):.2f} (rounds {min(ratios):.2f} to {max(ratios):.2f})"
        )


if __name__ == "__main__":
    main()
