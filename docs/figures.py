"""Draw figures of the pages again, from the results of a study: python docs/figures.py FOLDER NAME...

``landscape demo --full --out FOLDER`` makes results for ``demo`` and ``probes``, ``landscape demo --world planted`` for
``stages``, and ``landscape run studies/alignment.toml --out FOLDER`` for ``symmetry``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from landscape.catalogue import FIGURES
from landscape.cli.report import frames
from landscape.figures.captions import caption
from landscape.figures.frames import Frames
from landscape.figures.style import note, style
from landscape.figures.training import barrier_over_training
from landscape.study.store import Store

SECTIONS = {"symmetry": "symmetry", "probes": "together", "stages": "stages"}
"""Figures that are those of a report, and the members of the catalogue that draw them; pages write their captions."""


def overview(results: Frames) -> Figure:
    """Barriers between seeds over training, and between branches by the step they were spawned at."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(14, 4.6))
    seeds, branches = (results.barriers[results.barriers["between"] == between] for between in ("seed", "branch"))
    barrier_over_training(results.training, seeds, ax=left)
    label = "step the branches were spawned at"
    barrier_over_training(results.branching, branches, ax=right, by="branch_step", label=label)
    left.set_title("between seeds")
    right.set_title(f"between branches, at step {int(branches['step_a'].max())}")
    note(left, caption(results.barriers))
    return figure


def of_report(results: Frames, name: str) -> Figure:
    """The figure of a report without its caption.

    Raises:
        SystemExit: If these results have no such figure.
    """
    section = FIGURES.load(SECTIONS[name]).section(results)
    if section is None:
        sys.exit(f"these results have no figure {name!r}; see the first lines of this file for those that have it")
    section.figure.supxlabel("")
    return section.figure


def main(folder: str, *names: str) -> None:
    """Write figures to ``figures/``."""
    results = frames(Store(Path(folder) / "results"))
    with style():
        for name in names:
            figure = overview(results) if name == "demo" else of_report(results, name)
            figure.savefig(Path(__file__).parent.parent / "figures" / f"{name}.png", dpi=150)


if __name__ == "__main__":
    main(*sys.argv[1:])
