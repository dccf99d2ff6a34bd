"""Moves: what takes a checkpoint into the coordinates of another without changing its function."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from landscape.errors import InputError, StorageError
from landscape.files import replacing
from landscape.shapes import Float
from landscape.space import Space
from landscape.symmetry.group.canonical import folded, ones
from landscape.symmetry.group.element import Change, Element, apply
from landscape.symmetry.group.table import Params, Table

VERSION = "1"


@dataclass(frozen=True)
class Move:
    """An element of the symmetry group, and the gains that norms get.

    Attributes:
        element: Applied to the point after its own gains are folded into the weights that read them.
        gains: Gains of the folded norms, from the checkpoint whose coordinates are taken.
    """

    element: Element
    gains: Mapping[str, Float[Tensor, " width"]]


STAY = Move({}, {})


def moved_params(table: Table, params: Params, move: Move) -> Params:
    """Moved named parameters.

    Args:
        table: The architecture.
        params: Named parameters.
        move: The move.
    """
    if not move.gains:
        return apply(table, params, move.element)
    plain = folded(table, params, ones(table, move.gains))
    return folded(table, apply(table, plain, move.element), move.gains)


def moved(table: Table, space: Space, point: Float[Tensor, " P"], move: Move) -> Float[Tensor, " P"]:
    """A moved point, computed in float64 and rounded to its own dtype.

    Args:
        table: The architecture.
        space: Its coordinates.
        point: A point.
        move: The move.
    """
    if not move.element and not move.gains:
        return point
    fine = {name: value.double() for name, value in space.params(point).items()}
    return space.vector(moved_params(table, fine, move)).to(point.dtype)


def save(path: Path, moves: Mapping[str, Move]) -> None:
    """Write moves, by any names, atomically.

    Raises:
        StorageError: If they cannot be written.
    """
    tensors: dict[str, Tensor] = {}
    for n, move in enumerate(moves.values()):
        for name, change in move.element.items():
            tensors |= {f"{n}|order|{name}": change.order, f"{n}|queries|{name}": change.queries}
            tensors |= {f"{n}|maps|{name}|{part}": maps for part, maps in change.maps.items()}
        tensors |= {f"{n}|gain|{name}": gain for name, gain in move.gains.items()}
    try:
        metadata = {"landscape_moves": VERSION, "names": json.dumps(list(moves))}
        whole = {name: tensor.cpu().contiguous().clone() for name, tensor in tensors.items()}
        with replacing(path) as part:
            save_file(whole, part.name, metadata=metadata)
    except (OSError, SafetensorError) as error:
        raise StorageError(f"cannot write {path}: {error}; make room or choose another --out") from error


def load(path: Path) -> dict[str, Move]:
    """Read moves.

    Raises:
        InputError: If the file is missing, or holds none.
    """
    try:
        with safe_open(path, "pt") as file:
            names = json.loads((file.metadata() or {})["names"])
            tensors = {tuple(name.split("|")): file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise InputError(f"{path} holds no moves of landscape ({error}); align the checkpoints again") from error
    return {name: _read({key[1:]: tensor for key, tensor in tensors.items() if key[0] == str(n)})
            for n, name in enumerate(names)}  # fmt: skip


def _read(own: Mapping[tuple[str, ...], Tensor]) -> Move:
    element: dict[str, Change] = {}
    for key, tensor in own.items():
        if key[0] == "order":
            maps = {k[2]: turned for k, turned in own.items() if k[0] == "maps" and k[1] == key[1]}
            element[key[1]] = Change(tensor, own["queries", key[1]], maps)
    return Move(element, {key[1]: tensor for key, tensor in own.items() if key[0] == "gain"})
