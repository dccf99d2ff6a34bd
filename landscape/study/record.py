"""What a results folder says of its study."""

from __future__ import annotations

from typing import TypedDict

from pydantic import JsonValue

from landscape.study.tasks import Recorded


class Record(TypedDict):
    """What a results folder says of its study.

    Attributes:
        name: Of the study.
        study: Its settings.
        preregistered: The settings of its stages at the first run.
        tasks: Its tasks.
        checkpoints: Its checkpoints.
        warnings: What should be known before the numbers are trusted.
        parameters: Coordinates of a point.
        signatures: By path, what checkpoints on this disk were when they were identified, and their content.
        versions: Of the libraries that it was run with; and the SHA-256 of files of the user's own.
    """

    name: str
    study: dict[str, JsonValue]
    preregistered: dict[str, JsonValue]
    tasks: list[Recorded]
    checkpoints: list[dict[str, JsonValue]]
    warnings: list[str]
    parameters: int
    signatures: dict[str, list[str]]
    versions: dict[str, str]
