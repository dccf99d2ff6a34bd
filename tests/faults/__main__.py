"""Small faults, planted one by one in a copy of the sources: which do the fast tests see?

    python tests/faults              all lists beside this file
    python tests/faults llc stages   some of them
    python tests/faults --only WORD  faults whose name has the word
    python tests/faults --every 10   one fault in ten

A list is a TOML file of ``[[fault]]`` tables: ``name``, ``file``, ``old`` (which stands in the file once), ``new``, and
``tests``, the test files or tests that are related. A fault is killed when one of these fails. The related tests are
run without a fault first, since a suite that fails anyway kills everything.

Each run is a fork of this process, which has imported torch and the other libraries but nothing of the project.
"""

from __future__ import annotations

import argparse
import importlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
import traceback
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent))

import offline  # noqa: E402

LIBRARIES = (
    "arviz_stats", "click.testing", "httpx2", "huggingface_hub", "jinja2", "joblib", "matplotlib.pyplot",
    "numpy", "pandas", "pyarrow.parquet", "pydantic", "rich.table", "safetensors.torch", "scipy.integrate",
    "scipy.optimize", "scipy.stats", "seaborn", "sklearn.cluster", "sklearn.datasets", "sklearn.linear_model",
    "threadpoolctl", "tokenizers", "torch.func", "transformers.models.bert.modeling_bert",
    "transformers.models.gpt2.modeling_gpt2", "transformers.models.gpt_neox.modeling_gpt_neox",
    "transformers.models.llama.modeling_llama", "xarray",
)  # fmt: skip
LIST_FILES = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
PYTEST = (
    "-q", "-x", "--no-header", "-p", "no:cacheprovider", "-p", "no:xdist", "-W", "ignore:Module already imported",
)  # fmt: skip
SAYS = ("FAILED", "ERROR", "E  ")
LIMIT = 240
"""Seconds of a run after which the fault counts as killed: it hangs."""


@dataclass(frozen=True)
class Fault:
    """A text that replaces another in one file, and the tests that should see it."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    list: str = ""


@dataclass(frozen=True)
class Verdict:
    """What became of a fault: ``killed``, ``survived``, or why it could not be run."""

    fault: Fault
    what: str
    seconds: float
    output: str


def read(names: Sequence[str]) -> list[Fault]:
    """All faults of these lists; of every list if none is named."""
    files = [HERE / f"{name}.toml" for name in names] or sorted(HERE.glob("*.toml"))
    if unknown := [file.stem for file in files if not file.exists()]:
        known = ", ".join(file.stem for file in sorted(HERE.glob("*.toml")))
        sys.exit(f"there is no list {', '.join(unknown)}; the lists are {known}")
    return [
        Fault(**{**fault, "tests": tuple(fault["tests"]), "list": file.stem})
        for file in files
        for fault in tomllib.loads(file.read_text())["fault"]
    ]


def copied(folder: Path) -> Path:
    """The files that git knows or would take, as they are now, links as links."""
    listed = subprocess.run(LIST_FILES, cwd=ROOT, capture_output=True, check=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        if os.path.lexists(ROOT / name):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
    return folder


def planted(fault: Fault, copy: Path) -> str:
    """Plant a fault; why it cannot be, or an empty string."""
    file = copy / fault.file
    text = file.read_text() if file.exists() else ""
    if (count := text.count(fault.old)) != 1:
        return f"`old` stands {count} times in {fault.file}"
    _rewrite(file, text.replace(fault.old, fault.new))
    return ""


def removed(fault: Fault, copy: Path) -> None:
    """Put the file back."""
    _rewrite(copy / fault.file, (ROOT / fault.file).read_text())


def _rewrite(file: Path, text: str) -> None:
    file.write_text(text)
    for compiled in file.parent.glob(f"__pycache__/{file.stem}.*.pyc"):  # two writes within a second look alike
        compiled.unlink()


def start(copy: Path, tests: Sequence[str], output: Path) -> int:
    """Fork a run of some tests against the copy; its process."""
    if branch := os.fork():
        return branch
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    stream = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(stream, 1)
    os.dup2(stream, 2)
    os.chdir(copy)
    sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in str(finder).lower()]
    sys.path.insert(0, str(copy))
    code = 70
    try:
        code = int(pytest.main([*PYTEST, *tests]))
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def run(faults: Sequence[Fault], workers: int) -> Iterator[Verdict]:
    """The verdict on each fault, as it is reached."""
    waiting, running = list(faults), dict[int, tuple[Fault, Path, Path, float]]()
    with tempfile.TemporaryDirectory(prefix="faults-") as place:
        free = [copied(Path(place) / f"copy{n}") for n in range(workers)]
        try:
            while waiting or running:
                while waiting and free:
                    fault, copy = waiting.pop(0), free.pop()
                    if problem := planted(fault, copy) if fault.file else "":
                        free.append(copy)
                        yield Verdict(fault, problem, 0.0, "")
                        continue
                    output = copy.with_suffix(".out")
                    running[start(copy, fault.tests, output)] = (fault, copy, output, time.monotonic())
                time.sleep(0.02)
                for branch, (fault, copy, output, begin) in list(running.items()):
                    seconds = time.monotonic() - begin
                    ended, status = os.waitpid(branch, os.WNOHANG)
                    if not ended and seconds > LIMIT:
                        os.killpg(branch, signal.SIGKILL)
                        os.waitpid(branch, 0)
                        status = 1 << 8
                    elif not ended:
                        continue
                    del running[branch]
                    if fault.file:
                        removed(fault, copy)
                    free.append(copy)
                    yield Verdict(fault, _meaning(status), seconds, output.read_text(errors="replace"))
        finally:
            for branch in running:
                with suppress(ProcessLookupError):
                    os.killpg(branch, signal.SIGKILL)
                os.waitpid(branch, 0)


def _meaning(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    if code == pytest.ExitCode.OK:
        return "survived"
    ran = code in (pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED) or code < 0
    return "killed" if ran else f"pytest ended with exit code {code}: are the tests named rightly?"


def positive(word: str) -> int:
    """A whole number above zero, of the command line."""
    if (number := int(word)) < 1:
        raise argparse.ArgumentTypeError(f"{word} is not 1 or more")
    return number


def main() -> int:
    """Print the survivors; 1 if fewer than the wanted share are killed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lists", nargs="*", help="lists beside this file, without .toml")
    parser.add_argument("--only", default="", metavar="WORD")
    parser.add_argument("--every", type=positive, default=1, metavar="N", help="take one fault in N")
    parser.add_argument("--share", type=float, default=0.95, help="what share is to be killed")
    parser.add_argument("--workers", type=positive, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--no-control", action="store_true", help="run no tests without a fault first")
    parser.add_argument("--verbose", action="store_true", help="print what killed each fault")
    options = parser.parse_args()
    faults = [fault for fault in read(options.lists) if options.only in fault.name][:: options.every]
    if not faults:
        sys.exit(f"no fault has {options.only!r} in its name")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))
    offline.isolate()
    for library in LIBRARIES:
        importlib.import_module(library)
    begin, unfit = time.monotonic(), list[Verdict]()
    if not options.no_control:
        tests = sorted({test for fault in faults for test in fault.tests})
        shares = [tuple(tests[n :: options.workers]) for n in range(options.workers)]
        control = [Fault(f"no fault: {len(share)} files of tests", "", "", "", share) for share in shares if share]
        unfit = [verdict for verdict in run(control, options.workers) if verdict.what != "survived"]
        for verdict in unfit:
            print(f"{verdict.fault.name}: {verdict.what}\n{verdict.output[-3000:]}")
        if unfit:
            print("the tests do not pass without a fault")
            return 1
    verdicts = []
    for verdict in run(faults, options.workers):
        verdicts.append(verdict)
        if verdict.what != "killed" or options.verbose:
            fault = verdict.fault
            print(f"{verdict.what}: {fault.list}: {fault.name} ({fault.file}, {verdict.seconds:.1f} s)")
            if options.verbose:
                print("\n".join(line for line in verdict.output.splitlines() if line.startswith(SAYS)))
            elif verdict.what != "survived":
                print(verdict.output[-3000:])
            sys.stdout.flush()
    killed = sum(verdict.what == "killed" for verdict in verdicts)
    lost = [v for v in verdicts if v.what not in ("killed", "survived")]
    print(f"{killed} of {len(verdicts)} faults killed, {len(lost)} could not be run, {time.monotonic() - begin:.0f} s")
    return int(bool(lost) or killed < options.share * len(verdicts))


if __name__ == "__main__":
    sys.exit(main())
