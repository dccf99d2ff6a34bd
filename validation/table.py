"""What the simulations share: cases, counts, and the table of what was wanted and what was found."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats
from threadpoolctl import threadpool_limits

HERE = Path(__file__).resolve().parent
Z = float(stats.norm.ppf(0.975))
ALLOWED = 0.02
"""How far a rate may be from its nominal value: what a bootstrap of a sample may lack."""
COVERS_95, COVERS_90 = (0.95 - ALLOWED, 1.0), (0.90 - ALLOWED, 1.0)
LEVEL = (0.0, 0.05 + ALLOWED)
RARE = (0.0, 0.05)
RECALL = (0.95, 1.0)
COLUMNS = ("case", "rate of", "estimate", "error", "95 % interval", "worlds", "wanted", "holds")
Wanted = tuple[float, float]
Hits = Mapping[str, Sequence[bool] | np.ndarray]
"""For each quantity, whether each world (or each event found in one) is a hit."""


@dataclass(frozen=True)
class Case:
    """One kind of simulated world.

    Attributes:
        number: Of its random numbers; no two cases of a script share one.
        group: Heading that its rows stand under.
        name: What the worlds are.
        simulate: ``(worlds, random, **options)`` to hits.
        options: Of ``simulate``.
        wanted: Range of the rate of each quantity; a quantity that is left out is described only.
        share: Its number of worlds, as a share of that of the script.
        faults: Quantities that are known not to hold in this version.
    """

    number: int
    group: str
    name: str
    simulate: Callable[..., Hits]
    options: Mapping[str, Any] = field(default_factory=dict)
    wanted: Mapping[str, Wanted] = field(default_factory=dict)
    share: float = 1.0
    faults: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Row:
    """A rate with its error.

    Attributes:
        group: Heading.
        case: Name of the case.
        quantity: What was counted.
        hits: How often it was so.
        worlds: In how many.
        wanted: Range of the rate; None where it is described only.
        fault: Whether it is known not to hold.
    """

    group: str
    case: str
    quantity: str
    hits: int
    worlds: int
    wanted: Wanted | None = None
    fault: bool = False

    @property
    def rate(self) -> float:
        """Share of the hits; nan without worlds."""
        return self.hits / self.worlds if self.worlds else float("nan")

    @property
    def error(self) -> float:
        """Binomial standard error of the rate."""
        return float(np.sqrt(self.rate * (1 - self.rate) / self.worlds)) if self.worlds else float("nan")

    @property
    def holds(self) -> str:
        """``yes`` in the wanted range, else ``no``; it is said where the interval still reaches into the range."""
        if self.wanted is None:
            return ""
        if not self.worlds:
            return "no worlds"
        if self.wanted[0] <= self.rate <= self.wanted[1]:
            return "yes"
        low, high = wilson(self.hits, self.worlds)
        return "no, within error" if low <= self.wanted[1] and high >= self.wanted[0] else "no"

    def within(self, errors: float) -> bool:
        """Whether the rate is in the wanted range, or no more than so many standard errors of its end outside."""
        if self.wanted is None or not self.worlds:
            return True
        low, high = (errors * np.sqrt(end * (1 - end) / self.worlds) for end in self.wanted)
        return bool(self.wanted[0] - low <= self.rate <= self.wanted[1] + high)


def wilson(hits: int, worlds: int) -> tuple[float, float]:
    """95 % interval of a rate (Wilson 1927).

    >>> [round(end, 3) for end in wilson(81, 263)]
    [0.255, 0.366]
    """
    if not worlds:
        return float("nan"), float("nan")
    rate, z2 = hits / worlds, Z**2
    middle = (rate + z2 / (2 * worlds)) / (1 + z2 / worlds)
    half = Z / (1 + z2 / worlds) * np.sqrt(rate * (1 - rate) / worlds + z2 / (4 * worlds**2))
    return float(max(middle - half, 0)), float(min(middle + half, 1))


def marked(cases: Sequence[Case], faults: Mapping[int, Sequence[str]]) -> list[Case]:
    """The cases, with what is known not to hold in this version.

    Args:
        cases: Of a script.
        faults: Quantities by the number of the case.
    """
    return [replace(case, faults=frozenset(faults.get(case.number, ()))) for case in cases]


def counted(case: Case, worlds: int, seed: int) -> list[Row]:
    """Rows of one case.

    Args:
        case: Which worlds.
        worlds: How many, before the share of the case is taken.
        seed: Of all random numbers, together with the number of the case.
    """
    count = max(2, round(worlds * case.share))
    hits = case.simulate(count, np.random.default_rng([seed, case.number]), **case.options)
    return [
        Row(case.group, case.name, name, int(np.sum(found)), len(found), case.wanted.get(name), name in case.faults)
        for name, found in hits.items()
    ]


def markdown(rows: Sequence[Row]) -> str:
    """The rows as Markdown tables, one under each heading."""
    lines: list[str] = []
    for group in dict.fromkeys(row.group for row in rows):
        lines += [f"## {group}", "", f"| {' | '.join(COLUMNS)} |", f"|{'---|' * len(COLUMNS)}"]
        lines += [_line(row) for row in rows if row.group == group]
        lines.append("")
    return "\n".join(lines)


def main(title: str, name: str, cases: Sequence[Case], *, long: int, short: int, words: Sequence[str] | None) -> None:
    """Run all cases of a script and write their table.

    Args:
        title: Heading of the table.
        name: Of the script and its table.
        cases: What to simulate.
        long: Worlds of a case of share 1.
        short: The same with ``--short``.
        words: Of the command line; None takes those of the process.

    Raises:
        SystemExit: After the table, if a rate is off its range by four standard errors and not known to be.
    """
    parser = argparse.ArgumentParser(description=f"{title}: write a table of simulated rates.")
    parser.add_argument("--worlds", type=int, help=f"simulated worlds of a case (default {long})")
    parser.add_argument("--short", action="store_true", help=f"{short} worlds; printed, and written only with --out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="folder of the table (default validation/tables)")
    given = parser.parse_args(words)
    worlds = given.worlds or (short if given.short else long)
    numbers = [case.number for case in cases]
    assert len(set(numbers)) == len(numbers), "two cases share their random numbers"
    began, rows, state = time.process_time(), list[Row](), _commit()
    with threadpool_limits(1):
        for case in cases:
            start = time.process_time()
            rows += counted(case, worlds, given.seed)
            print(f"{time.process_time() - start:7.2f} s  {case.group}: {case.name}", file=sys.stderr)
    seconds = time.process_time() - began
    options = f"{' --short' if given.short else ''}{f' --worlds {given.worlds}' if given.worlds else ''}"
    command = f"python validation/{name}.py{options} --seed {given.seed}"
    made = f"{datetime.now(UTC).date()}, commit {state}. `{command}`: {worlds} worlds"
    text = _page(title, made, seconds, rows)
    print(text)
    if given.out or not given.short:
        folder = given.out or HERE / "tables"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.md").write_text(text)
    if off := [f"{row.case}: {row.quantity}" for row in rows if not row.fault and not row.within(4)]:
        sys.exit(f"out of their range by more than four standard errors: {'; '.join(off)}")


def _page(title: str, made: str, seconds: float, rows: Sequence[Row]) -> str:
    judged = [row for row in rows if row.wanted is not None]
    lost = sum(row.holds == "no" for row in judged)
    near = sum(row.holds == "no, within error" for row in judged)
    return "\n".join([
        f"# {title}",
        "",
        f"{made}, fewer where a case is dear and more where it is cheap; {seconds:.0f} s of processor time.",
        f"Of {len(judged)} rates with a wanted range {len(judged) - lost - near} hold, {lost} do not, and {near} are "
        "outside by less than their error.",
        "",
        markdown(rows),
    ])


def _commit() -> str:
    def git(*words: str) -> str:
        done = subprocess.run(["git", "--no-optional-locks", *words], cwd=HERE, capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else ""

    changed = git("status", "--porcelain", "--", "../landscape")
    return f"{git('rev-parse', '--short', 'HEAD') or 'unknown'}{' with changes to landscape/' if changed else ''}"


def _line(row: Row) -> str:
    low, high = wilson(row.hits, row.worlds)
    found = [f"{row.rate:.3f}", f"{row.error:.3f}", f"{low:.3f} to {high:.3f}", str(row.worlds)]
    return f"| {' | '.join([row.case, row.quantity, *found, _range(row.wanted), row.holds])} |"


def _range(wanted: Wanted | None) -> str:
    if wanted is None:
        return ""
    low, high = wanted
    if low <= 0:
        return f"at most {high:.3g}"
    return f"at least {low:.3g}" if high >= 1 else f"{low:.3g} to {high:.3g}"
