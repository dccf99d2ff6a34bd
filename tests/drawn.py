"""Frames of a report with planted rows, for the tests of figures."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from landscape.figures.frames import Frames
from landscape.profile.summary import barrier_over_branching, barrier_over_training, by_path, mean_profiles

SETTINGS = {
    "objective": "causal-lm", "unit": "nats per token", "examples": 128, "length": 64, "dtype": "float32",
    "dtype_error": None, "points": 11, "path": "linear",
}  # fmt: skip
PAIRS = {(0, 1): 0.2, (0, 2): 0.5, (1, 2): 0.3}


def rows(step: int, scale: float = 1.0, between: str = "seed") -> list[dict[str, object]]:
    label = "seed" if between == "seed" else "branch"
    other = "branch" if between == "seed" else "seed"
    return [
        {
            "a": f"run/{a}/{step}", "b": f"run/{b}/{step}",
            "definition": "chord", "barrier": scale * v, "low": scale * v - 0.04, "high": scale * v + 0.06,
            f"{label}_a": a, f"{label}_b": b, f"{other}_a": None if other == "branch" else 0,
            f"{other}_b": None if other == "branch" else 0, "step_a": step, "step_b": step, "between": between,
            "branch_step": None if between == "seed" else step, **SETTINGS,
        }
        for (a, b), v in PAIRS.items()
    ]  # fmt: skip


def planted() -> Frames:
    barriers = pd.DataFrame([
        *rows(0, 0.1),
        *rows(4, 0.5),
        *rows(32),
        *rows(2, 0.7, "branch"),
        *rows(8, 0.3, "branch"),
    ])
    profiles = pd.DataFrame([
        {**{k: v for k, v in row.items() if k not in ("barrier", "low", "high", "definition")},
         "t": t, "loss": 2 + 4 * t * (1 - t), "error": 0.03, "rise": 4 * t * (1 - t), "rise_error": 0.01}
        for row in barriers.to_dict("records") for t in (0.0, 0.25, 0.5, 1.0)
    ])  # fmt: skip
    losses = pd.DataFrame([
        {"seed": s, "step": t, "branch_step": None, "loss": 3 - s / 10 - t / 100, "error": 0.02,
         **{k: v for k, v in SETTINGS.items() if k not in ("points", "path")}}
        for s in range(3) for t in (0, 4, 32)
    ])  # fmt: skip
    return Frames(
        barriers,
        profiles,
        losses,
        barrier_over_training(barriers),
        barrier_over_branching(barriers),
        mean_profiles(profiles),
    )


def bent_frames(frames: Frames) -> Frames:
    """Two kinds of path and a control for the last step's pairs, a plane, and a simplex."""
    lines = pd.DataFrame(rows(32)).assign(
        loss_increase=0.6, loss_increase_error=0.02, mean_loss_increase=0.3, mean_loss_increase_error=0.01
    )
    kinds = {"linear": (1.0, 0.6), "bezier": (0.1, 0.05), "control": (0.0, 2.5)}
    bent = pd.concat([
        lines.assign(
            path=path,
            loss_increase=loss_increase,
            mean_loss_increase=loss_increase / 2,
            **{name: lines[name] * scale for name in ("barrier", "low", "high")},
        )
        for path, (scale, loss_increase) in kinds.items()
    ])
    profiles = pd.DataFrame([
        {"path": path, "t": t, "loss": 2 + scale * t * (1 - t), "loss_low": 1.9, "loss_high": 2.4}
        for path, (scale, _) in kinds.items() for t in (0.0, 0.5, 1.0)
    ])  # fmt: skip
    plain = {k: v for k, v in SETTINGS.items() if k not in ("points", "path")}
    shared = {"plane": "p", "kind": "trajectory", "explained_x": 0.71, "explained_y": 0.2, **plain}
    plane = pd.DataFrame([
        {**shared, "x": float(x), "y": float(y), "loss": 2 + x * x + 2.0 * y * y, "error": 0.03, "above_error": 0.01}
        for x in range(5) for y in range(3)
    ])  # fmt: skip
    place = pd.DataFrame([
        {**shared, "checkpoint": f"r/{s}", "seed": 0, "step": s, "x": s / 8, "y": 1.0, "off_plane": 0.4, "loss": 2.5}
        for s in (0, 8, 16)
    ])  # fmt: skip
    mixture = pd.DataFrame([
        {"checkpoints": '["a", "b"]', "step": 32, "kind": kind, "loss": loss, "error": 0.02, **plain}
        for kind, loss in (("vertex", 2.0), ("vertex", 2.1), ("edge", 2.7), ("centre", 2.8), ("random", 2.4))
    ])  # fmt: skip
    ends = {"a": "r/0", "b": "r/8", "seed_a": 0, "seed_b": 0, "step_a": 0, "step_b": 8, "start": "checkpoint", **plain}
    line = pd.DataFrame([
        {**ends, "start": start, "between": "first", "t": t, "loss": 3 - t, "error": 0.1}
        for start in ("checkpoint", "noise") for t in (0.0, 0.5, 1.0, 1.5)
    ])  # fmt: skip
    probe_along = pd.DataFrame([
        {**ends, "b": f"r/{seed}", "between": "seed", "path": "linear", "align": "none", "points": 3, "probe": probe,
         "metric": metric, "subset": "", "t": t, "value": 0.9 - 2 * t * (1 - t), "error": 0.05, "better": "higher",
         "chance": None if probe == "loss" else 0.5, "headline": True}
        for seed in (1, 2) for probe, metric in (("loss", "loss"), ("agreement", "accuracy")) for t in (0.0, 0.5, 1.0)
    ])  # fmt: skip
    component = pd.DataFrame([
        {**ends, "a": f"r/0/{step}", "b": f"r/1/{step}", "step_a": step, "step_b": step, "between": "seed",
         "align": "none", "start": start, "way": way, "component": name, "position": k, "rise": (k + 1) * 0.1 * step,
         "points": 5}
        for way in ("single", "from_first", "from_last") for start in "ab" for step in (0, 8)
        for k, name in enumerate(("input", "h.0", "h.1", "output"))
    ])  # fmt: skip
    trajectory = pd.DataFrame([
        {**ends, "step_b": step, "between": "window", "window": 3, "metric": f"gain_over_{what}", "value": 0.1 * step,
         "low": 0.1 * step - 0.2, "high": 0.1 * step + 0.2}
        for what in ("mean", "newest") for step in (2, 4, 8)
    ])  # fmt: skip
    return replace(
        frames,
        data_sets={"main": frames, "hans": frames},
        component=component,
        probe_along=probe_along,
        trajectory=trajectory,
        line=line,
        learned=bent,
        by_path=by_path(bent),
        learned_profiles=profiles,
        plane=plane,
        place=place,
        mixture=mixture,
    )
