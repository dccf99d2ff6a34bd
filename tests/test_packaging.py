import ast
import json
import subprocess
import sys
import sysconfig
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
    extras = {"datasets", "jaxtyping", "pillow", "submitit", "xarray"}
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
        "landscape/figures/page.html",
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
