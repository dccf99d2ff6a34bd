"""Text to fixed examples."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from landscape.errors import InputError
from landscape.files import MOST_TEXT, read
from landscape.shapes import Int


def read_file(path: Path, what: str = "text") -> str:
    """A file of UTF-8.

    Args:
        path: The file.
        what: What to call it.

    Raises:
        InputError: If it cannot be read.
    """
    try:
        return read(path, MOST_TEXT).decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
    except OSError as error:
        raise InputError(f"cannot read the {what} {path}: {error.strerror}; check the path") from error
    except UnicodeDecodeError as error:
        raise InputError(f"the {what} {path} is not UTF-8 ({error}); give a file of UTF-8 text") from error


def fault(error: Exception) -> str:
    """What is wrong with a line, without the name of an exception.

    >>> fault(KeyError("label"))
    'label is missing'
    """
    return f"{error.args[0]} is missing" if isinstance(error, KeyError) else f"{error}"


def blocks(ids: Int[Tensor, " tokens"], sequences: int, length: int) -> Int[Tensor, "sequences length"]:
    """``sequences`` disjoint stretches of ``length`` tokens, spread evenly over the text.

    Spread, because neighbouring stretches of a text are alike and would make error bars too small.

    Raises:
        InputError: If the text is too short.
    """
    there = len(ids) // length
    if there == 0:
        raise InputError(
            f"the text has {len(ids)} tokens and one sequence takes {length}; give a longer text or a smaller length"
        )
    if there < sequences:
        raise InputError(
            f"the text gives {there} sequences of {length} tokens and {sequences} are wanted; "
            "give a longer text or lower sequences or length"
        )
    return ids[: there * length].view(there, length)[spread(there, sequences)]


def spread(there: int, wanted: int) -> list[int]:
    """So many of the first ``there`` numbers, evenly spaced from the first to the last.

    >>> spread(9, 4)
    [0, 3, 5, 8]
    """
    return torch.linspace(0, there - 1, wanted, dtype=torch.float64).round().long().tolist()


def require_vocabulary(ids: Int[Tensor, "*shape"], size: int) -> None:
    """Refuse token ids that the model has no embedding for.

    Raises:
        InputError: If an id is not below ``size``.
    """
    if int(ids.max()) >= size:
        raise InputError(
            f"the text has the token id {int(ids.max())} and the model's vocabulary ends at {size - 1}; "
            "give the tokenizer that the model was trained with"
        )
