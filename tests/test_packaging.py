import ast
import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from collections.abc import Iterable
from importlib.metadata import distributions, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_package_on_disk_is_listed() -> None:
    """With a mapping of folders setuptools cannot look for itself."""
    found = {"landscape"}
    for folder in ("landscape", "cli", "figures"):
        for file in (ROOT / folder).rglob("__init__.py"):
            parts = file.parent.relative_to(ROOT).parts
            found.add(".".join(parts if parts[0] == "landscape" else ("landscape", *parts)))
    assert sorted(found) == PROJECT["tool"]["setuptools"]["packages"]


def test_links_lead_to_the_real_folders() -> None:
    for name in ("cli", "figures"):
        assert (ROOT / "landscape" / name).readlink() == Path("..") / name


def names(needs: Iterable[str]) -> set[str]:
    """Names of distributions, as PyPI writes them, from requirements."""
    return {canonicalize_name(Requirement(need).name) for need in needs}


DECLARED = names(PROJECT["project"]["dependencies"])
EXTRAS = {extra: names(needs) for extra, needs in PROJECT["project"]["optional-dependencies"].items()}


def imported(files: Iterable[Path]) -> set[tuple[str, str]]:
    """Distributions that some files import, each with a file."""
    found = set[tuple[str, str]]()
    owners = packages_distributions()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                modules = [node.module]
            else:
                continue
            for top in {module.split(".")[0] for module in modules} - sys.stdlib_module_names:
                if top != "landscape" and not any(
                    (ROOT / own / f"{top}.py").exists() for own in ("tests", "validation")
                ):
                    found.add((canonicalize_name(owners.get(top, [top])[0]), str(file.relative_to(ROOT))))
    return found


@pytest.mark.slow
def test_what_is_imported_is_declared() -> None:
    """Whatever other packages happen to bring along."""
    sources = [f for folder in ("landscape", "cli", "figures") for f in (ROOT / folder).rglob("*.py")]
    optional = set[str]().union(*EXTRAS.values())
    product, tests = imported(sources), imported((ROOT / "tests").rglob("*.py"))
    assert len(product) > 100
    undeclared = {(name, file) for name, file in product if name not in DECLARED | optional}
    assert undeclared == set()
    used = {name for name, _ in product}
    assert used >= DECLARED, f"declared and not imported: {DECLARED - used}"
    heavy = {name for name, _ in product} - DECLARED
    extras = {"accelerate", "datasets", "jaxtyping", "pillow", "submitit", "xarray"}
    assert heavy == extras, "extras, imported where they are used and said to be missing"
    assert {(name, file) for name, file in tests if name not in DECLARED | EXTRAS["test"]} == set()


def pinned() -> dict[str, str]:
    lines = (line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#"))
    return {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in lines)}


def test_constraints_pin_every_dependency() -> None:
    assert DECLARED | set().union(*EXTRAS.values()) <= pinned().keys() | {"setuptools"}


@pytest.mark.skipif(Path(sys.prefix) != ROOT / ".venv", reason="another environment than the one that make makes")
def test_constraints_are_what_the_tests_run_with() -> None:
    versions = {canonicalize_name(found.name): found.version for found in distributions()}
    gpus = {name for name in versions if name.startswith(("cuda-", "nvidia-")) or name == "triton"}
    own = {"landscape-toolkit", "pip", "setuptools"} | gpus  # a build of torch for GPUs brings them, and names versions
    assert versions.keys() - own <= pinned().keys(), "installed and not pinned"
    assert {name: version.split("+")[0] for name, version in versions.items() if name not in own} == {
        name: pinned()[name] for name in versions.keys() - own
    }


def locked() -> dict[str, tuple[str, list[str]]]:
    """Version and hashes of each distribution of the lock file."""
    text = (ROOT / "requirements.lock").read_text().replace("\\\n", " ")
    lines = [line.split() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return {
        canonicalize_name(words[0].partition("==")[0]): (
            words[0].partition("==")[2],
            [word.removeprefix("--hash=sha256:") for word in words if word.startswith("--hash=sha256:")],
        )
        for words in lines
    }  # fmt: skip


def test_locked_versions_are_the_pinned_ones_and_have_hashes() -> None:
    """All that ``make`` installs is locked, but torch, whose build is a matter of the machine."""
    found, pins = locked(), pinned()
    assert {name: version for name, (version, _) in found.items()} == {
        name: pins.get(name, version) for name, (version, _) in found.items()
    }
    assert [name for name, (_, hashes) in found.items() if not hashes or any(len(h) != 64 for h in hashes)] == []
    extras = re.findall(r"^EXTRAS := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[0].split()
    assert f"'.[{','.join(extras)}]'" in (ROOT / "Makefile").read_text()
    wanted = DECLARED.union(*(EXTRAS[extra] for extra in extras)) - {"torch"}
    assert wanted <= found.keys()
    assert not any(name.startswith(("torch", "nvidia", "triton")) for name in found)


def test_pins_are_within_the_declared_bounds() -> None:
    declared = [Requirement(need) for need in PROJECT["project"]["dependencies"]]
    assert [str(need) for need in declared if pinned()[canonicalize_name(need.name)] not in need.specifier] == []
    assert {need.name for need in declared if "<" in str(need.specifier)} >= {"transformers", "numpy", "pydantic"}


@pytest.mark.slow
def test_a_wheel_of_the_source_distribution_is_the_same(tmp_path: Path) -> None:
    """The links of the source tree are folders in it."""
    source = tmp_path / "source"
    made_here = shutil.ignore_patterns(".*", "build", "demo", "*.egg-info")
    shutil.copytree(ROOT, source, symlinks=True, ignore=lambda at, n: made_here(at, n) if Path(at) == ROOT else set())
    code = "from setuptools import build_meta as b; print(b.build_sdist({out!r})); print(b.build_wheel({out!r}))"
    out = str(tmp_path / "direct")
    made = subprocess.run([sys.executable, "-c", code.format(out=out)], cwd=source, check=True, capture_output=True,
                          text=True).stdout.split()  # fmt: skip
    sdist, wheel = (next(Path(out, word) for word in made if word.endswith(end)) for end in (".tar.gz", ".whl"))
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "sdist", filter="data")
    (unpacked,) = (tmp_path / "sdist").iterdir()
    code = f"from setuptools import build_meta as b; b.build_wheel({str(tmp_path / 'again')!r})"
    subprocess.run([sys.executable, "-c", code], cwd=unpacked, check=True, capture_output=True)
    again = tmp_path / "again" / wheel.name
    own = {i.filename: i.CRC for i in zipfile.ZipFile(wheel).infolist() if not i.filename.endswith("RECORD")}
    assert own == {i.filename: i.CRC for i in zipfile.ZipFile(again).infolist() if not i.filename.endswith("RECORD")}
    metadata = zipfile.ZipFile(wheel).read(next(name for name in own if name.endswith("METADATA"))).decode()
    assert "Classifier: Typing :: Typed" in metadata and "License-File: LICENSE" in metadata


@pytest.mark.slow
def test_wheel_runs_in_a_fresh_environment(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet"]
    options = ["--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(tmp_path)]
    subprocess.run([*pip, "wheel", *options, str(ROOT)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("landscape_toolkit-*.whl")
    files = zipfile.ZipFile(wheel).namelist()
    assert len(files) == len(set(files))
    assert {name.split("/")[0] for name in files} == {"landscape", wheel.name.rsplit("-", 3)[0] + ".dist-info"}
    assert {
        "landscape/py.typed",
        "landscape/demo/study.toml",
        "landscape/texts/TEXTS.md",
        *(f"landscape/figures/page.{kind}" for kind in ("css", "html", "js")),
    } <= set(files)

    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    install = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*install, str(wheel)], check=True, capture_output=True)
    # The dependencies of this environment, without its own copy of the project.
    site = subprocess.run(
        [python, "-c", "import site; print(site.getsitepackages()[0])"], capture_output=True, text=True
    )
    Path(site.stdout.strip(), "rest.pth").write_text(sysconfig.get_path("purelib"))

    def run(*command: str) -> str:
        return subprocess.run([*command], cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    assert "barriers" in run(str(python.with_name("landscape")), "--help")
    script = (
        "import json, landscape, landscape.cli.main as m, landscape.demo as d\n"
        "from landscape.texts import HELD_OUT_TEXT\n"
        "print(json.dumps([landscape.__file__, m.__file__, str(d.STUDY), HELD_OUT_TEXT.exists()]))"
    )
    *files, there = json.loads(run(str(python), "-c", script))
    assert there and all(file.startswith(str(tmp_path / "env")) for file in files)
