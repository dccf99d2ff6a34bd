"""Findings in sentences with numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from landscape.stages import Findings
from landscape.stages.association import POPULATION, SEED
from landscape.stages.staging import EVERYONE

MOST = 12
"""Sentences on associations that were found, the most certain first."""
NAMES = {
    "onset": "onsets are rank-correlated over the seeds",
    "onset given loss": "onsets are correlated over the seeds with the loss's own timing held fixed",
    "trajectory": "a seed's two curves go together better than those of different seeds, by a correlation of",
    "trajectory distance": "seeds whose curves differ in one differ in the other, with a rank correlation of",
    "match": "curves go best with those of their own seed in a share of the seeds of",
    "precursor": "the share of events that follow one of connectivity is",
    "matrix": "barriers and distances of behaviour are rank-correlated over the pairs of seeds",
    "matrix given loss": "barriers and distances of behaviour are correlated with differences of loss held fixed",
    "cluster": "the share of its variance that lies between clusters of seeds is",
    "cluster given loss": "the share of its variance between clusters of seeds, the loss held fixed, is",
}

BOUNDS = {"extremum": "extrema", "plateau": "plateaus", "break": "breaks of the slope", "state": "states"}


def sentences(findings: Findings) -> list[str]:
    """What was found, most important first: the primary association, stages, onsets, associations, clusters."""
    return [*_primary(findings), *_stages(findings), *_onsets(findings), *_associations(findings), *_clusters(findings)]


def _primary(findings: Findings) -> list[str]:
    rows = findings.association
    unit = findings.axis.unit
    return [
        f"Primary, declared before the study ran: {_said(row, unit)}"
        for row in rows[rows["primary"]].to_dict("records")
    ]


def _stages(findings: Findings) -> list[str]:
    rows = findings.stage
    if rows.empty:
        return []
    rows = rows[
        (rows["seed"] == EVERYONE) if (rows["seed"] == EVERYONE).any() else (rows["seed"] == rows["seed"].iloc[0])
    ]
    own = rows[rows["series"] == findings.boundaries]
    who = "in the mean over seeds" if own["seed"].iloc[0] == EVERYONE else f"in seed {own['seed'].iloc[0]}"
    kinds = [BOUNDS[kind] for kind in dict.fromkeys(own["begins"]) if kind in BOUNDS]
    what = f"{' and '.join(kinds)} of {'all series' if 'states' in kinds else findings.boundaries}"
    if len(own) == 1:
        row = own.iloc[0]
        span = f"steps {row['start']:,.0f} and {row['end']:,.0f}"
        return [f"One stage {who}: nothing bounds {findings.boundaries} between {span}; it changes by {_change(row)}."]
    out = [f"{len(own)} stages {who}, bounded by {what}:"]
    for row in own.to_dict("records"):
        begin = "" if np.isnan(row["start_low"]) else f" [{row['start_low']:,.0f}, {row['start_high']:,.0f}]"
        span = f"from step {row['start']:,.0f}{begin} to {row['end']:,.0f}"
        out.append(f"  stage {row['stage']}: {span}; {findings.boundaries} changes by {_change(row)}.")
    return out


def _onsets(findings: Findings) -> list[str]:
    rows = findings.event
    if rows.empty:
        return []
    out = []
    dates = rows[(rows["seed"] == EVERYONE) & (rows["event"] == "crossing")].sort_values("step")
    for row in dates.to_dict("records"):
        when = f"at step {row['step']:,.0f} {_range(row)}" if row["censored"] == "no" else _censored(row)
        out.append(f"{row['series']} is half-way {'up' if row['way'] == 'rise' else 'down'} {when}.")
    for series, part in rows[rows["event"] == "settles"].groupby("series", sort=False):
        said = [
            ("in the median " if row["seed"] == EVERYONE else f"seed {row['seed']} ")
            + (f"{row['step']:,.0f} {_range(row)}" if row["censored"] == "no" else _censored(row))
            for row in part.sort_values("seed", key=lambda seed: seed != EVERYONE, kind="stable").to_dict("records")
        ]
        threshold = f"{findings.threshold:.3g} {findings.unit}".strip()
        out.append(f"{series} stays below {threshold} from step: {'; '.join(said)}.")
    return out


def _associations(findings: Findings) -> list[str]:
    rows = findings.association[~findings.association["primary"]]
    if rows.empty:
        return []
    out = []
    for hypothesis, what in (
        (SEED, "Seed hypothesis (a seed whose connectivity is early changes its behaviour early)"),
        (POPULATION, "Population hypothesis (the events fall together on average; weak evidence)"),
    ):
        part = rows[rows["hypothesis"] == hypothesis]
        shown = part[(part["q"] <= 0.05) & (part["p_floor"] <= 0.05)].sort_values(["p", "effect"])
        hopeless = int((part["p_floor"] > 0.05).sum())
        said = f"; {hopeless} of them could not have been, with so few seeds" if hopeless else ""
        out.append(f"{what}: {len(shown)} of {len(part)} exploratory tests are shown at q <= 0.05{said}.")
        out += [f"  {_said(row, findings.axis.unit)}" for row in shown.head(MOST).to_dict("records")]
        if len(shown) > MOST:
            out.append(f"  and {len(shown) - MOST} more.")
    return out


def _clusters(findings: Findings) -> list[str]:
    out = []
    for connectivity, rows in findings.cluster.groupby("connectivity", sort=False):
        last = rows[rows["step"] == rows["step"].max()]
        count = last["cluster"].nunique()
        step, p = int(last["step"].iloc[0]), float(last["p"].iloc[0])
        if count == 1:
            chance = f"a division is no better than chance (p {p:.2g})"
            out.append(f"{connectivity} at step {step:,}: one cluster of seeds; {chance}.")
            continue
        held = rows.loc[rows["frozen"].astype(bool), "step"]
        groups = [", ".join(part["seed"]) for _, part in last.groupby("cluster")]
        out.append(
            f"{connectivity} at step {step:,}: {count} clusters of seeds (p {p:.2g}): {' | '.join(groups)}; "
            f"membership is as at the end from step {int(held.min()):,} on."
        )
    return out


def _said(row: dict[str, Any], unit: float) -> str:
    where = f" at step {int(row['step']):,}" if pd.notna(row["step"]) else ""
    p = f"p {row['p']:.2g}, q {row['q']:.2g}, floor {row['p_floor']:.2g}"
    power = f", power {row['power']:.2f}" if pd.notna(row["power"]) else ""
    tail = f"({p}{power}, {row['seeds']} seeds): {row['verdict']}."
    pair = f"{row['behaviour']} with {row['connectivity']}{where}"
    if row["test"] == "lead":
        return f"{pair}: {_lead(row, unit)} {tail}"
    return f"{pair}: {NAMES[row['test']]} {row['effect']:+.3g} {_between(row)} {tail}"


def _lead(row: dict[str, Any], unit: float) -> str:
    """The factor between the onsets; of the step and the first step after 0 together, since steps begin with 0."""
    factor, low, high = (np.exp(np.clip(row[name], -20, 20)) for name in ("effect", "low", "high"))
    bound = f"{row['bound']} " if row["bound"] in {"at least", "at most"} else ""
    said = (
        f"(step + {unit:,.6g}) of behaviour is {bound}{factor:.2f} [{low:.2f}, {high:.2f}] times that of connectivity"
    )
    if not row["censored"]:
        return said
    what = "a bound" if bound else "neither a lower nor an upper bound"
    return f"{said} ({row['censored']} of {row['seeds']} seeds outside of training: {what})"


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
