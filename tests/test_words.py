"""The field's words: what is banned in names, prose, documentation and studies, and what stands in its place."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import lint
import pytest

FOLDERS = ("landscape", "cli", "figures", "docs", "studies")
SUFFIXES = (".py", ".md", ".toml", ".html", ".ipynb")


@dataclass(frozen=True)
class Ban:
    """A word that is not used.

    Attributes:
        pattern: Words or phrases, without case; a part of a name counts as a word.
        instead: What is used.
        within: Where the ban holds, by the beginning of a path; empty for everywhere.
        exact: Whether case counts, as for the names of classes and constants.
    """

    pattern: str
    instead: str
    within: str = ""
    exact: bool = False

    @property
    def regex(self) -> re.Pattern[str]:
        """The pattern with the borders of words in prose, in ``snake_case`` and in ``CamelCase``."""
        body = self.pattern if self.exact else f"(?i:{self.pattern})"
        return re.compile(rf"(?:(?<![A-Za-z])|(?<=[a-z])(?=[A-Z])){body}(?![a-z]|(?<=[A-Z])[A-Z])")


BANS = (
    Ban("slopes?", "gradient, value_and_grad; coefficient of a regression"),
    Ban("steepest", "top Hessian eigenvector, sharpness"),
    Ban("parted", "branch_step"),
    Ban("child(?:ren)?", "branch, branches"),
    Ban("match(?:ed|es|ing)?", "align, aligned to A; in prose: equal, agree, fit"),
    Ban("symmetries taken out", "aligned"),
    Ban("in the coordinates of A", "aligned to A", exact=True),
    Ban("freedoms|free to turn", "symmetry group: permutations, orthogonal, all"),
    Ban("climb(?:s|ed|ing)?", "loss increase over the better endpoint"),
    Ban("numerics", "dtype"),
    Ban("sound(?:ly)?", "reliable"),
    Ban("doubtful", "unreliable, diagnostics"),
    Ban("(?<!false )alarms?", "warnings"),
    Ban("half-?way(?: up)?", "half-rise (t50)"),
    Ban("settles|stays below for good", "stable, time to stable connectivity"),
    Ban("rid of", "residualised"),
    Ban("go(?:es)? with|laid beside|lies beside", "is associated with, is compared with"),
    Ban("declared before", "preregistered"),
    Ban("as it is", "identity, unchanged"),
    Ban("Reading(?=[(\\[\\].,:|]|$)|Sighting|Look(?=[(\\[\\].,:|]|$)", "Interpolation, Evaluator", exact=True),
    Ban("looking", "evaluating, evaluator"),
    Ban("judg(?:e|es|ed|ing)", "score"),
    Ban("crews?|hir(?:e|es|ed|ing)", "workers, spawn, start"),
    Ban("worker's life", "worker loop"),
    Ban("Subject(?!-)|Given(?=[(\\[\\].|])|Found(?=[(\\[\\].|])", "ProbeModel, ProbeInputs, ProbeResult", exact=True),
    Ban("asked", "inputs", within="landscape/probes"),
    Ban("times|places|positions", "t", within="landscape/profile"),
    Ban("MOST|LEAST|KINDS", "say what of, such as MAX_TOKENS", exact=True),
    Ban("whole or not at all", "atomically"),
    Ban("gets? a sentence", "gets a clear error"),
    Ban("whom|thereby|enters no number|lays down|stream of its own", "plain English"),
)  # fmt: skip
ALLOWED = (
    r"\.match\(", r"\bfullmatch\b", r"\bfnmatch\w*", r"\bget_close_matches\b",  # names of the standard library
    r"^\s*match [^:#]+:\s*$",  # the statement
    r"\b(?:iter_child_nodes|active_children|named_children)\b", r"\.children\(\)", r"\bchild process(?:es)?\b",
    r"\bsignal\.alarm\b",
    r"\b(?:weight|activation) matching\b",  # two methods (Ainsworth et al. 2023)
    r"(?<=\d )times\b|(?<=\bmany )times\b|\btimes (?=(?:as|the|its|an?|how|\d)\b)",  # a factor
    r"[Pp]refix[-_ ]matching\b", r"\bvalidation_matched\b",  # a score (Olsson et al. 2022) and a split of MNLI
    r'STABLE_STREAM = "settles"',  # seeds the draws: another word makes other numbers
    r"[A-Z]+_(?:MOST|LEAST|KINDS)\b|\b(?:MOST|LEAST|KINDS)_[A-Z]+",  # says what of
)  # fmt: skip
"""What may hold a banned word."""
ALLOW = re.compile("|".join(ALLOWED), re.MULTILINE)


def files(root: Path = lint.ROOT) -> list[Path]:
    """The files that are held to the words."""
    found = [file for folder in FOLDERS for file in sorted((root / folder).rglob("*")) if file.suffix in SUFFIXES]
    found += [root / "README.md"]
    return [file for file in found if file.is_file() and lint.is_done(file.relative_to(root).as_posix())]


PACKAGES = lint.packages(files())


def faults(files: list[Path], root: Path = lint.ROOT) -> list[str]:
    """Banned words, each with what surrounds it; a phrase may be broken over lines."""
    out = []
    for file in files:
        name = file.relative_to(root).as_posix()
        text = re.sub(r"\s*\n\s*(?:#:? )?", " ", ALLOW.sub(" ", file.read_text("utf-8")))
        for ban in BANS:
            if name.startswith(ban.within):
                for hit in ban.regex.finditer(text):
                    around = text[max(0, hit.start() - 40) : hit.end() + 30]
                    out.append(f"{name}: {hit[0]!r} is {ban.instead}: ...{around}...")
    return out


@pytest.mark.parametrize("package", PACKAGES)
def test_words_are_those_of_the_field(package: str) -> None:
    assert faults(PACKAGES[package]) == []


@pytest.mark.parametrize(
    ("name", "line", "word"),
    [
        ("landscape/x.py", "def choose_slopes(x):", "slopes"),
        ("landscape/x.py", "class SteepestDirection:", "Steepest"),
        ("landscape/x.py", "class BestSlopes:", "Slopes"),
        ("landscape/x.py", "# Points in the\n# coordinates of A.", None),
        ("landscape/x.py", "matched = match(a, b)", "matched"),
        ("landscape/x.py", '"""They are written whole or\n    not at all."""', "whole or not at all"),
        ("landscape/x.py", "crew = hire(1)", "crew"),
        ("landscape/x.py", "MOST = 3", "MOST"),
        ("landscape/profile/x.py", "for times in rows:", "times"),
        ("landscape/probes/x.py", "def f(asked):", "asked"),
        ("docs/x.md", "Barriers goes with behaviour.", "goes with"),
        ("README.md", "The half-way time of a rise.", "half-way"),
        ("studies/x.toml", "# declared before the run", "declared before"),
    ],
)
def test_a_fault_is_seen(tmp_path: Path, name: str, line: str, word: str | None) -> None:
    file = tmp_path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{line}\n")
    found = faults([file], tmp_path)
    assert any(one.startswith(f"{name}: {word or 'in the coordinates of A'!r}") for one in found), found


@pytest.mark.parametrize(
    "line",
    [
        'if found := re.match(r"x", text):', "    match path:", "        case 1:", "pattern.match(text)",
        "signal.alarm(3)", "for node in ast.iter_child_nodes(tree):", "the rate of false alarms", "sounds", "gradient",
        "MOST_TOKENS = 3",
        "subject-verb agreement", "a matcher of names", "matchers", "MATCHERS",
        "best_prefix_matching", "prefix-matching score", 'split="validation_matched"',
    ],
)  # fmt: skip
def test_what_is_no_fault_is_not_one(tmp_path: Path, line: str) -> None:
    (tmp_path / "x.py").write_text(f"{line}\n")
    assert faults([tmp_path / "x.py"], tmp_path) == []
