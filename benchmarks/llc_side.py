"""One side of ``llc.py``: chains on a small model, by this project or by devinterp, whichever this Python has.

    python benchmarks/llc_side.py landscape|devinterp1|devinterp2 mlp|gpt2 CHAINS THREADS

Prints the processor's seconds of the sampling alone, imports and the making of model and data left out, and the
coefficient. All sides take the same settings, one thread, and no burn-in, so that devinterp's is right.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

SETTINGS = {
    "mlp": {"chains": 8, "draws": 200, "batch": 64, "n_beta": 200.0, "localisation": 100.0, "step_size": 2e-5},
    "gpt2": {"chains": 4, "draws": 100, "batch": 32, "n_beta": 30.0, "localisation": 100.0, "step_size": 2e-4},
}


TURNS = {"mlp": 5, "gpt2": 1}


def digits() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """A perceptron that has learned to read digits, and the digits."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    inputs, labels = torch.tensor(x, dtype=torch.float32) / 16, torch.tensor(y)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(200):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), labels).backward()
        optimizer.step()
    return model, inputs, labels


def language(as_loaded: Callable[[Any], Any] = lambda config: config) -> tuple[nn.Module, torch.Tensor]:
    """An untrained GPT-2 of 470,528 parameters, its config as a side loads it, and 256 sequences of 64 tokens."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(vocab_size=512, n_positions=64, n_embd=128, n_layer=2, n_head=4, resid_pdrop=0.0,
                        embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0,
                        eos_token_id=0)  # fmt: skip
    return GPT2LMHeadModel(as_loaded(config)), torch.randint(0, 512, (256, 64))


def landscape(case: str, chains: int) -> Callable[[], float]:
    """This project: the trace of the loss through the function that tasks use."""
    from landscape.llc import sampling
    from landscape.objectives import causal_lm, module
    from landscape.study.kinds.llc import Llc

    torch.set_flush_denormal(True)  # as this project's workers do
    wanted = Llc.model_validate({"kind": "llc", "burn_in": 0, **SETTINGS[case], "chains": chains})
    if case == "mlp":
        model, inputs, labels = digits()

        def loss(out: Any, batch: Any) -> torch.Tensor:
            return nn.functional.cross_entropy(out, batch["labels"], reduction="none")

        objective = module.build(model, {"inputs": inputs, "labels": labels}, loss)
    else:
        from landscape.checkpoints.configs import fused

        model, ids = language(fused)
        objective = causal_lm.build(model, {"input_ids": ids})
    point = torch.cat([value.detach().flatten() for value in model.parameters()])

    def work() -> float:
        traces, _ = sampling.sample(objective, [point], wanted, [float(wanted.step_size)])
        return float(traces.losses.mean())

    return work


def devinterp1(case: str, chains: int) -> Callable[[], float]:
    """Devinterp 1.3.2, on the perceptron."""
    from devinterp.optim.sgld import SGLD
    from devinterp.slt.llc import LLCEstimator
    from devinterp.slt.sampler import sample
    from torch.utils.data import DataLoader, TensorDataset

    model, inputs, labels = digits()
    loader = DataLoader(TensorDataset(inputs, labels), batch_size=SETTINGS[case]["batch"], shuffle=True)
    given = SETTINGS[case]

    def evaluate(model: nn.Module, data: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        out = model(data[0])
        return nn.functional.cross_entropy(out, data[1]), {"logits": out}

    def work() -> float:
        trace = LLCEstimator(chains, given["draws"], torch.tensor(0.0), nbeta=given["n_beta"])
        sample(model, loader, [trace], evaluate=evaluate, sampling_method=SGLD, num_chains=chains,
               num_draws=given["draws"], init_loss=0.0, verbose=False, seed=list(range(chains)),
               optimizer_kwargs={"lr": given["step_size"], "localization": given["localisation"],
                                 "nbeta": given["n_beta"]})  # fmt: skip
        return float(trace.get_results()["loss/trace"].mean())

    return work


def devinterp2(case: str, chains: int) -> Callable[[], float]:
    """Devinterp 2.0.1 at its cheapest; it knows language models only, so the perceptron's rows go as tokens."""
    import tempfile

    from datasets import Dataset
    from devinterp.slt.sampling import sample

    given, more = SETTINGS[case], {}
    if case == "mlp":
        model, inputs, labels = digits()
        data = Dataset.from_dict({"input_ids": [[i, i] for i in range(len(inputs))]}).with_format("torch")

        def loss(model: nn.Module, ids: torch.Tensor) -> torch.Tensor:
            rows = ids[:, 0]
            return nn.functional.cross_entropy(model(inputs[rows]), labels[rows], reduction="none")[:, None]

        more["loss_fn"] = loss
    else:
        model, ids = language()
        data = Dataset.from_dict({"input_ids": ids.tolist()}).with_format("torch")

    def work() -> float:
        with tempfile.TemporaryDirectory() as folder:
            tree = sample(model, data, {}, lr=given["step_size"], n_beta=given["n_beta"], num_chains=chains,
                          num_draws=given["draws"], batch_size=given["batch"], num_init_loss_batches=1,
                          localization=given["localisation"], output_path=f"{folder}/out", device="cpu",
                          **more)  # fmt: skip
            return float(_losses(tree).mean())

    return work


def _losses(tree: Any) -> Any:
    """Whatever the tree calls the trace of the loss."""
    for node in tree.subtree:
        for name, values in node.data_vars.items():
            if "loss" in name and "init" not in name:
                return values
    raise KeyError(str(tree))


def main() -> None:
    """Print one JSON line: the least of a few turns, since what else runs on the machine only adds."""
    side, case, chains, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    work = {"landscape": landscape, "devinterp1": devinterp1, "devinterp2": devinterp2}[side](case, int(chains))
    seconds = []
    for _ in range(TURNS[case]):
        begin = time.process_time()
        loss = work()
        seconds.append(time.process_time() - begin)
    print(json.dumps({"side": side, "case": case, "cpu": min(seconds), "all": seconds, "loss": loss}))


if __name__ == "__main__":
    main()
