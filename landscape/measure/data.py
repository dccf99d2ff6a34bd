"""The fixed batches of a study."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from landscape.checkpoints import formats, models
from landscape.demo import HELD_OUT_TEXT
from landscape.errors import InputError
from landscape.objectives import KINDS, Objective
from landscape.study import Data
from landscape.task import Checkpoint


def build(data: Data, checkpoint: Checkpoint) -> Objective:
    """The objective of a study, on a model of the checkpoint's architecture.

    Raises:
        InputError: If text, tokenizer and model do not go together.
    """
    kind = KINDS[data.objective]
    model = models.skeleton(Path(checkpoint.ref), kind.AUTO)
    tokenizer = models.tokenizer(Path(data.tokenizer or checkpoint.ref))
    batch = kind.encode(
        read_text(data), tokenizer, sequences=data.sequences, length=data.length,
        **({"mask": data.mask, "seed": data.seed} if data.objective == "masked-lm" else {}),
    )  # fmt: skip
    longest = getattr(getattr(model, "config", None), "max_position_embeddings", None)
    if longest is not None and data.length > longest:
        raise InputError(f"length is {data.length} and the model takes at most {longest} tokens; lower length")
    objective: Objective = kind.build(model, batch)
    return objective


def read_text(data: Data) -> str:
    """The text that is evaluated on.

    Raises:
        InputError: If it cannot be read.
    """
    path = Path(data.text) if data.text else HELD_OUT_TEXT
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise InputError(f"cannot read the text {path}: {error.strerror}; check the path") from error
    except UnicodeDecodeError as error:
        raise InputError(f"the text {path} is not UTF-8 ({error}); give a file of UTF-8 text") from error


def fingerprint(data: Data, checkpoint: Checkpoint) -> str:
    """Hash of all that decides the batches: text, tokenizer and settings."""
    digest = hashlib.sha256(read_text(data).encode())
    digest.update(json.dumps(data.model_dump(exclude={"text", "tokenizer"}), sort_keys=True).encode())
    folder = Path(data.tokenizer or checkpoint.ref)
    for file in (folder / name for name in models.TOKENIZER_FILES):
        if file.is_file():
            digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()


def require_one_architecture(checkpoints: list[Checkpoint], objective: Objective) -> None:
    """Refuse checkpoints that are not points of one space, before anything is run.

    Raises:
        InputError: Naming the first parameter or setting that differs.
    """
    model = objective.model
    ignored = {alias for alias, _ in objective.space.tied} | {name for name, _ in model.named_buffers()}
    spaces = {c.ref: models.stored_space(Path(c.ref), ignored) for c in checkpoints}
    first = checkpoints[0].ref
    settings = formats.architecture(Path(first))
    for ref, space in spaces.items():
        spaces[first].require_same(space, first, ref)
        other = formats.architecture(Path(ref))
        for name in sorted(settings.keys() | other.keys()):
            if (mine := settings.get(name)) != (theirs := other.get(name)):
                raise InputError(
                    f"two architectures: {name} is {mine!r} in {first} and {theirs!r} in {ref}; "
                    "give checkpoints of one architecture"
                )
