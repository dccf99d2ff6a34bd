"""Reading a checkpoint into the flat vector, against copying the same bytes from memory to memory.

python benchmarks/load.py [megabytes]
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from landscape.checkpoints import formats

LAYERS = 24


def main() -> None:
    """Print seconds and the ratio, over interleaved rounds; both sides write to fresh memory."""
    count = int(float(sys.argv[1] if len(sys.argv) > 1 else 440) * 1e6 / 4)
    random = np.random.default_rng(0)
    sizes = [count // LAYERS // 2, count // LAYERS // 3, count // LAYERS // 6, 768, 768]
    tensors = {
        f"{layer}.{n}": random.random(size, dtype=np.float32) for layer in range(LAYERS) for n, size in enumerate(sizes)
    }
    names = list(tensors)
    flat = np.concatenate([tensors[name] for name in names])
    with tempfile.TemporaryDirectory() as folder:
        save_file(tensors, Path(folder) / formats.SINGLE)
        shapes = [tensors[name].shape for name in names]

        def fill() -> np.ndarray:
            out = np.empty_like(flat)
            formats.fill(out, Path(folder), names, shapes)
            return out

        assert np.array_equal(fill(), flat)
        sides: dict[str, Callable[[], np.ndarray]] = {"fill": fill, "memcpy": flat.copy}
        seconds: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(11):
            for name, side in sides.items():
                begin = time.perf_counter()
                side()
                seconds[name].append(time.perf_counter() - begin)
    ratios = [a / b for a, b in zip(seconds["fill"], seconds["memcpy"], strict=True)]
    print(f"{flat.nbytes / 1e6:.0f} MB in {len(names)} tensors, from a file in the page cache")
    print(", ".join(f"{name} {statistics.median(s) * 1e3:.1f} ms" for name, s in seconds.items()))
    print(f"ratio {statistics.median(ratios):.2f} (rounds {min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
