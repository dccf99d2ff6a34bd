"""Local learning coefficients: speed against devinterp, and whether the numbers and their warnings can be believed.

    python benchmarks/llc.py [--devinterp1 PYTHON] [--devinterp2 PYTHON] [--rounds 3]

``PYTHON`` is the interpreter of an environment with devinterp 1.3.2, or 2.0.1, and scikit-learn; without them only this
project is timed. Seconds are the processor's, one thread each unless said. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from llc_side import digits
from torch import Tensor, nn

from landscape.llc import curvature, langevin, sampling
from landscape.llc.estimate import Estimate, estimate, extrapolated
from landscape.llc.known import deep_linear
from landscape.llc.run import Run
from landscape.llc.samplers import Dynamics
from landscape.objectives import module
from landscape.study.kinds.llc import Llc

HOT = 1e3
"""Inverse temperature at singular points; the chains go far there, so a colder one would take longer."""
SIDE = Path(__file__).with_name("llc_side.py")


def timed(python: str, side: str, case: str, *chains: int, threads: int = 1) -> float:
    """Processor's seconds of one side, its chains over so many processes at once."""
    env = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    parts = [
        subprocess.Popen([python, str(SIDE), side, case, str(count), str(threads)], stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, text=True, env=env)
        for count in chains
    ]  # fmt: skip
    return sum(json.loads(part.communicate()[0].splitlines()[-1])["cpu"] for part in parts)


def speed(peers: dict[str, str], rounds: int) -> None:
    """Rounds in turn, so that what else the machine does takes all sides along."""
    here = sys.executable
    sides = {
        "mlp": {"here": lambda: timed(here, "landscape", "mlp", 8)},
        "gpt2": {"here, two workers of one thread": lambda: timed(here, "landscape", "gpt2", 2, 2)},
    }
    for name, python in peers.items():
        sides["mlp"][name] = lambda python=python, name=name: timed(python, name, "mlp", 8)
    if python2 := peers.get("devinterp2"):
        sides["gpt2"]["devinterp2, one thread"] = lambda: timed(python2, "devinterp2", "gpt2", 4)
        sides["gpt2"]["devinterp2, all threads"] = lambda: timed(
            python2, "devinterp2", "gpt2", 4, threads=os.cpu_count() or 1
        )
    print("| case | side | CPU s, by round | times as long as here |\n|---|---|---|---|")
    for case, ways in sides.items():
        found: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, way in ways.items():
                found[name].append(way())
        (_, first), *_ = found.items()
        for name, seconds in found.items():
            ratios = [mine / other for mine, other in zip(seconds, first, strict=True)]
            print(f"| {case} | {name} | {', '.join(f'{s:.2f}' for s in seconds)} | "
                  f"{np.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) |")  # fmt: skip


def quadratic() -> None:
    """20 dimensions, 512 chains, 6,000 steps, against the stationary law of SGLD at that step."""
    h = torch.logspace(-2, 1, 20)
    n_beta, gamma, step = 1000.0, 10.0, 1e-4
    begin = time.process_time()
    dynamics = Dynamics(n_beta=n_beta, localisation=gamma, step_size=step)
    plan = langevin.Plan(draws=4000, burn_in=2000, batch=None)
    seeds = [(0, chain) for chain in range(512)]
    traces = langevin.run(
        torch.zeros(512, 20), lambda w, _: ((h * w * w).sum(1) / 2, h * w), 2, dynamics, plan, seeds
    )  # fmt: skip
    seconds = time.process_time() - begin
    run = Run(n_beta=n_beta, localisation=gamma, step_size=step, burn_in=2000, parameters=20)
    found = estimate(traces.losses, 0.0, run)
    kappa = n_beta * h.double() + gamma
    truth = float((n_beta * h / (kappa * (1 - step * kappa / 4))).sum() / 2)
    print(f"\nQuadratic: {seconds:.2f} s; {found.llc:.3f} ± {found.error:.3f} against {truth:.3f}, "
          f"{abs(found.llc - truth) / found.error:.1f} errors\n")  # fmt: skip


def network(widths: list[int], points: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """``|W_L ... W_1 - truth|^2 / 2`` for rows of weights, and its gradient."""
    sizes = [a * b for a, b in zip(widths, widths[1:], strict=False)]
    layers = [part.view(-1, b, a) for part, a, b in zip(points.split(sizes, dim=1), widths, widths[1:], strict=False)]
    before = [torch.eye(widths[0], dtype=points.dtype).expand(len(points), -1, -1)]
    for layer in layers[:-1]:
        before.append(layer @ before[-1])
    off = layers[-1] @ before[-1] - truth
    gradients, after = [], off
    for layer, under in zip(reversed(layers), reversed(before), strict=True):
        gradients.append((after @ under.mT).flatten(1))
        after = layer.mT @ after
    return off.square().sum(dim=(1, 2)) / 2, torch.cat(gradients[::-1], dim=1)


def coverage() -> None:
    """Twenty deep linear networks: ten of full rank at random weights, ten of low rank at the most singular ones.

    At full rank the minimum is regular: SGLD with the bias of the step extrapolated away, and the interval that the
    table ``llc`` states. At singular weights the curvature grows along flat directions, so no one step of SGLD will do:
    Metropolis-corrected steps, and ``m / ln n_beta`` allowed upwards, by which the coefficient at a finite temperature
    is below its limit: ``(m - 1) / ln n_beta`` is its leading term.
    """
    random = np.random.default_rng(0)
    print("| widths | rank | exact | m | estimate | interval, allowance in it | s | |")
    print("|---|---|---|---|---|---|---|---|")
    covered = 0
    for case in range(20):
        singular = case >= 10
        widths = random.integers(2, 5 if singular else 8, size=random.integers(3, 5)).tolist()
        rank = int(random.integers(0, min(widths))) if singular else min(widths)
        exact, m = deep_linear(widths, rank)
        begin = time.process_time()
        found = singular_network(widths, rank, case) if singular else regular_network(widths, case)
        low, high = found.interval()
        high += m / np.log(HOT) if singular else 0.0
        inside = low <= float(exact) <= high
        covered += inside
        seconds = time.process_time() - begin
        print(f"| {widths} | {rank} | {float(exact):g} | {m} | {found.llc:.2f} ± {found.error:.2f} | "
              f"{low:.2f} to {high:.2f} | {seconds:.0f} | {'' if inside else 'missed'} |")  # fmt: skip
    print(f"\nCovered: {covered} of 20\n")


def regular_network(widths: list[int], seed: int) -> Estimate:
    """The coefficient around random weights of full rank, whose layers are parts of rotations."""
    random = torch.Generator().manual_seed(seed)
    sizes = zip(widths[1:], widths, strict=False)
    layers = [torch.linalg.qr(torch.randn(max(s), max(s), generator=random)).Q[: s[0], : s[1]].double() for s in sizes]
    n_beta, gamma, burn_in, found = 1e5, 1.0, 4000, []
    for times in (1.0, 0.5):
        step = times * curvature.step_size(sharpness(widths, layers), n_beta, gamma)
        run = Run(n_beta=n_beta, localisation=gamma, step_size=step, burn_in=burn_in, parameters=0)
        found.append(estimate(chains(widths, layers, run, seed), 0.0, run))
    return extrapolated(*found)


def singular_network(widths: list[int], rank: int, seed: int) -> Estimate:
    """The coefficient around layers that are ``diag(1, ..., 1, 0, ...)``."""
    layers = [torch.zeros(shape, dtype=torch.float64) for shape in zip(widths[1:], widths, strict=False)]
    for layer in layers:
        layer[:rank, :rank] = torch.eye(rank)
    step = 0.5 * curvature.step_size(max(1.0, sharpness(widths, layers)), HOT, 1.0)
    run = Run(n_beta=HOT, localisation=1.0, step_size=step, burn_in=15_000, parameters=0, sampler="mala")
    return estimate(chains(widths, layers, run, seed), 0.0, run)


def sharpness(widths: list[int], layers: list[Tensor]) -> float:
    """The largest curvature at these layers."""
    centre, truth = joined(layers)
    return curvature.largest(centre, lambda w: network(widths, w[None], truth)[1][0], seed=0)[0]


def chains(widths: list[int], layers: list[Tensor], run: Run, seed: int) -> np.ndarray:
    """Losses of 32 chains around these layers, as many draws as burn-in."""
    centre, truth = joined(layers)
    plan = langevin.Plan(sampler=run.sampler, draws=run.burn_in, burn_in=run.burn_in, batch=None)
    dynamics = Dynamics(n_beta=run.n_beta, localisation=run.localisation, step_size=run.step_size)
    seeds = [(seed, chain) for chain in range(32)]
    return langevin.run(
        centre.repeat(32, 1), lambda w, _: network(widths, w, truth), 2, dynamics, plan, seeds
    ).losses  # fmt: skip


def joined(layers: list[Tensor]) -> tuple[Tensor, Tensor]:
    """The weights as one point, and their product."""
    truth = layers[0]
    for layer in layers[1:]:
        truth = layer @ truth
    return torch.cat([layer.flatten() for layer in layers]), truth


def soundness() -> None:
    """How often settings that are reliable, and three that are not, are called so; digits, 20 seeds each."""
    model, inputs, labels = digits()
    objective = module.build(
        model, {"inputs": inputs, "labels": labels},
        lambda out, batch: nn.functional.cross_entropy(out, batch["labels"], reduction="none"),
    )  # fmt: skip
    point = torch.cat([value.detach().flatten() for value in model.parameters()])
    sharp = curvature.sharpness(objective, point, None, seed=0)
    print(
        "| setting | step, in that of the curvature | burn-in | called unsound | coefficient |\n|---|---|---|---|---|"
    )
    for name, times, burn_in in (
        ("reliable", 1.0, 200), ("step too large", 8.0, 200), ("step too small", 0.05, 200),
        ("burn-in too short", 1.0, 10),
    ):  # fmt: skip
        found = []
        for seed in range(20):
            wanted = Llc(kind="llc", draws=400, burn_in=burn_in, batch=64, seed=seed)
            n_beta = sampling.inverse_temperature(wanted, objective.examples)
            step = times * curvature.step_size(sharp.curvature, n_beta, wanted.localisation)
            traces, _ = sampling.sample(objective, [point], wanted, [step], engine="vmap")
            run = Run(
                n_beta=n_beta, localisation=wanted.localisation, step_size=step, burn_in=burn_in,
                parameters=sharp.parameters, curvature=sharp.curvature, noise=sharp.variance / 64,
            )  # fmt: skip
            distances = np.sqrt(np.mean(traces.distances[:, burn_in:] ** 2, axis=1))
            found.append(estimate(traces.losses, sampling.baseline(objective, point, wanted), run, distances))
        values = [one.llc for one in found]
        print(f"| {name} | {times:g} | {burn_in} | {sum(bool(one.warnings) for one in found)} of 20 | "
              f"{np.mean(values):.2f}, from {min(values):.2f} to {max(values):.2f} |")  # fmt: skip


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devinterp1")
    parser.add_argument("--devinterp2")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["speed", "quadratic", "coverage", "soundness"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    peers = {name: path for name in ("devinterp1", "devinterp2") if (path := getattr(options, name))}
    parts = {"speed": lambda: speed(peers, options.rounds), "quadratic": quadratic, "coverage": coverage,
             "soundness": soundness}  # fmt: skip
    for name, part in parts.items():
        if options.only in (None, name):
            part()


if __name__ == "__main__":
    main()
