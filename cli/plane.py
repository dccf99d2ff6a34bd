"""``landscape plane``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pandas as pd

from landscape.cli import options
from landscape.cli.drawing import save_figure
from landscape.cli.options import SEED, Number, config_option, data, data_options
from landscape.cli.progress import console
from landscape.cli.run import FAILED, run_now
from landscape.errors import InputError
from landscape.study.file import Study
from landscape.study.kinds import Planes
from landscape.study.sections import Checkpoints
from landscape.study.store import Store

if TYPE_CHECKING:
    from landscape.measure.prepare import Prepared
    from landscape.paths.saved import Saved
    from landscape.study.tasks import Checkpoint

ROUNDING = 1e-5
"""Share of the norm of a point by which what is stored of it may differ."""


@click.command()
@click.argument("refs", nargs=-1, required=True, metavar="REF...")
@data_options
@click.option("--kind", type=click.Choice(["through", "random", "trajectory"]),
              help="Through three checkpoints, random around one, or the two principal components of many. "
              "[default: by their number]")  # fmt: skip
@click.option("--resolution", default=21, show_default=True, type=click.IntRange(3, 501), help="Places a side.")
@click.option("--margin", default=0.3, show_default=True, type=Number(0, 10), help="Room around checkpoints.")
@click.option("--span", default=1.0, show_default=True, type=Number(0, min_open=True),
              help="Random: half of the width, 1 being the length of the checkpoint's filters.")  # fmt: skip
@click.option("--seed", default=0, show_default=True, type=SEED, help="Random: of the directions.")
@click.option("--curve", type=click.Path(path_type=Path, dir_okay=False, exists=True),
              help="Draw this path too: a file that landscape curve wrote.")  # fmt: skip
@config_option
@click.option("--dtype", default="float32", show_default=True, type=click.Choice(["float32", "tf32", "bfloat16"]))
@click.option("--out", default="plane", show_default=True, type=click.Path(path_type=Path, file_okay=False))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line on stdout: plane and place rows.")
@click.pass_context
def command(ctx: click.Context, /, **given: Any) -> None:
    """The loss on a plane, drawn in true scale to OUT/plane.svg and OUT/plane.png.

    One REF gives a random plane around it, three the plane through them, more the plane of their two principal
    components. Run again, it goes on where it was stopped.
    """
    found = options.found(given["refs"], given["config"])
    from landscape.paths import saved

    study = _study(given, found)
    drawn = saved.load(given["curve"]) if given["curve"] else None
    store = Store(given["out"] / "results")
    prepared, failed = run_now(study, found, given["device"], store)
    if failed:
        ctx.exit(FAILED)
    keys = [task.key for task in prepared.tasks]
    rows, places = store.rows("plane", keys), store.rows("place", keys)
    path = _path(drawn, prepared) if drawn else None
    _draw(rows, places, path, given["out"])
    if given["as_json"]:
        for table, frame in (("plane", rows), ("place", places)):
            for row in json.loads(frame.to_json(orient="records", double_precision=15)):
                click.echo(json.dumps({"table": table, **row}))


def _study(given: dict[str, Any], found: list[Checkpoint]) -> Study:
    """The study of one plane.

    Raises:
        InputError: If the number of checkpoints does not fit the kind.
    """
    from landscape.checkpoints import fetch
    from landscape.checkpoints.models import default_objective

    count = len(found)
    kind = given["kind"] or {1: "random", 3: "through"}.get(count, "trajectory")
    wants = {"random": count == 1, "through": count == 3, "trajectory": count >= 3}
    if not wants[kind]:
        raise InputError(
            f"{count} checkpoints are given for a {kind} plane; give one for a random plane, three for one through "
            "them, three or more for a trajectory"
        )
    settings = {name: given[name] for name in ("resolution", "margin", "span", "seed", "dtype")}
    return Study(
        version=1,
        name="plane",
        checkpoints=Checkpoints(folder=given["refs"][0]),
        data=data(given, given["objective"] or default_objective(fetch.described(found[0]))),
        measure=(Planes.model_validate({"kind": "planes", "plane": kind, "among": "all", **settings}),),
    )  # fmt: skip


def _path(path: Saved, prepared: Prepared) -> pd.DataFrame:
    """Places along a saved path.

    Raises:
        InputError: If it is of another model.
    """
    import torch

    from landscape.measure.planes import span

    task = prepared.tasks[0]
    checkpoints = prepared.session.anchors(task)
    if path.anchors.shape[1] != len(checkpoints[0]):
        raise InputError(
            f"the path of --curve has {path.anchors.shape[1]:,} parameters and the checkpoints have "
            f"{len(checkpoints[0]):,}; give a path of the same model"
        )
    for end in path.anchors[[0, -1]]:
        if min(float((end - point.cpu()).norm()) for point in checkpoints) > ROUNDING * float(end.norm()):
            console.print(
                "An end of the path is none of these checkpoints; between matched checkpoints it goes from the folder "
                "end_a beside it to end_b."
            )
            break
    chosen, anchors = span(checkpoints, dict(task.settings), prepared.session)
    t = torch.linspace(0, 1, 101, dtype=torch.float64)
    points = path.coefficients(t).float() @ path.anchors
    xy, off = chosen.project(list(points), anchors)
    if float(off.max()) > 0.01 * float((xy[-1] - xy[0]).norm()):
        console.print(f"The path leaves the plane by up to {float(off.max()):.3g}; its shadow is drawn.", markup=False)
    return pd.DataFrame(xy.numpy(), columns=["x", "y"]).assign(off_plane=off.numpy())


def _draw(rows: pd.DataFrame, places: pd.DataFrame, path: pd.DataFrame | None, out: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    from landscape.figures.captions import caption
    from landscape.figures.plane import about, loss_plane
    from landscape.figures.style import note, style

    with style():
        tall = (rows["y"].max() - rows["y"].min()) / (rows["x"].max() - rows["x"].min())
        figure, ax = plt.subplots(figsize=(8, min(9.0, 1.6 + 6 * tall)))
        loss_plane(rows, places, path, ax=ax)
        note(ax, f"{about(rows, places)}; {caption(rows)}")
        said = save_figure(figure, out, "plane")
    both = pd.concat([rows, places])
    lowest = both.loc[both["loss"] == both["loss"].min()].iloc[-1]
    where = lowest["checkpoint"] if pd.notna(lowest.get("checkpoint")) else "between the checkpoints"
    console.print(
        f"{about(rows, places)}\nlowest loss: {lowest['loss']:.3f} ± {lowest['error']:.3f} at "
        f"({lowest['x']:.2f}, {lowest['y']:.2f}), {where}\n{said}",
        markup=False,
    )
