"""``landscape init``."""

from __future__ import annotations

from pathlib import Path

import click

from landscape.cli.progress import console
from landscape.cli.trust import trust_options
from landscape.errors import InputError, StorageError


@trust_options
@click.command()
@click.argument("target", metavar="FOLDER|FAMILY")
@click.option("--out", default="study.toml", show_default=True, type=click.Path(path_type=Path, dir_okay=False),
              help="The study file; one that exists is left alone.")  # fmt: skip
@click.option("--text", default="", help="Text to evaluate on.  [default: the packaged novel]")
@click.option("--train-text", default="", help="Text that the models were trained on, or like it.")
@click.option("--config", default="", help="Folder of config.json, for weights that have none beside them.")
def command(target: str, out: Path, text: str, train_text: str, config: str) -> None:
    """Write a first study file for the runs in FOLDER, or for some checkpoints of a known FAMILY.

    The labels of the runs are read off the names of folders. The file lists what was found, the measures that make
    sense for it, and what each costs. Nothing is measured, and no file is overwritten.
    """
    from landscape.face.draft import draft
    from landscape.face.inventory import Inputs

    if out.exists():
        raise InputError(f"{out} exists, and nothing is overwritten; give another file with --out")
    beside = {name: _beside(value, out) for name, value in (("text", text), ("train_text", train_text),
                                                            ("config", config))}  # fmt: skip
    made = draft(target, out, Inputs(**beside))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with out.open("x", encoding="utf-8") as file:
            file.write(made)
    except OSError as error:
        raise StorageError(f"cannot write {out}: {error.strerror}; choose another --out") from error
    console.print(f"Wrote {out}. See what it takes with: landscape plan {out}", markup=False)


def _beside(path: str, out: Path) -> str:
    """A path from here as one from the study file."""
    if not path or Path(path).is_absolute() or out.parent.resolve() == Path.cwd():
        return path
    return str(Path(path).resolve())
