"""Matching by the loss: slopes against autograd, and the promise never to be worse."""

from __future__ import annotations

import pytest
import torch
from architectures import build, digits, point, some

from landscape.symmetry import canonical, learned, weights
from landscape.symmetry.element import apply, draw
from landscape.symmetry.tables import table_of


@pytest.mark.slow
def test_what_is_learned_lowers_the_middle_and_is_never_worse_on_held_out_examples() -> None:
    one, two = digits(0), digits(1)
    table = table_of(one.model)
    a, b = (canonical.canonical(table, o.space.params(point(o)))[0] for o in (one, two))
    good = weights.match(table, a, b, some(1)).element
    found = learned.match(table, one, [a], b, good, learned.Recipe(steps=150, batch=64, rate=1.0), some(1))
    raw = learned.middle(one.take(torch.arange(300, 400)), one.space, [a], b)
    assert found.after < 0.8 * found.before < raw
    wild = learned.match(table, one, [a], b, good, learned.Recipe(steps=5, rate=50.0), some(1))
    assert wild.after <= wild.before == pytest.approx(found.before)
    naive = {n: (a[n] + apply(table, b, found.element)[n]) / 2 for n in a}
    with torch.no_grad():
        logits = torch.func.functional_call(one.model, naive, (one.batch["inputs"][300:],))
    loss = torch.nn.functional.cross_entropy(logits, one.batch["labels"][300:])
    assert found.after == pytest.approx(float(loss), abs=1e-5)
    third = weights.match(table, a, canonical.canonical(table, one.space.params(point(digits(2))))[0], some(1))
    both = [a, apply(table, canonical.canonical(table, one.space.params(point(digits(2))))[0], third.element)]
    halves = [learned.middle(one, one.space, [other], b) for other in both]
    assert learned.middle(one, one.space, both, b) == pytest.approx(sum(halves) / 2, abs=1e-6)


def test_the_slope_with_respect_to_an_order_is_that_of_autograd() -> None:
    """Gradients of the loss in weights become gradients in the change, also where a group moves both axes."""
    objective = build("bert")
    table = table_of(objective.model)
    b = objective.space.params(point(objective).double())
    down = {n: torch.randn(v.shape, generator=some(1), dtype=torch.float64) for n, v in b.items()}
    element = draw(table, some(2), stretch=False)
    found = learned._slope(table, down, b, element, "stream")
    p = torch.eye(12, dtype=torch.float64)[element["stream"].order].requires_grad_()
    rest = {n: c for n, c in element.items() if n != "stream"}
    moved = apply(table, b, rest)
    total = torch.zeros((), dtype=torch.float64)
    for piece in table.pieces:
        value = moved[piece.parameter]
        for dim, axis in enumerate(piece.axes):
            if axis and axis.group == "stream":
                value = torch.einsum("ij,j...->i...", p, value.movedim(dim, 0)).movedim(0, dim)
        total = total + (down[piece.parameter] * value).sum()
    total.backward()
    assert found.plain is not None
    torch.testing.assert_close(found.plain, p.grad)
