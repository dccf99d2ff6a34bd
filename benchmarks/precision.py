"""The barrier matrix of a demo's last step: 11 even points on all data, against adaptive points to a wanted halfwidth.

Both are the command ``landscape barriers``, one after the other. Evaluations of an example at a point, ends included,
do not depend on the machine; the seconds do.

    landscape demo --out demo && python benchmarks/precision.py demo
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


def matrix(refs: list[str], sequences: int, *more: str) -> tuple[list[dict[str, Any]], float]:
    """Chord barriers of all pairs, and the seconds they took."""
    command = [sys.executable, "-c", "from landscape.cli.main import main; main()", "barriers", *refs, "--json"]
    begin = time.perf_counter()
    done = subprocess.run(
        [*command, "--sequences", str(sequences), *more], stdout=subprocess.PIPE, text=True, check=True
    )
    seconds = time.perf_counter() - begin
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return [row for row in rows if row["table"] == "barrier" and row["definition"] == "chord"], seconds


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("demo", type=Path)
    parser.add_argument("--halfwidth", type=float, default=0.01)
    parser.add_argument("--sequences", type=int, default=3462, help="3462 is the whole packaged novel.")
    options = parser.parse_args()
    folders = sorted((options.demo / "checkpoints").glob("seed_*"))
    refs = [
        str(max(folder.glob("step_*"), key=lambda path: int(path.name.removeprefix("step_")))) for folder in folders
    ]
    sides = {"11 even points, all data": ("--points", "11"),
             f"--halfwidth {options.halfwidth:g}": ("--halfwidth", str(options.halfwidth))}  # fmt: skip
    found = {name: matrix(refs, options.sequences, *more) for name, more in sides.items()}
    whole, usual = None, next(iter(found.values()))
    print("| | evaluations | share | s | widest interval | error between points | largest difference |")
    print("|---|---|---|---|---|---|---|")
    for name, (rows, seconds) in found.items():
        count = sum(row["evaluations"] for row in rows) + len(refs) * options.sequences
        whole = whole or count
        wide = max(row["high"] - row["low"] for row in rows)
        errors = [row["t_error"] for row in rows if row["t_error"] is not None]
        apart = max(abs(a["barrier"] - b["barrier"]) for a, b in zip(rows, usual[0], strict=True))
        print(f"| {name} | {count:,} | {count / whole:.1%} | {seconds:.0f} | {wide:.4f} | "
              f"{f'{max(errors):.4f}' if errors else 'unknown'} | {apart:.4f} |")  # fmt: skip


if __name__ == "__main__":
    main()
