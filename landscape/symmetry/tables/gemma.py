"""Gemma: like Llama, with embeddings scaled by a constant, which every rotation passes, and norms of gain ``1 + w``."""

from __future__ import annotations

from landscape.foreign import Pretrained
from landscape.symmetry.group.table import SymmetryGroup, Table
from landscape.symmetry.tables.llama import pre_normed

ROTATES_UNTIED = True
"""Whether the stream can be rotated only if the head is not tied to the embedding."""


def table(model: Pretrained, symmetry_group: SymmetryGroup) -> Table:
    """The symmetries of a model."""
    return pre_normed("gemma", model, symmetry_group, offset=1.0)
