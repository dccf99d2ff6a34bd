"""Figures of the one-shot commands, as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from landscape.errors import StorageError
from landscape.files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def open_page(page: Path) -> None:
    """Open a page in the browser, where there is one."""
    import click

    if click.launch(page.resolve().as_uri()) != 0:
        click.echo(f"no browser could be opened; the page is {page}", err=True)


def save_figure(figure: Figure, out: Path, name: str) -> str:
    """Write a figure as SVG and as PNG, close it, and say where it is.

    Args:
        figure: The figure.
        out: Its folder.
        name: Name of its files.

    Raises:
        StorageError: If it cannot be written.
    """
    import matplotlib.pyplot as plt

    try:
        for kind in ("svg", "png"):
            with replacing(out / f"{name}.{kind}") as part:
                figure.savefig(part, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)
    except OSError as error:
        raise StorageError(f"cannot write to {out}: {error.strerror}; choose another --out") from error
    finally:
        plt.close(figure)
    return f"The figure is {out / f'{name}.svg'}, and {out / f'{name}.png'}"
