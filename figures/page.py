"""The report: one self-contained HTML page, which is read without scripts and explored with them."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import Any

import matplotlib

matplotlib.use("Agg")

import jinja2
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from markupsafe import Markup

from landscape.figures.answer import answer
from landscape.figures.captions import caption
from landscape.figures.frames import Frames
from landscape.figures.section import Section
from landscape.figures.sections import sections
from landscape.figures.style import style
from landscape.figures.svg import NO_XML, Drawing, drawing
from landscape.figures.tables import Table, csv, means, packed, tests

MAX_LISTED = 200
"""Missing tasks of a kind of measure that are listed by name."""
MAX_CSV = 300_000
"""Letters of packed CSV that a page holds for a figure; larger rows are left to files."""
DIGITS = 5
"""Digits of numbers that a page holds for its charts."""
POLICY = (
    "default-src 'none'; script-src 'sha256-{script}'; style-src 'unsafe-inline'; img-src data: blob:; "
    "base-uri 'none'; form-action 'none'"
)
"""What a browser may do with the page: run this one script, and load nothing."""


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


@dataclass(frozen=True)
class Shown:
    """A section as the page has it.

    Attributes:
        section: The section.
        drawing: Its figure.
        files: Name of the file of each of its rows, and the CSV, packed; empty if it is too large.
    """

    section: Section
    drawing: Drawing
    files: Mapping[str, str]

    @property
    def figure(self) -> Markup:
        """The figure as markup, which holds texts of labels escaped."""
        return Markup(self.drawing.markup)  # noqa: S704 written by an XML serialiser


def page(frames: Frames, record: Mapping[str, Any], missing: Sequence[Missing]) -> str:
    """The HTML of a report; it needs no other file and no network.

    Args:
        frames: Frames of rows and findings.
        record: Record of the study in the store.
        missing: Tasks without a result.
    """
    with style(text=True):
        every = [_shown(section) for section in sections(frames)]
    lead = max(every, key=lambda one: one.section.lead, default=None)
    script, sheet = (_file(name) for name in ("page.js", "page.css"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    template = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(_file("page.html"))
    made = template.render(
        name=_printable(record["name"]), lead=lead, others=[one for one in every if one is not lead], record=record,
        answer=answer(frames), warnings=_warnings(frames, record), missing=_missing(missing, record),
        without=len(missing), settings="" if frames.barriers.empty else caption(frames.barriers),
        sentences=frames.sentences, notes=frames.notes, tests=tests(frames.association), dates=_dates(frames),
        coupling=record["study"].get("stages", {}).get("coupling", ""), tables=_means(frames),
        policy=POLICY.format(script=digest), sheet=Markup(sheet), script=Markup(script),  # noqa: S704 our own files
        data=Markup(_json({one.section.name: _data(one) for one in every})),  # noqa: S704 escaped there
    )  # fmt: skip
    return NO_XML.sub("\ufffd", made)


def _shown(section: Section) -> Shown:
    """The section, with its figure drawn and closed."""
    made = drawing(section)
    plt.close(section.figure)
    texts = {section.file(name): packed(csv(rows)) for name, rows in section.rows.items() if len(rows.columns)}
    return Shown(section, made, {name: text if len(text) <= MAX_CSV else "" for name, text in texts.items()})


def _data(shown: Shown) -> dict[str, Any]:
    """What the script reads of a figure."""
    return {
        "size": shown.drawing.size, "caption": shown.section.note, "files": shown.files,
        "panels": [{name: value for name, value in asdict(panel).items() if name != "groups"}
                   for panel in shown.drawing.panels],
        "details": {name: asdict(detail) for name, detail in shown.section.details.items()},
    }  # fmt: skip


def _json(value: object) -> str:
    """JSON that may stand within a script element: pure ASCII, without anything that ends the element."""
    text = json.dumps(_rounded(value), separators=(",", ":"), allow_nan=False)
    return text.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026")


def _rounded(value: object) -> object:
    """The value with numbers of a few digits; what is not finite is missing."""
    if isinstance(value, Mapping):
        return {str(name): _rounded(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(inner) for inner in value]
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None
    return value


def _file(name: str) -> str:
    return files("landscape.figures").joinpath(name).read_text("utf-8")


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


def _means(frames: Frames) -> list[Table]:
    every = (
        means("Mean barrier between seeds by step", frames.training),
        means("Mean barrier between branches by the step they were spawned at", frames.branching),
    )
    return [table for table in every if table is not None]


def _dates(frames: Frames) -> Table | None:
    """Every dated event of every series and seed."""
    if frames.event.empty:
        return None
    rows = frames.event[["series", "seed", "event", "way", "step", "low", "high", "censored"]]
    cells = [[_date(value) for value in row] for row in rows.itertuples(index=False)]
    return Table(f"{len(rows)} dated events, with 90 % intervals", list(rows.columns), cells)


def _date(value: object) -> str:
    if isinstance(value, float):
        return "" if pd.isna(value) else f"{value:,.1f}"
    return str(value).replace("_", "-")
