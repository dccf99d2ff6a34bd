"""The documentation: its examples run, its commands parse, its studies are accepted, its links lead somewhere."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import cases
import click
import pytest
import torch
from click.testing import CliRunner

from landscape import catalogue
from landscape.cli.main import cli
from landscape.study.file import Study

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = [README, *sorted(DOCS.rglob("*.md")), ROOT / "studies" / "README.md"]
RUN = [README, DOCS / "start.md", DOCS / "howto" / "python.md", DOCS / "gallery.md"]
"""Pages whose examples are run."""
GENERATED = ("columns.md", "study_file.md", "commands.md")
MAX_README = 130
WORDS = ("gradient", "alignment", "sharpness", "dtype", "branch", "burn-in", "effective sample size", "Hessian",
         "permutation", "interpolation", "linear mode connectivity", "loss barrier", "weight matching")  # fmt: skip
"""What a newcomer looks for."""
SHELL, PYTHON, TOML = "sh", "python", "toml"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
NOT_RUN = {"make", "pip", "source", "cd", "python"}
"""Programs that only have to be there."""
FEW_EXAMPLES = {
    "sequences = 64": "sequences = 8", "sequences=64": "sequences=8", '"sequences": 64': '"sequences": 8',
    "resolution=13": "resolution=3",
}  # fmt: skip
SETTINGS = """
version = 1
name = "complete"
[checkpoints]
folder = "runs/{optimizer}/seed_{seed}/step_{step}"
[data]
objective = "causal-lm"
"""
MEASURES = [{"kind": "barriers"}]


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        page: The page.
        language: What it is.
        text: What it says.
        line: Where it begins.
    """

    page: Path
    language: str
    text: str
    line: int

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path, *languages: str) -> list[Block]:
    """The blocks of a page in some languages."""
    text = page.read_text("utf-8")
    found = [Block(page, hit[1], hit[2], text[: hit.start()].count("\n") + 1) for hit in FENCE.finditer(text)]
    return [block for block in found if block.language in languages]


def commands(text: str) -> Iterator[list[str]]:
    """The commands of a shell block in words, without comments."""
    for line in text.replace("\\\n", " ").splitlines():
        if words := shlex.split(line, comments=True):
            yield words


def expanded(words: list[str], folder: Path) -> list[str]:
    """Words of a shell's command, whose braces and stars the shell expands."""
    said = " ".join(word if re.fullmatch(r"[\w./{},:=*@+-]+", word) else shlex.quote(word) for word in words)
    if any("{seed}" in word or "{step}" in word for word in words):
        return words
    shell = ["bash", "-O", "nullglob", "-c", f"printf '%s\\n' {said}"]
    return subprocess.run(shell, cwd=folder, capture_output=True, text=True, check=True).stdout.splitlines()


def every(*languages: str) -> list[Any]:
    return [pytest.param(block, id=str(block)) for page in PAGES for block in blocks(page, *languages)]


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_readme_is_short() -> None:
    assert len(README.read_text("utf-8").splitlines()) <= MAX_README


@pytest.mark.parametrize("name", GENERATED)
def test_a_generated_page_is_up_to_date(name: str) -> None:
    assert (DOCS / "reference" / name).read_text("utf-8") == script("generate").page(name), "python docs/generate.py"


EXAMPLES = sorted((DOCS / "examples").glob("*.py"))
examples = pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)


@examples
def test_a_notebook_is_its_script(example: Path) -> None:
    made = script("notebooks").notebook(example.read_text("utf-8"))
    assert example.with_suffix(".ipynb").read_text("utf-8") == made, "python docs/notebooks.py"
    notebook = json.loads(made)
    assert {cell["cell_type"] for cell in notebook["cells"]} == {"code", "markdown"}
    code = "\n\n".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code")
    assert ast.dump(ast.parse(code)) == ast.dump(ast.parse(example.read_text("utf-8")))
    text = "\n".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "markdown")
    assert text.startswith("# ") and "## What may be concluded" in text and "## The figure" in text
    assert example.with_suffix(".ipynb").name in (DOCS / "examples" / "index.md").read_text("utf-8")


@pytest.mark.parametrize("word", WORDS)
def test_the_words_of_the_field_are_found(word: str) -> None:
    assert any(word.lower() in page.read_text("utf-8").lower() for page in PAGES if page.is_relative_to(DOCS))


MEMBERS = {
    "explained/barriers.md": catalogue.DEFINITIONS, "explained/llc.md": catalogue.SAMPLERS,
    "howto/align.md": catalogue.MATCHERS, "howto/barrier_matrix.md": catalogue.PATHS,
    "howto/curve.md": catalogue.CURVES, "howto/probes.md": catalogue.PROBES,
}  # fmt: skip
"""Pages that explain every member of a table."""


@pytest.mark.parametrize("page", MEMBERS)
def test_every_member_is_explained(page: str) -> None:
    text = (DOCS / page).read_text("utf-8")
    assert [name for name in MEMBERS[page] if not re.search(rf"\b{re.escape(name)}\b", text)] == []


def test_definitions_are_signed_as_their_table_says() -> None:
    text = (DOCS / "explained" / "barriers.md").read_text("utf-8")
    rows = {hit[1]: hit[2] for hit in re.finditer(r"^\| `(\w+)`[^|]*\|[^|]*\| (yes|no) \|", text, re.MULTILINE)}
    assert rows == {name: "yes" if catalogue.DEFINITIONS.load(name).SIGNED else "no" for name in catalogue.DEFINITIONS}


def test_siblings_have_the_names_that_the_guide_lists() -> None:
    text = (DOCS / "add_a_member.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \|[^|]*\| (.*) \|$", text, re.MULTILINE))
    tables = {name for name, value in vars(catalogue).items() if isinstance(value, catalogue.Members)}
    assert set(rows) == tables
    for table in tables - {"CURVES", "MEASURES"}:
        members = getattr(catalogue, table)
        names = re.findall(r"`(\w+)(?:\([^`]*\))?`", rows[table].partition("; the name")[0].partition(", a tuple")[0])
        names = [name for name in names if name not in ("Section",)]
        for member in (name for name in members if not members[name].extra):
            assert [name for name in names if not hasattr(members.load(member), name)] == [], (table, member)


def slug(heading: str) -> str:
    """The anchor of a heading."""
    plain = re.sub(r"[^\w\s-]", "", heading.replace("`", "").strip().lower())
    return re.sub(r"\s", "-", plain)


def anchors(page: Path) -> set[str]:
    text = FENCE.sub("", page.read_text("utf-8"))
    return {slug(hit[1]) for hit in re.finditer(r"^#+ (.*)$", text, re.MULTILINE)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text("utf-8"))
    broken = []
    for target in LINK.findall(text):
        path, _, anchor = target.partition("#")
        if "://" in path:
            continue
        file = (page.parent / path).resolve() if path else page
        known = file.exists() and (not anchor or (file.suffix == ".md" and anchor in anchors(file)))
        broken += [] if known else [target]
    assert broken == []


def test_the_site_has_every_page_once() -> None:
    listed = re.findall(r": (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    own = [name for name in listed if not (ROOT / name).exists()]  # the site has notes beside the pages too
    assert sorted(own) == sorted(str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md"))


def inline(page: Path) -> Iterator[list[str]]:
    """Commands within sentences, those that name an option or an argument."""
    text = FENCE.sub("", page.read_text("utf-8"))
    for hit in re.finditer(r"`(landscape [^`\n]+)`", text):
        words = shlex.split(hit[1])
        if words[1].islower() and len(words) > 2:
            yield words


def require_parses(words: list[str]) -> None:
    """Refuse a command or an option that does not exist, or a value that an option does not take."""
    _, name, *arguments = words
    if name.startswith("-"):
        return
    with click.Context(cli, info_name="landscape") as parent:
        command = cli.get_command(parent, name)
        assert command is not None, f"no command {name}"
        context = click.Context(command, info_name=name, parent=parent)
        values, rest, _ = command.make_parser(context).parse_args(list(arguments))
        assert not rest, rest
        for param in command.params:
            if isinstance(param, click.Option) and values.get(str(param.name)) is not None:
                param.type_cast_value(context, values[str(param.name)])


@pytest.mark.parametrize("block", every(SHELL))
def test_commands_parse(block: Block) -> None:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for words in commands(block.text):
        words = words[: next((n for n, word in enumerate(words) if word in (">", "|")), None)]
        if words[0] == "landscape":
            require_parses(words)
        else:
            assert words[0] in NOT_RUN, words
            assert words[0] != "make" or words[1] in targets, words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_in_sentences_parse(page: Path) -> None:
    for words in inline(page):
        require_parses(words)


def test_a_wrong_option_is_seen() -> None:
    for line in ("landscape barriers a b --exmaples 3", "landscape plane a --plane round", "landscape match a b"):
        with pytest.raises((click.UsageError, AssertionError), match=r"No such option|is not one of|no command match"):
            require_parses(shlex.split(line))


def complete(text: str) -> dict[str, Any]:
    """A fragment of a study file with what it lacks."""
    given, whole = tomllib.loads(text), tomllib.loads(SETTINGS)
    for section in ("checkpoints", "data"):
        own = given.get(section, {})
        keep = {} if section == "checkpoints" and {"family", "folder"} & own.keys() else whole[section]
        given[section] = keep | own
    return {**whole, **given, "measure": given.get("measure", MEASURES)}


@pytest.mark.parametrize("block", every(TOML))
def test_studies_are_accepted(block: Block) -> None:
    Study.model_validate(complete(block.text))


def test_a_wrong_setting_is_seen() -> None:
    with pytest.raises(ValueError, match="halfwdth"):
        Study.model_validate(complete('[[measure]]\nkind = "barriers"\nhalfwdth = 0.01'))


@pytest.mark.parametrize("block", every(PYTHON))
def test_python_compiles(block: Block) -> None:
    compile(block.text, str(block), "exec")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the pages take to be there: a small demo, and small runs beside it."""
    folder = tmp_path_factory.mktemp("pages")
    text = " ".join(f"w{n * n % 53}" for n in range(1, 9000))
    steps = (0, 8, 32, 128, 512)
    for seed in range(3):
        for rank, step in enumerate(steps):
            made = cases.gpt2(1 + seed, n_positions=64)
            with torch.no_grad():
                for parameter in made.parameters():  # the loss falls over training, and so there is something to date
                    parameter.mul_(1 - rank / len(steps))
            cases.save(made, folder / "demo" / "checkpoints" / f"seed_{seed}" / f"step_{step}")
            cases.save(made, folder / "runs" / f"seed_{seed}" / f"step_{1000 if step == 512 else step}")
    for name in ("demo/heldout.txt", "demo/training.txt", "heldout.txt"):
        (folder / name).write_text(text)
    (folder / "demo" / "study.toml").write_text(
        'version = 1\nname = "small"\n[checkpoints]\nfolder = "checkpoints/seed_{seed}/step_{step}"\n[data]\n'
        'objective = "causal-lm"\ntext = "heldout.txt"\nsequences = 8\nlength = 16\n[[measure]]\nkind = "barriers"\n'
    )
    return folder


def test_python_examples_run(
    built: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], page: Path
) -> None:
    monkeypatch.chdir(built)
    names: dict[str, object] = {}
    for block in blocks(page, PYTHON):
        text = block.text
        for long, short in FEW_EXAMPLES.items():
            text = text.replace(long, short)
        exec(compile(text, str(block), "exec"), names)  # noqa: S102
    assert capsys.readouterr().out


def shell(page: Path, folder: Path) -> Iterator[list[str]]:
    """The commands of a page that can be run, as the shell hands them over."""
    for block in blocks(page, SHELL):
        for words in commands(block.text):
            arguments = expanded(words, folder)
            local = all(word.startswith(("demo", "runs", "study")) or "/" not in word for word in arguments[2:])
            public = any(":" in word or word.startswith("hf://") for word in arguments)
            if words[0] == "landscape" and words[1] not in ("families", "audit") and local and not public:
                yield arguments


@pytest.mark.slow
@pytest.mark.parametrize("name", ["barrier_matrix", "before_and_after_alignment"])
def test_examples_run_on_small_models(built: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """With branches that are other seeds: what is drawn says nothing here."""
    monkeypatch.chdir(built)
    branches = built / "demo" / "checkpoints" / "branches" / "seed_0" / "branched_at_8" / "branch_0"
    if not branches.exists():
        shutil.copytree(built / "runs" / "seed_1" / "step_1000", branches / "step_512")
    text = (DOCS / "examples" / f"{name}.py").read_text("utf-8")
    small = text.replace("sequences=64", "sequences=8").replace('"sequences": 64', '"sequences": 8').replace(
        "resolution=11", "resolution=3"
    )  # fmt: skip
    exec(compile(small, name, "exec"), {})  # noqa: S102
    assert (built / f"{name}.png").stat().st_size > 5000


@pytest.mark.slow
@pytest.mark.parametrize("page", [README, DOCS / "start.md"], ids=["README", "start"])
def test_shell_examples_run(built: Path, monkeypatch: pytest.MonkeyPatch, page: Path) -> None:
    monkeypatch.chdir(built)
    runner = CliRunner()
    small = {"plan": [], "curve": ["--fit-steps", "4", "--fit-sequences", "8", "--fit-batch", "4"]}
    if page.name == "start.md":
        runner.invoke(cli, ["run", "demo/study.toml", "--workers", "1"], catch_exceptions=False)
    ran = list(shell(page, built))
    assert len(ran) >= 3
    for _, name, *arguments in ran:
        sizes = ["--sequences", "8", "--length", "16"] if name in ("barriers", "align", "curve") else []
        done = runner.invoke(cli, [name, *arguments, *sizes, *small.get(name, [])], catch_exceptions=False)
        assert done.exit_code == 0, (name, arguments, done.output)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each page whose examples in Python are run."""
    if metafunc.function.__name__ == "test_python_examples_run":
        pages = [page for page in RUN if blocks(page, PYTHON)]
        marks = dict.fromkeys(("gallery", "python"), [pytest.mark.slow])
        every = [pytest.param(page, id=page.stem, marks=marks.get(page.stem, [])) for page in pages]
        metafunc.parametrize("page", every)
