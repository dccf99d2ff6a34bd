"""A finished study with every kind of measure, made once for all processes of a test run; not to be written to."""

from __future__ import annotations

import shutil
from pathlib import Path

import cases
from filelock import FileLock

from landscape.cli.run import run_study
from landscape.study.file import read_study

MEASURES = """
[[measure]]
kind = "barriers"
points = 5
resamples = 200
align = ["none", "weights", "activations", "random"]
alignment = { text = "other.txt", sequences = 8, starts = 1 }
[[measure]]
kind = "curves"
at_steps = "last"
points = 3
resamples = 200
fit_text = "other.txt"
fit_steps = 2
fit_batch = 4
fit_sequences = 8
[[measure]]
kind = "llc"
at_steps = "last"
chains = 2
draws = 10
burn_in = 5
batch = 4
[[measure]]
kind = "probes"
names = ["in-context", "induction", "ngrams"]
train_text = "text.txt"
count = 6
[[measure]]
kind = "behaviour"
names = ["predictions", "calibration", "kl"]
"""


def study(folder: Path) -> Path:
    """The study's file over folders of checkpoints that are there."""
    file = cases.study(folder)
    file.write_text(file.read_text().split("[[measure]]")[0] + MEASURES)
    (folder / "other.txt").write_text(cases.TEXT[::-1])
    return file


def of(runs: Path, place: Path, device: str = "cpu") -> Path:
    """The folder of the study over these runs: made by whoever comes first, waited for by the others."""
    folder, done = place / "finished", place / "finished.done"
    with FileLock(place / "finished.lock"):
        if not done.exists():
            shutil.copytree(runs, folder)
            assert run_study(read_study(study(folder)), folder, device=device, workers=1) == {}
            done.touch()
    return folder
