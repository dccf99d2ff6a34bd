"""A point on a path as a checkpoint."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field

from landscape import catalogue
from landscape.errors import InputError
from landscape.face.inputs import settings
from landscape.files import replacing_folder
from landscape.spec import Choice, Settings
from landscape.study.checkpoint import Checkpoint, of_one_kind

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

MARK = "point.json"
"""Beside the weights: which point it is; and a sign that the folder may be written again."""


class PointSettings(Settings):
    """Which point of which path.

    Attributes:
        t: Position on the path: 0 is A, 1 is B; straight lines may be continued beyond.
        path: linear, spherical or geodesic; or the file of a curve that landscape curve wrote.
        objective: Decides the class of the model; left out, that of the checkpoint.
        config: Folder of config.json, for weights that have none beside them.
    """

    t: float = Field(allow_inf_nan=False)
    path: str = "linear"
    objective: Annotated[str, AfterValidator(Choice(catalogue.OBJECTIVES))] | None = None
    config: str = ""


def point(a: str | Path, b: str | Path, *, out: str | Path, **options: object) -> Path:
    """Write a point on a path from ``a`` to ``b`` as a folder that ``from_pretrained`` loads.

    Config and tokenizer are those of ``a``, and learned buffers those of the nearer end.

    Args:
        a: A reference; as for :func:`landscape.barriers`.
        b: A reference.
        out: The folder.
        **options: Settings: ``t``, the position on the path; ``path``, a kind of path or the file of a learned curve;
            ``objective`` and ``config``.

    Returns:
        The folder.

    Raises:
        InputError: If a checkpoint or a setting is not as wanted.
    """
    plain = {name: str(value) if isinstance(value, Path) else value for name, value in options.items()}
    return write([str(a), str(b)], settings(PointSettings, plain), Path(out))


def write(refs: list[str], spec: PointSettings, out: Path) -> Path:
    """The same for typed settings.

    Args:
        refs: The two references.
        spec: Which point.
        out: The folder.

    Raises:
        InputError: If there are not two checkpoints of one architecture, or the folder is not free.
    """
    from landscape.checkpoints import fetch, sources

    found = of_one_kind([checkpoint for ref in refs for checkpoint in sources.find(ref, spec.config)])
    if len(refs) != 2 or len(found) != 2:
        raise InputError(f"{' and '.join(refs)} are {len(found)} checkpoints; a path joins two, one each")
    out = out.resolve()
    _require_free(out, found)
    checkpoints = [fetch.pinned(one) if one.place is not None else one for one in found]
    described, *_ = [fetch.described(one) for one in checkpoints]
    from landscape.checkpoints import saving  # which imports torch: what is refused is refused before
    from landscape.checkpoints.objective_of import default_objective
    from landscape.session.buffers import Buffers
    from landscape.session.data import require_one_config

    require_one_config(checkpoints)
    objective = spec.objective or default_objective(described)
    if spec.path in catalogue.PATHS:
        model, vector = _between(checkpoints, objective, spec)
    else:
        model, vector = _on_curve(checkpoints, objective, spec)
    Buffers.of(model).give(checkpoints[int(spec.t > 0.5)], model)
    mark = {"a": refs[0], "b": refs[1], "t": spec.t, "path": spec.path,
            "contents": [fetch.content(one) for one in checkpoints]}  # fmt: skip
    with saving.storing(out), replacing_folder(out) as part:
        (part / MARK).write_text(json.dumps(mark, indent=1) + "\n")
        saving.save(part, vector, model, described)
    return out


def _require_free(out: Path, checkpoints: list[Checkpoint]) -> None:
    """Refuse a folder that holds anything but what this call has left there.

    Raises:
        InputError: If it does.
    """
    inputs = [Path(one.ref).resolve() for one in checkpoints if one.place is None]
    if any(path == out or path.is_relative_to(out) for path in inputs):
        raise InputError(f"{out} holds a checkpoint of the path; give another folder")
    if out.exists() and not (out.is_dir() and (not any(out.iterdir()) or (out / MARK).is_file())):
        raise InputError(f"{out} is there and not of this command; give a new folder")


def _skeleton(checkpoint: Checkpoint, objective: str, *, untied: bool = False) -> nn.Module:
    """A model of the checkpoint's architecture."""
    from landscape.session.data import skeleton

    return skeleton(checkpoint, catalogue.OBJECTIVES.load(objective).AUTO, untied=untied)


def _between(checkpoints: list[Checkpoint], objective: str, spec: PointSettings) -> tuple[nn.Module, Tensor]:
    """A point that is given by the ends alone.

    Raises:
        InputError: If t is beyond the ends of an arc.
    """
    from landscape.checkpoints import fetch, models
    from landscape.paths import kind
    from landscape.space import Space

    if spec.path != "linear":
        _require_inside(spec)
    model = _skeleton(checkpoints[0], objective)
    space = Space.of(model)
    for one in checkpoints:
        models.require_fit(fetch.weights(one), model, space)
    anchors = [models.load(fetch.weights(one), model) for one in checkpoints]
    return model, _combined(
        lambda t: kind(spec.path).coefficients(t, anchors, space.sizes), spec.t, anchors, space.sizes
    )


def _on_curve(checkpoints: list[Checkpoint], objective: str, spec: PointSettings) -> tuple[nn.Module, Tensor]:
    """A point of a learned curve.

    Raises:
        InputError: If there is no such file, or it joins other checkpoints.
    """
    from landscape.checkpoints import fetch
    from landscape.paths import saved
    from landscape.space import Space

    if not Path(spec.path).is_file():
        kinds = ", ".join(catalogue.PATHS)
        raise InputError(f"{spec.path} is neither a kind of path ({kinds}) nor a file; give one of these, or a curve")
    _require_inside(spec)
    curve = saved.load(Path(spec.path))
    if curve.ends[:2] != tuple(fetch.content(one) for one in checkpoints):
        raise InputError(f"{spec.path} does not join these checkpoints; give those that it was learned for, in order")
    model = _skeleton(checkpoints[0], objective)
    if Space.of(model).size != curve.anchors.shape[1]:  # aligned, with a head of its own
        model = _skeleton(checkpoints[0], objective, untied=True)
    if Space.of(model).size != curve.anchors.shape[1]:
        raise InputError(f"{spec.path} is a curve of another model: it has {curve.anchors.shape[1]:,} coordinates")
    return model, _combined(curve.coefficients, spec.t, list(curve.anchors), ())


def _require_inside(spec: PointSettings) -> None:
    """Refuse a t beyond the ends.

    Raises:
        InputError: If it is.
    """
    if not 0 <= spec.t <= 1:
        raise InputError(f"t is {spec.t:g}, and only a straight line goes on beyond its ends; give a t from 0 to 1")


def _combined(
    coefficients: Callable[[torch.Tensor], Tensor], t: float, anchors: list[Tensor], sizes: tuple[int, ...]
) -> Tensor:
    """The point at t."""
    import torch

    from landscape.points.combine import combine_rows

    out = torch.empty_like(anchors[0])
    combine_rows(coefficients(torch.tensor([t], dtype=torch.float64)), anchors, out[None], sizes)
    return out
