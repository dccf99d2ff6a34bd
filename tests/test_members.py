"""A member is one file and one line: a dummy of every table passes its contract, and runs by command and study."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TABLES = {
    "PATHS": ("linear", "dummy-path", "paths/kinds/linear.py"),
    "CURVES": ("bezier", "dummy-curve", "paths/kinds/bezier.py"),
    "SAMPLERS": ("sgld", "dummy-sampler", "llc/samplers/sgld.py"),
    "PROBES": ("in-context", "dummy-probe", "probes/in_context.py"),
    "OBJECTIVES": ("causal-lm", "dummy-lm", "objectives/causal_lm.py"),
    "FAMILIES": ("amber", "dummy-family", "checkpoints/families/amber.py"),
    "SYMMETRY_TABLES": ("gpt2", "dummy_gpt", "symmetry/tables/gpt2.py"),
    "MATCHERS": ("weights", "dummy-match", "symmetry/matchers/weights.py"),
    "METRICS": ("accuracy", "dummy_metric", "profile/metrics/accuracy.py"),
    "DEFINITIONS": ("chord", "dummy_rise", "profile/definitions/chord.py"),
    "FIGURES": ("loss", "dummy_loss", "figures/loss.py"),
}
"""Of each table a member, the name of its copy, and its file."""
CONTRACTS = ("test_paths.py", "test_samplers.py", "test_definitions.py", "test_symmetry_matchers.py",
             "test_figure_members.py", "test_objectives_contract.py", "test_probe_items.py",
             "test_metrics.py")  # fmt: skip
COPIES = ("test_symmetry_matchers.py::test_a_table_has_the_skeleton_of_its_siblings[dummy_gpt]",
          "test_objectives_contract.py::test_every_objective_states_the_same_facts[dummy-lm]")  # fmt: skip
"""What no copy can pass: its architecture, or its classes of models, are those of its sibling."""
KIND = '''"""The norm of each checkpoint."""

from collections.abc import Iterator
from typing import Literal

from landscape.study.kinds.among import among, none_of
from landscape.study.measure import Grid, Group, Hashes, Measure
from landscape.study.tasks import Spec, Task


class Norms(Measure):
    """The norm of each checkpoint.

    Attributes:
        kind: Always ``norms``.
        power: Of the norm.
    """

    kind: Literal["norms"] = "norms"
    power: int = 2

    def groups(self, grid: Grid) -> Iterator[Group]:
        yield from ([c] for c in among("runs", self.at_steps, grid))

    def tasks(self, group: Group, hashes: Hashes, on: str) -> Iterator[Task[Spec]]:
        yield Task(self, tuple(group), data=hashes.main(on), on=on)

    def nothing(self, grid: Grid) -> str:
        return none_of(self.kind, grid)
'''
WORK = '''"""The norm of each checkpoint."""

from landscape.session.result import Result
from landscape.session.session import Session
from landscape.study.kinds.norms import Norms
from landscape.study.tasks import Task


def run(task: Task[Norms], session: Session) -> Result:
    """A row of the table ``loss`` whose loss is the norm."""
    (checkpoint,), (point,) = task.checkpoints, session.vectors(task)
    return Result([{
        "table": "loss", "checkpoint": checkpoint.ref, **checkpoint.columns, "loss": float(point.norm(task.spec.power)),
        "error": 0.0, "stored": "float32", "defect": "", **session.columns(task),
    }])
'''


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the sources, with one file and one line more for each table."""
    out = tmp_path_factory.mktemp("tree")
    shutil.copytree(ROOT / "landscape", out / "landscape", ignore=shutil.ignore_patterns("__pycache__"))
    catalogue = out / "landscape" / "catalogue.py"
    text = catalogue.read_text()
    for table, (sibling, name, file) in TABLES.items():
        source = out / "landscape" / file
        copy = source.with_name(f"{name.replace('-', '_')}.py")
        copy.write_text(source.read_text().replace('name="amber"', 'name="dummy-family"'))
        module = f"landscape.{Path(file).with_suffix('').as_posix().replace('/', '.')}"
        line = rf'(?s)({table} = Members\(.*?\n)(    "{sibling}": Member\("){re.escape(module)}"(.*?\),\n)(?=    "|}})'
        found = re.search(line, text)
        assert found, table
        other = f'    "{name}": Member("{module.rpartition(".")[0]}.{copy.stem}"{found[3]}'
        text = text[: found.end()] + other + text[found.end() :]
    text = re.sub(r"(MEASURES = Members\(.*?\n)", r'\1    "norms": Member("norms", "norms of checkpoints"),\n', text)
    catalogue.write_text(text)
    (out / "landscape" / "study" / "kinds" / "norms.py").write_text(KIND)
    (out / "landscape" / "measure" / "norms.py").write_text(WORK)
    yield out


def run(tree: Path, *command: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}  # no worker of this run
    environment = {**own, "PYTHONPATH": str(tree), "MPLBACKEND": "Agg"}
    return subprocess.run(
        [sys.executable, "-P", *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_every_dummy_passes_the_contract_of_its_table(tree: Path) -> None:
    words = " or ".join(name for _, name, _ in TABLES.values())
    files = [str(ROOT / "tests" / file) for file in CONTRACTS]
    plugins = ["-p", "no:cacheprovider", "-p", "no:xdist"]
    others = [f"--deselect=tests/{copy}" for copy in COPIES]
    done = run(tree, "-m", "pytest", "-q", "-k", words, *plugins, "-m", "slow or not slow", "-rA", *others, *files)
    passed = {name: sum(name in line for line in done.stdout.splitlines() if line.startswith("PASSED"))
              for _, name, _ in TABLES.values()}  # fmt: skip
    assert "FAILED" not in done.stdout and "ERROR" not in done.stdout, done.stdout[-3000:]
    without = {"dummy-family", "dummy_gpt"}  # one is data, the other needs a model of its type: both are used below
    assert all(count or name in without for name, count in passed.items()), passed


USE = """
import sys
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from click.testing import CliRunner
from landscape.cli.main import cli

made = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}, merges=[]))
made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=made)
for seed in range(3):
    torch.manual_seed(seed)
    config = transformers.GPT2Config(vocab_size=256, n_positions=32, n_embd=8, n_layer=1, n_head=2,
                                     bos_token_id=None, eos_token_id=None)
    transformers.GPT2LMHeadModel(config).save_pretrained(f"runs/seed_{seed}/step_1")
    tokenizer.save_pretrained(f"runs/seed_{seed}/step_1")
open("study.toml", "w").write(STUDY)
one, two = "runs/seed_0/step_1", "runs/seed_1/step_1"
small = ["--sequences", "16", "--length", "16"]
model = transformers.GPT2LMHeadModel.from_pretrained("runs/seed_0/step_1")
model.config.model_type = "dummy_gpt"
from landscape.symmetry.tables import table_of
assert table_of(model).groups
for command in (
    ["barriers", one, two, *small, "--path", "dummy-path", "--definition", "dummy_rise", "--align", "dummy-match"],
    ["barriers", one, two, *small, "--objective", "dummy-lm"],
    ["curve", one, two, *small, "--path", "dummy-curve", "--fit-steps", "2", "--no-control"],
    ["llc", one, *small, "--sampler", "dummy-sampler", "--chains", "2", "--draws", "8", "--burn-in", "2",
     "--batch", "8"],
    ["probe", one, *small, "--names", "dummy-probe"],
    ["families", "dummy-family"],
    ["run", "study.toml"], ["report", ".", "--definition", "dummy_rise"], ["plan", "study.toml"],
):
    done = CliRunner().invoke(cli, command)
    assert done.exit_code == 0, (command, done.output, done.exception)
for command, word in (("barriers", "dummy-path"), ("barriers", "dummy-match"), ("barriers", "dummy_rise"),
                      ("curve", "dummy-curve"), ("llc", "dummy-sampler"), ("barriers", "dummy-lm")):
    assert word in CliRunner().invoke(cli, [command, "--help"]).output, word
"""
STUDY = """version = 1
name = "dummies"
[checkpoints]
folder = "runs/seed_{seed}/step_{step}"
[data]
objective = "dummy-lm"
sequences = 16
length = 16
[[measure]]
kind = "barriers"
path = "dummy-path"
align = ["none", "dummy-match"]
[[measure]]
kind = "curves"
path = "dummy-curve"
fit_text = "TEXT"
fit_steps = 2
[[measure]]
kind = "llc"
sampler = "dummy-sampler"
chains = 2
draws = 8
burn_in = 2
batch = 8
[[measure]]
kind = "probes"
names = "dummy-probe"
[[measure]]
kind = "norms"
power = 1
"""


@pytest.mark.slow
def test_every_dummy_runs_by_command_and_study(tree: Path, tmp_path: Path) -> None:
    text = ROOT / "landscape" / "texts" / "prideprejudice.txt"
    (tmp_path / "use.py").write_text(f"STUDY = {STUDY.replace('TEXT', str(text))!r}\n{USE}")
    done = run(tree, str(tmp_path / "use.py"), folder=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    record = json.loads((tmp_path / "results" / "study.json").read_text())
    assert {task["kind"] for task in record["tasks"]} >= {"barriers", "curves", "llc", "probes", "norms", "align"}
    assert "dummy" in (tmp_path / "report.html").read_text() or (tmp_path / "report.html").stat().st_size > 10_000


def test_an_unknown_member_is_an_error_with_the_nearest_name() -> None:
    from landscape import catalogue

    for name, table in vars(catalogue).items():
        if isinstance(table, catalogue.Members):
            wrong = f"{next(iter(table))}x"
            with pytest.raises(ValueError, match=f"no {table.noun} is called '{wrong}'; did you mean"):
                table.load(wrong)
            assert wrong not in table, name
