"""From a checkpoint to folders on this disk, wherever it lies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from landscape.checkpoints import formats
from landscape.checkpoints.formats import peft
from landscape.checkpoints.hub import client
from landscape.checkpoints.identity import CONFIG, config_folder, content_id, hash_of, sha256
from landscape.checkpoints.sources import place
from landscape.errors import InputError
from landscape.study.checkpoint import FACTORS, NO_CONFIG, Checkpoint


def pinned(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint with the commit that its name means now; a local one is unchanged.

    Raises:
        InputError: If the hub has no such revision, or cannot be reached and never was.
    """
    where = checkpoint.place
    return checkpoint if where is None or checkpoint.commit else replace(checkpoint, commit=client.resolve(where))


def described(checkpoint: Checkpoint) -> Path:
    """The folder with its config and tokenizer; fetched if need be.

    Raises:
        InputError: If there is no config, or it cannot be fetched.
    """
    where = checkpoint.place
    if where is None:
        return config_folder(Path(checkpoint.ref), checkpoint.config)
    folder = client.describe(where, pinned(checkpoint).commit)
    if not (folder / CONFIG).is_file():
        raise InputError(f"{where} holds no {CONFIG}, so its model is not known; name another revision or folder")
    return folder


def config_of(checkpoint: Checkpoint) -> Path | None:
    """The folder with its config; None if its model is not that of a config.

    Raises:
        InputError: If there is no config, or it cannot be fetched.
    """
    return None if checkpoint.config == NO_CONFIG else described(checkpoint)


def weights(checkpoint: Checkpoint) -> Path:
    """The folder or file with its weights, of factors the file with these; fetched if need be.

    Raises:
        InputError: If they cannot be fetched, or factors are wanted of a whole model.
    """
    where = checkpoint.place
    path = Path(checkpoint.ref) if where is None else client.fetch(where, pinned(checkpoint).commit)
    if checkpoint.adapter == "factors":
        if not formats.is_adapter(path):
            raise InputError(f'{path} is no adapter, and adapter = "factors" is for adapters; leave it out')
        return peft.claims(path)[0]
    return path


def adapter_of(checkpoint: Checkpoint) -> str | None:
    """How the adapter of a checkpoint is taken, merged or factors; None for a whole model."""
    if checkpoint.adapter == "factors" or checkpoint.place is not None or not checkpoint.ref:
        return checkpoint.adapter if checkpoint.adapter == "factors" else None
    return checkpoint.adapter if formats.is_adapter(Path(checkpoint.ref)) else None


def delete(checkpoint: Checkpoint) -> None:
    """Delete the weights of a checkpoint on the hub from the cache of the hub; its config and tokenizer stay.

    Args:
        checkpoint: The checkpoint; for one that was never on the hub nothing is done.
    """
    if checkpoint.place is not None and checkpoint.commit:
        client.delete(checkpoint.place, checkpoint.commit)


def is_here(checkpoint: Checkpoint) -> bool:
    """Whether the weights can be read without a network."""
    where = checkpoint.place
    return where is None or (bool(checkpoint.commit) and client.is_fetched(where, checkpoint.commit))


def content(checkpoint: Checkpoint) -> str:
    """The content id; for a checkpoint on the hub from the hub's own hashes, before any weight is fetched.

    Raises:
        InputError: If the files are missing, here or there.
    """
    where = checkpoint.place
    config = config_of(checkpoint)
    if where is None:
        return content_id(Path(checkpoint.ref), config) + (FACTORS if checkpoint.adapter == "factors" else "")
    files = client.weights(client.listing(where, pinned(checkpoint).commit))
    if not files:
        client.fetch(where, checkpoint.commit)  # says what is there instead
    return hash_of([
        *([(CONFIG, sha256(config / CONFIG))] if config else []),
        *((name, f.sha256 or f.blob) for name, f in sorted(files.items())),
    ])


def size(checkpoint: Checkpoint) -> int:
    """Bytes of its weights on the hub, from the hub's listing.

    Raises:
        InputError: If the hub cannot be asked.
    """
    where = checkpoint.place
    assert where is not None
    return sum(file.size for file in client.weights(client.listing(where, pinned(checkpoint).commit)).values())


def tokenizer_folder(ref: str) -> Path:
    """The folder of a tokenizer that is named by a path or by a place on the hub.

    Raises:
        InputError: If it cannot be fetched.
    """
    where = place(ref)
    return Path(ref) if where is None else client.describe(where, client.resolve(where))
