import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BARE = """
import sys
sys.modules.update(dict.fromkeys(["pydantic", "jaxtyping", "beartype", "pandas", "rich"]))
import numpy as np
import transformers
import barriers as b
b.SHAPES["causal"] = b.Shape(b.gpt2(16, 1, 2, 50, 12), seeds=3, sequences=6, length=12)
b.SHAPES["masked"] = b.Shape(
    lambda: transformers.BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=20,
                                    vocab_size=50), kind="masked", seeds=3, sequences=6, length=12)
b.torch.set_num_threads(1)
for name in ("causal", "masked"):
    objective, points = b.build(b.SHAPES[name], "cpu")
    pairs = [(0, 1), (0, 2), (1, 2)]
    usual = b.usual(b.SHAPES[name], objective, points, 4, pairs)
    assert usual.shape == (3, 11) and usual.std() > 1e-4
    for strategy in (None, b.Strategy("vmap", 3, 4)):
        assert np.abs(b.ours(objective, points, strategy, "float32", pairs) - usual).max() < 1e-5
"""


@pytest.mark.slow
def test_load_compares_equal_bytes() -> None:
    command = [sys.executable, "load.py", "tiny"]
    out = subprocess.run(command, cwd=ROOT / "benchmarks", check=True, capture_output=True, text=True).stdout
    assert out.startswith("13 MB in 42 parameters") and out.count("ratio ") == 3


@pytest.mark.slow
def test_minimal_pairs_are_the_same_on_both_sides() -> None:
    command = [sys.executable, "minimal_pairs.py", "tiny"]
    out = subprocess.run(command, cwd=ROOT / "benchmarks", check=True, capture_output=True, text=True).stdout
    assert "pair by pair: " in out and float(out.rsplit("sentence ", 1)[1].split()[0]) < 1e-5


@pytest.mark.slow
def test_both_sides_agree_without_the_packages_that_a_gpu_machine_lacks() -> None:
    subprocess.run([sys.executable, "-c", BARE], cwd=ROOT / "benchmarks", check=True, capture_output=True)


@pytest.mark.slow
def test_engines_and_the_cluster_on_paper() -> None:
    def run(*command: str) -> str:
        return subprocess.run(
            [sys.executable, *command], cwd=ROOT / "benchmarks", check=True, capture_output=True, text=True
        ).stdout

    out = run("engines.py", "--jobs", "20", "--engine", "local", "--work", "2")
    assert out.count("ms a task") == 2 and out.count("two shares") == 2
    out = run("cluster.py", "--seeds", "6", "--steps", "4", "--workers", "3")
    assert out.count("of the bound") == 4
