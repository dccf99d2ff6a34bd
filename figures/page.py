"""The report: one self-contained HTML page."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import matplotlib

matplotlib.use("Agg")

import jinja2
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from landscape.catalogue import CURVES
from landscape.figures.captions import caption
from landscape.figures.curves import CONTROL, LINE
from landscape.figures.frames import Frames
from landscape.figures.sections import sections
from landscape.figures.style import style

MAX_LISTED = 200
"""Missing tasks of a kind of measure that are listed by name."""


@dataclass(frozen=True)
class Missing:
    """A task without a result.

    Attributes:
        kind: Kind of measure.
        label: Name of the task.
        failure: Why it failed; empty if it was not run yet.
    """

    kind: str
    label: str
    failure: str = ""


def page(frames: Frames, record: Mapping[str, Any], missing: Sequence[Missing]) -> str:
    """The HTML of a report; it needs no other file and no network.

    Args:
        frames: Frames of rows and findings.
        record: Record of the study in the store.
        missing: Tasks without a result.
    """
    with style():
        shown_sections = sections(frames)
        shown = [(s.title, s.text, _image(s.figure), s.note) for s in shown_sections]
        for section in shown_sections:
            plt.close(section.figure)
    template = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
        files("landscape.figures").joinpath("page.html").read_text("utf-8")
    )
    return template.render(
        name=_printable(record["name"]), sections=shown, missing=_missing(missing, record), without=len(missing),
        findings=_findings(frames), record=record,
        warnings=_warnings(frames, record),
        settings="" if frames.barriers.empty else caption(frames.barriers),
        sentences=frames.sentences, notes=frames.notes, tests=_tests(frames.association),
        coupling=record["study"].get("stages", {}).get("coupling", ""),
        tables=[t for t in (_table(frames.training), _table(frames.branching)) if t],
    )  # fmt: skip


def _printable(text: str) -> str:
    """The text without control characters."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def _missing(missing: Sequence[Missing], record: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """A line for each kind of measure with missing tasks, and the tasks that are folded under it."""
    out = []
    for kind in dict.fromkeys(task.kind for task in missing):
        own = [task for task in missing if task.kind == kind]
        own.sort(key=lambda task: not task.failure)
        causes = Counter(task.failure for task in own if task.failure)
        failed = causes.total()
        total = sum(task["kind"] == kind for task in record["tasks"])
        counts = " and ".join(
            f"{count} {what}" for count, what in ((failed, "failed"), (len(own) - failed, "not run yet")) if count
        )
        line = f"{kind}: {counts}, of {total}" + (f"; most often: {causes.most_common(1)[0][0]}" if causes else "")
        listed = [f"{task.label}: {task.failure or 'not run yet'}" for task in own[:MAX_LISTED]]
        out.append((line, listed + [f"and {len(own) - MAX_LISTED} more"] * (len(own) > MAX_LISTED)))
    return out


def figures(frames: Frames) -> dict[str, Figure]:
    """The figures of the report by name, for papers and slides."""
    with style():
        return {section.title.lower().replace(" ", "_"): section.figure for section in sections(frames)}


def _findings(frames: Frames) -> list[str]:
    """The main numbers in sentences."""
    unit = "" if frames.barriers.empty else str(frames.barriers["unit"].iloc[0])
    return [
        *_of_training(frames.training, unit),
        *_of_branches(frames.branching, unit),
        *_of_alignment(frames.by_symmetry, unit),
        *_of_curves(frames.by_path, unit),
    ]


def _of_training(training: pd.DataFrame, unit: str) -> list[str]:
    if training.empty or training["step"].isna().any():
        return []
    return [
        f"{which} (step {int(row['step']):,}) the mean barrier between seeds is {_interval(row)} {unit}, "
        f"over {int(row['pairs'])} pairs."
        for which, row in (("At the start", training.iloc[0]), ("At the end", training.iloc[-1]))
    ]


def _of_branches(branching: pd.DataFrame, unit: str) -> list[str]:
    if branching.empty:
        return []
    return [
        f"Branches spawned {which}, after step {int(row['branch_step']):,}, end with a barrier of "
        f"{_interval(row)} {unit}."
        for which, row in (("earliest", branching.iloc[0]), ("latest", branching.iloc[-1]))
    ]


def _of_alignment(by_symmetry: pd.DataFrame, unit: str) -> list[str]:
    if by_symmetry.empty:
        return []
    means = by_symmetry[by_symmetry["step"].isna() | (by_symmetry["step"] == by_symmetry["step"].max())]
    raw = means[means["how"] == "none"]
    others = [f"{_interval(row)} ({row['how']})" for row in means[means["how"] != "none"].to_dict("records")]
    start = f"{_interval(raw.iloc[0])} {unit}" if len(raw) else "not measured"
    return [f"The raw mean barrier is {start}. After alignment it is {', '.join(others)}."]


def _of_curves(by_path: pd.DataFrame, unit: str) -> list[str]:
    if by_path.empty:
        return []
    mean = by_path.set_index("path")
    curve = next(path for path in mean.index if path in CURVES)
    line = f"{_interval(mean.loc[LINE], 'barrier_')} on the straight line and " if LINE in mean.index else ""
    control = (
        f" ({mean.loc[CONTROL, 'mean_loss_increase']:+.3f} on the way to a random point)"
        if CONTROL in mean.index else ""
    )  # fmt: skip
    return [
        f"Between {int(mean.loc[curve, 'pairs'])} pairs the mean barrier is {line}"
        f"{_interval(mean.loc[curve], 'barrier_')} {unit} on learned curves. Along them the largest loss increase "
        f"over the better endpoint is {mean.loc[curve, 'loss_increase']:.3f}, and the mean loss increase "
        f"{mean.loc[curve, 'mean_loss_increase']:+.3f}{control}."
    ]


def _warnings(frames: Frames, record: Mapping[str, Any]) -> list[str]:
    """Known defects of the checkpoints, and pairs that are too close for the dtype in which they are stored."""
    out = [str(warning) for warning in record.get("warnings", [])]
    rows = frames.barriers
    if "below_floor" in rows and (close := int(rows["below_floor"].fillna(value=False).sum())):
        stored = " and ".join(sorted(set(rows["stored_a"]) | set(rows["stored_b"])))
        out.append(
            f"{close} of {len(rows)} pairs lie closer together than rounding to what is stored ({stored}) can "
            "distinguish: their distance may be rounding error (column below_floor)"
        )
    return out


def _tests(rows: pd.DataFrame) -> dict[str, list[list[str]]]:
    """The tests of each hypothesis as cells of a table: the primary one first, then by p value."""
    if rows.empty:
        return {}
    ranked = rows.sort_values(["primary", "p"], ascending=[False, True], kind="stable")
    return {
        str(hypothesis): [
            [
                f"{row['connectivity']} / {row['behaviour']}" + (" (unreliable)" if row["unreliable"] else ""),
                row["test"] + (" (primary)" if row["primary"] else ""),
                f"{row['effect']:+.3g} " + ("" if pd.isna(row["low"]) else f"[{row['low']:.3g}, {row['high']:.3g}]"),
                "" if pd.isna(row["p_without"]) else f"{row['effect_without']:+.3g}, p {row['p_without']:.2g}",
                *("" if pd.isna(row[n]) else f"{row[n]:.2g}" for n in ("p", "q", "p_family", "p_floor", "power")),
                row["verdict"],
            ]
            for row in part.to_dict("records")
        ]
        for hypothesis, part in ranked.groupby("hypothesis", sort=False)
    }  # fmt: skip


def _interval(row: Any, prefix: str = "") -> str:
    low, high = (row[f"{prefix}{end}"] for end in ("low", "high"))
    if pd.isna(low):  # too few seeds for an interval
        return f"{row['barrier']:.3f}" + (
            f" (pairs {row['best']:.3f} to {row['worst']:.3f})" if row["pairs"] > 1 else ""
        )
    return f"{row['barrier']:.3f} [{low:.3f}, {high:.3f}]"


def _table(means: pd.DataFrame) -> tuple[list[str], list[list[str]]] | None:
    if means.empty:
        return None
    exact = means.dropna(axis=1, how="all").round(4).astype(object)  # checkpoints may have no step
    rows = [[f"{v:.4f}" if isinstance(v, float) else f"{v:,}" for v in row] for row in exact.itertuples(index=False)]
    return list(exact.columns), rows


def _image(figure: Figure) -> str:
    stream = io.BytesIO()
    figure.savefig(stream, format="svg", metadata={"Date": None})
    return base64.b64encode(stream.getvalue()).decode()
