"""How long alignment takes: a pair of BERT-base, and several of them to one set of coordinates.

The two are random BERTs of the real size, the second a permuted and turned copy of the first with noise, as much as
makes the share of right units that a pair of seeds may have (``--noise``), or another random one (``--independent``),
where there is nothing to be found and assignments take longest.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable

import torch
from torch import Tensor
from transformers import BertConfig, BertForMaskedLM

from landscape.objectives import masked_lm
from landscape.space import Space
from landscape.symmetry import align
from landscape.symmetry.group import move
from landscape.symmetry.group.element import draw
from landscape.symmetry.group.move import Move
from landscape.symmetry.settings import AlignSettings
from landscape.symmetry.tables import table_of


def main() -> None:
    """Print seconds and distances."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--checkpoints", type=int, default=2)
    parser.add_argument("--noise", type=float, default=1.0, help="In standard deviations of the weights.")
    parser.add_argument("--independent", action="store_true")
    parser.add_argument("--alignment-symmetry-group", default="all", choices=["all", "permutations"])
    given = parser.parse_args()
    torch.manual_seed(0)
    model = BertForMaskedLM(BertConfig(num_hidden_layers=given.layers)).eval()
    batch = {
        "input_ids": torch.randint(1000, 30000, (4, 64)),
        "positions": torch.arange(8).repeat(4, 1),
        "targets": torch.randint(1000, 30000, (4, 8)),
    }
    objective = masked_lm.build(model, batch)
    table, space = table_of(model, given.symmetry_group), Space.of(model)
    first = space.vector(dict(model.named_parameters())).detach()
    first += 0.02 * torch.randn(len(first))

    def other(n: int) -> Callable[[], Tensor]:
        def load() -> Tensor:
            random = torch.Generator().manual_seed(n)
            noise = 0.02 * torch.randn(len(first), generator=random)
            if given.independent:
                return noise * 2**0.5 + first.round()  # its norms keep their gains
            planted = Move(draw(table, random, stretch=False), {})
            return move.moved(table, space, first, planted) + given.noise * noise

        return load

    loads = [lambda: first, *(other(n) for n in range(1, given.checkpoints))]
    if given.checkpoints == 2:  # planting is not part of alignment
        second = loads[1]()
        loads[1] = lambda: second
    begin = time.perf_counter()
    found = align.align(table, loads, "weights", AlignSettings(), objective)
    took = time.perf_counter() - begin
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    distances = ", ".join(f"{one.before:.1f} to {one.after:.1f}" for one in found[1:4])
    print(
        f"{given.checkpoints} BERTs of {space.size:,} parameters, {given.symmetry_group}: {took:.1f} s, "
        f"{memory:.1f} GiB; "
        f"distances {distances}; outputs differ by {max(one.difference for one in found):.1g}"
    )


if __name__ == "__main__":
    main()
