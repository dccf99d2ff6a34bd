import json
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

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


def test_constraints_pin_every_dependency() -> None:
    pinned = {
        line.split("==")[0].lower().replace("_", "-") for line in (ROOT / "constraints.txt").read_text().splitlines()
    }
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = [*PROJECT["project"]["dependencies"], *(need for extra in extras.values() for need in extra)]
    names = {need.split(">")[0].split("=")[0].lower().replace("_", "-") for need in wanted}
    assert names - {"setuptools"} <= pinned


@pytest.mark.slow
def test_wheel_runs_in_a_fresh_environment(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "--quiet"]
    options = ["--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(tmp_path)]
    subprocess.run([*pip, "wheel", *options, str(ROOT)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("landscape_toolkit-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert len(names) == len(set(names))
    assert {name.split("/")[0] for name in names} == {"landscape", wheel.name.rsplit("-", 3)[0] + ".dist-info"}
    assert {
        "landscape/py.typed",
        "landscape/demo/study.toml",
        "landscape/demo/TEXTS.md",
        "landscape/figures/page.html",
    } <= set(names)

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
        "print(json.dumps([landscape.__file__, m.__file__, str(d.STUDY), d.HELD_OUT_TEXT.exists()]))"
    )
    *files, there = json.loads(run(str(python), "-c", script))
    assert there and all(file.startswith(str(tmp_path / "env")) for file in files)
