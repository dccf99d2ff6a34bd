"""Findings in at most eight sentences with numbers; the tables have all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from landscape.stages.analysis import Findings
from landscape.stages.association.by_seed import POPULATION, SEED
from landscape.stages.events.staging import EVERYONE

MAX_LISTED, MAX_STAGES = 2, 6
"""Findings that a sentence lists; the others are counted."""
LEVEL = 0.05
NAMES = {
    "onset": "onsets are rank-correlated over the seeds",
    "onset given loss": "onsets are correlated over the seeds with the timing of the loss held fixed",
    "matrix": "barriers and distances of behaviour are rank-correlated over the pairs of seeds",
    "matrix given loss": "barriers and distances of behaviour are correlated with the loss held fixed",
    "cluster": "the share of its variance between clusters of seeds is",
    "cluster given loss": "the share of its variance between clusters of seeds, with the loss held fixed, is",
}
BOUNDS = {"extremum": "extrema", "plateau": "plateaus", "break": "breaks of a piecewise linear fit", "state": "states"}


def sentences(findings: Findings) -> list[str]:
    """Stages, the preregistered test, onsets, stable connectivity, other associations, leads, clusters, outliers."""
    texts = [
        _stages(findings), _primary(findings), _onsets(findings), _stable(findings), _associations(findings),
        _leads(findings), _clusters(findings), _outliers(findings),
    ]  # fmt: skip
    return [text for text in texts if text]


def _stages(findings: Findings) -> str:
    rows = findings.stage
    if rows.empty:
        return ""
    rows = rows[
        (rows["seed"] == EVERYONE) if (rows["seed"] == EVERYONE).any() else (rows["seed"] == rows["seed"].iloc[0])
    ]
    own = rows[rows["series"] == findings.boundaries]
    who = "in the mean over seeds" if own["seed"].iloc[0] == EVERYONE else f"in seed {own['seed'].iloc[0]}"
    bounds = [BOUNDS[event] for event in dict.fromkeys(own["begins"]) if event in BOUNDS]
    series = "all series" if "states" in bounds else _name(findings, findings.boundaries)
    if len(own) == 1:
        row = own.iloc[0]
        span = f"steps {row['start']:,.0f} and {row['end']:,.0f}"
        return f"No boundary between stages is found {who}: {series} changes by {_change(row)} between {span}."
    parts = []
    for row in own.to_dict("records"):
        begin = "" if np.isnan(row["start_low"]) else f" [{row['start_low']:,.0f}, {row['start_high']:,.0f}]"
        parts.append(f"from step {row['start']:,.0f}{begin} to {row['end']:,.0f} by {_change(row)}")
    return (
        f"{len(own)} stages {who}, bounded by {' and '.join(bounds)} of {series}, in which {findings.boundaries} "
        f"changes: {_listed(parts, MAX_STAGES)}."
    )


def _primary(findings: Findings) -> str:
    rows = findings.association
    for row in rows[rows["primary"]].to_dict("records"):
        return f"Preregistered: {_test(findings, row)}."
    return "No association was preregistered: every test is exploratory." if rows["p"].notna().any() else ""


def _onsets(findings: Findings) -> str:
    rows = findings.event
    every = rows["seed"] == EVERYONE
    who = "the mean over seeds" if every.any() else f"seed {rows['seed'].iloc[0]}" if len(rows) else ""
    own = rows[every] if every.any() else rows[rows["seed"] == rows["seed"].iloc[0]] if len(rows) else rows
    parts = [
        f"{_name(findings, row['series'])}, a {row['way']}, "
        + (f"at step {row['step']:,.0f} {_range(row)}" if row["censored"] == "no" else _censored(row))
        for row in own[own["event"] == "half_rise"].sort_values("step").to_dict("records")
    ]
    return f"Half-rise of {who} (t50): {_listed(parts, MAX_STAGES)}." if parts else ""


def _stable(findings: Findings) -> str:
    rows = findings.event
    parts = []
    for series, part in rows[rows["event"] == "stable"].groupby("series", sort=False):
        every = part[part["seed"] == EVERYONE]
        row = (every if len(every) else part).iloc[0].to_dict()
        who = "the median of the seeds" if len(every) else f"seed {row['seed']}"
        when = f"from step {row['step']:,.0f} {_range(row)}" if row["censored"] == "no" else _censored(row)
        parts.append(f"{series} in {who}, {when}")
    if not parts:
        return ""
    threshold = f"{findings.threshold:.3g} {findings.unit}".strip()
    return f"Time to stable connectivity, after which the barrier stays below {threshold}: {'; '.join(parts)}."


def _associations(findings: Findings) -> str:
    rows = findings.association
    part = rows[~rows["primary"] & (rows["hypothesis"] == SEED) & rows["p"].notna()]
    if part.empty:
        return ""
    shown = _shown(part)
    powerless = int((part["p_floor"] > LEVEL).sum())
    few = f" ({powerless} of them cannot be with so few seeds)" if powerless else ""
    listed = _listed([_test(findings, row) for row in shown.to_dict("records")], MAX_LISTED)
    colon = ": " if listed else ""
    with_all, without = (int((part[name] <= LEVEL).sum()) for name in ("p", "p_without"))
    other = f"; at p <= {LEVEL} there are {with_all}, and {without} without the outlier runs"
    return (
        "Seed hypothesis (a seed whose connectivity is early changes its behaviour early): "
        f"{len(shown)} of {len(part)} exploratory tests are significant at q <= {LEVEL}{few}{colon}{listed}"
        f"{other if part['p_without'].notna().any() else ''}."
    )


def _leads(findings: Findings) -> str:
    rows = findings.association
    part = rows[(rows["hypothesis"] == POPULATION) & rows["p"].notna()]
    shown = _shown(part)
    if shown.empty:
        return ""
    parts = [
        f"{_pair(findings, row)}, {_lead(row, findings.axis.unit)} ({_p(row)})" for row in shown.to_dict("records")
    ]
    return f"Which comes first, on average over seeds (weak evidence): {_listed(parts, MAX_LISTED)}."


def _clusters(findings: Findings) -> str:
    parts = []
    for connectivity, rows in findings.cluster.groupby("connectivity", sort=False):
        last = rows[rows["step"] == rows["step"].max()]
        step, p = int(last["step"].iloc[0]), float(last["p"].iloc[0])
        if last["cluster"].nunique() == 1:
            parts.append(f"none is significant in {connectivity} at step {step:,} (p {p:.2g} of the best division)")
            continue
        frozen = rows.loc[rows["frozen"].astype(bool), "step"]
        groups = [", ".join(part["seed"]) for _, part in last.groupby("cluster")]
        parts.append(
            f"{' | '.join(groups)} in {connectivity} at step {step:,} (p {p:.2g}), unchanged from step "
            f"{int(frozen.min()):,} on"
        )
    return f"Clusters of seeds: {'; '.join(parts)}." if parts else ""


def _outliers(findings: Findings) -> str:
    rows = findings.outlier
    parts = []
    for seed, part in rows.groupby("seed", sort=False):
        row = part.iloc[0]
        more = f", and in {len(part) - 1} more series" if len(part) > 1 else ""
        parts.append(
            f"seed {seed} ({row['series']} {row['value']:.3g} where the median is {row['median']:.3g}, robust z "
            f"{row['z']:+.1f}, p {row['p']:.2g}{more})"
        )
    return f"Outlier runs, which the means include: {_listed(parts, MAX_LISTED + 1)}." if parts else ""


def _shown(rows: pd.DataFrame) -> pd.DataFrame:
    """The significant tests, with the smallest p first."""
    return rows[(rows["q"] <= LEVEL) & (rows["p_floor"] <= LEVEL)].sort_values(["p", "effect"])


def _test(findings: Findings, row: dict[str, Any]) -> str:
    """A test in words: effect, p value, result without outlier runs, and verdict."""
    power = f", power {row['power']:.2f}" if row["p"] > LEVEL and pd.notna(row["power"]) else ""
    sides = row["p"] <= LEVEL and row["low"] <= 0 <= row["high"]
    one = "; the test is one-sided, the interval two-sided" if sides else ""
    without = (
        f"; without the outlier runs {row['effect_without']:+.3g}, p {row['p_without']:.2g}"
        if pd.notna(row["p_without"]) else ""
    )  # fmt: skip
    return (
        f"{_pair(findings, row)}: {NAMES[row['test']]} {row['effect']:+.3g} {_between(row)} "
        f"({_p(row)}{power}, {row['seeds']} seeds{one}{without}{_given_loss(findings, row)}): {row['verdict']}"
    )


def _given_loss(findings: Findings, row: dict[str, Any]) -> str:
    """Result of the same test with the loss held fixed."""
    rows = findings.association
    same = rows[(rows["connectivity"] == row["connectivity"]) & (rows["behaviour"] == row["behaviour"])]
    for other in same[same["test"] == f"{row['test']} given loss"].to_dict("records"):
        return f"; with the loss held fixed {other['effect']:+.3g}, p {other['p']:.2g}"
    return ""


def _pair(findings: Findings, row: dict[str, Any]) -> str:
    where = f" at step {int(row['step']):,}" if pd.notna(row["step"]) else ""
    return f"{_name(findings, row['behaviour'])} with {_name(findings, row['connectivity'])}{where}"


def _name(findings: Findings, series: str) -> str:
    """Name of a series, marked if it is unreliable."""
    return f"{series} (unreliable)" if series in findings.unreliable else series


def _p(row: dict[str, Any]) -> str:
    return f"p {row['p']:.2g}" if row["primary"] else f"p {row['p']:.2g}, q {row['q']:.2g}"


def _lead(row: dict[str, Any], unit: float) -> str:
    """Factor between the onsets, as a ratio of ``step + unit``, since steps begin with 0."""
    factor, low, high = (np.exp(np.clip(row[name], -20, 20)) for name in ("effect", "low", "high"))
    bound = f"{row['bound']} " if row["bound"] in {"at least", "at most"} else ""
    ends = "" if np.isnan(low) else f" [{low:.2f}, {high:.2f}]"
    text = f"(step + {unit:,.6g}) of behaviour is {bound}{factor:.2f}{ends} times that of connectivity"
    if not row["censored"]:
        return text
    meaning = "this is a bound" if bound else "the true factor is not bounded by it"
    return f"{text} ({row['censored']} of {row['seeds']} seeds change outside of training, so {meaning})"


def _between(row: dict[str, Any]) -> str:
    known = pd.notna(row["low"])
    return f"[{row['low']:.3g}, {row['high']:.3g}]" if known else "(too few seeds for an interval)"


def _change(row: Any) -> str:
    return f"{row['change']:+.3g} [{row['low']:.3g}, {row['high']:.3g}]"


def _range(row: Any) -> str:
    high = f"{row['high']:,.0f}" if np.isfinite(row["high"]) else "after the end"
    return f"[{row['low']:,.0f}, {high}]"


def _censored(row: Any) -> str:
    return (
        f"not before the end (after {row['low']:,.0f})" if row["censored"] == "right" else "before the first checkpoint"
    )


def _listed(parts: list[str], most: int) -> str:
    """The first few parts, and the number of the others."""
    return "; ".join(parts[:most]) + (f"; and {len(parts) - most} more" if len(parts) > most else "")
