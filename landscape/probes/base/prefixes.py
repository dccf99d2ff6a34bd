"""Prefixes that token sequences share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class PrefixTree:
    """All prefixes of some sequences, a node for each.

    Attributes:
        nodes: For each sequence, the nodes of its prefixes, the shortest first.
        parent: For each node, the node of the prefix without the last token; -1 for none.
        token: For each node, the last token.
    """

    def __init__(self, sequences: Sequence[Sequence[int]]) -> None:
        known: dict[tuple[int, int], int] = {}
        self.nodes = []
        for sequence in sequences:
            path, node = [], -1
            for token in sequence:
                node = known.setdefault((node, token), len(known))
                path.append(node)
            self.nodes.append(np.array(path))
        self.parent, self.token = np.array(list(known), dtype=np.int64).T

    def longest(self) -> list[int]:
        """Sequences that together contain all prefixes, with the last token of each left out."""
        seen = np.zeros(len(self.token), dtype=bool)
        out = []
        for k in sorted(range(len(self.nodes)), key=lambda k: -len(self.nodes[k])):
            if len(self.nodes[k]) > 1 and not seen[self.nodes[k][-2]]:
                out.append(k)
                seen[self.nodes[k][:-1]] = True
        return out
