from typing import Literal

import cases
import numpy as np
import oracles
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close
from transformers import GPTNeoXConfig, LlamaConfig

from landscape.objectives import Batch, Objective, causal_lm, classification, masked_lm, module
from landscape.points import combine as combining
from landscape.points import gradients, recorded
from landscape.points.combine import combine, combine_rows, combine_together
from landscape.points.evaluate import dtype_error, losses
from landscape.points.gradients import value_and_grad, values_and_grads
from landscape.points.strategy import Strategy

SMALL = {"vocab_size": cases.WORDS, "hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3}
IDS = torch.randint(5, cases.WORDS, (7, 12), generator=cases.generator(8))
ROWS = torch.rand(5, 3, generator=cases.generator(1), dtype=torch.float64) - 0.2
STRATEGIES = [
    Strategy("loop", 1, 1),
    Strategy("loop", 1, 3),
    Strategy("vmap", 2, 7),
    Strategy("vmap", 3, 2),
    Strategy("vmap", 50, 50),
]


def causal(model: object) -> Objective:
    return causal_lm.build(model, {"input_ids": IDS})  # type: ignore[arg-type]


def masked() -> Objective:
    return masked_lm.build(
        cases.bert(), masked_lm.encode(cases.TEXT, cases.tokenizer(), sequences=7, length=14, mask=0.3, seed=4)
    )


def classified() -> Objective:
    text = "\n".join(f'{{"text": "w{n} w{n * n % 50}", "label": {n % 3}}}' for n in range(7))
    return classification.build(
        cases.classifier(), classification.encode(text, cases.tokenizer(), sequences=7, length=6)
    )


OBJECTIVES = {
    "gpt2": lambda: causal(cases.gpt2()),
    "llama": lambda: causal(cases.auto(LlamaConfig(**SMALL, intermediate_size=20))),
    "gpt-neox": lambda: causal(cases.auto(GPTNeoXConfig(**SMALL, intermediate_size=20))),
    "bert masked": masked,
    "bert classifier": classified,
}


def anchors(objective: Objective, dtype: torch.dtype = torch.float32) -> Tensor:
    return 0.4 * torch.randn(3, objective.space.size, generator=cases.generator(5), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize(
    ("name", "dtype", "tolerance"),
    [*((name, torch.float64, 1e-10) for name in OBJECTIVES), ("gpt2", torch.float32, 1e-5),
     *(pytest.param(name, torch.float32, 1e-5, marks=pytest.mark.slow) for name in list(OBJECTIVES)[1:])],
)  # fmt: skip
def test_every_strategy_gives_the_losses_of_the_model_itself(name: str, dtype: torch.dtype, tolerance: float) -> None:
    objective = OBJECTIVES[name]()
    objective.model.to(dtype)
    points = anchors(objective, dtype)
    rows, strategies = (ROWS, STRATEGIES) if name == "gpt2" else (ROWS[:3], STRATEGIES[1:4:2])
    expected = []
    for row in rows:
        made = objective.space.params(torch.einsum("a,ap->p", row.to(dtype), points))
        with torch.no_grad():
            for parameter_name, parameter in objective.model.named_parameters():
                parameter.copy_(made[parameter_name])
            expected.append(
                torch.cat([objective.measure(objective.model, objective.part(n, n + 1))["loss"] for n in range(7)])
            )
    truth = torch.stack(expected)
    assert truth.std() > 0.01
    for strategy in strategies:
        assert_close(losses(objective, points, rows, strategy=strategy), truth, rtol=0, atol=tolerance)
    assert_close(losses(objective, list(points), rows), truth, rtol=0, atol=tolerance)


def test_a_line_is_the_usual_loop() -> None:
    a, b = cases.gpt2(1), cases.gpt2(2)
    objective = causal(cases.gpt2(3))
    ends = torch.stack([objective.space.vector(dict(m.named_parameters())).detach() for m in (a, b)])
    t = torch.tensor([0, 0.13, 0.5, 0.71, 1], dtype=torch.float64)
    found = losses(objective, ends, torch.stack([1 - t, t], dim=1), strategy=Strategy(examples=3))
    np.testing.assert_allclose(found.numpy(), oracles.usual_loop(a, b, IDS, t.tolist()), rtol=0, atol=1e-5)


def test_the_callers_model_is_left_alone() -> None:
    objective = causal(cases.gpt2(3))
    before = {name: p.clone() for name, p in objective.model.named_parameters()}
    for strategy in STRATEGIES:
        losses(objective, anchors(objective), ROWS, strategy=strategy)
    assert all(torch.equal(p, before[name]) for name, p in objective.model.named_parameters())


def test_strategy_decides_the_number_of_passes() -> None:
    calls: list[tuple[int, ...]] = []

    def loss(out: Tensor, batch: Batch) -> Tensor:
        calls.append(tuple(out.shape))
        return out

    bowl = module.build(cases.Bowl(torch.ones(2)), {"inputs": torch.arange(7.0)}, loss)
    points = torch.randn(3, 2, generator=cases.generator(1))
    losses(bowl, points, ROWS, strategy=Strategy("loop", 1, 3))
    assert calls == 5 * [(3,), (3,), (1,)]
    calls.clear()
    losses(bowl, points, ROWS, strategy=Strategy("vmap", 2, 4))
    assert calls == 3 * [(4,), (3,)]


def test_out_of_memory_halves_and_goes_on() -> None:
    held: list[int] = []

    class Small(cases.Bowl):
        def forward(self, x: Tensor) -> Tensor:
            batched = torch._C._functorch.is_batchedtensor(self.w)
            points = torch._C._functorch.get_unwrapped(self.w).shape[0] if batched else 1
            held.append(points * len(x))
            if held[-1] > 6:
                raise torch.OutOfMemoryError("pretend")
            return super().forward(x)

    data = {"inputs": torch.arange(1.0, 8.0)}
    small = module.build(Small(torch.tensor([1.0, 3.0])), data, lambda out, _: out)
    roomy = module.build(cases.Bowl(torch.tensor([1.0, 3.0])), data, lambda out, _: out)
    points = torch.randn(3, 2, generator=cases.generator(1))
    expected = losses(roomy, points, ROWS, strategy=Strategy("loop", 1, 7))
    assert_close(losses(small, points, ROWS, strategy=Strategy("vmap", 4, 7)), expected)
    assert held[:4] == [28, 14, 7, 3]
    assert_close(losses(small, points, ROWS, strategy=Strategy("vmap", 4, 2)), expected)
    assert max(n for n in held if n <= 6) == 4

    class None_(Small):
        def forward(self, x: Tensor) -> Tensor:
            raise torch.OutOfMemoryError("nothing fits")

    with pytest.raises(torch.OutOfMemoryError, match="nothing fits"):
        losses(module.build(None_(torch.ones(2)), data, lambda out, _: out), points, ROWS, strategy=Strategy())


def test_bfloat16_reports_the_error_that_it_makes() -> None:
    objective = causal(cases.gpt2())
    points = anchors(objective)
    exact = losses(objective, points, ROWS, strategy=Strategy())
    lower = losses(objective, points, ROWS, strategy=Strategy(), dtype="bfloat16")
    assert lower.dtype == torch.float32
    some = torch.linspace(0, objective.examples - 1, 4).round().long()
    apart = (lower - exact)[[0, 1, 3, 4]][:, some].mean(dim=1).abs()
    error = dtype_error(objective, points, ROWS, lower, Strategy())
    assert 1e-5 < error == pytest.approx(float(apart.max()), abs=1e-6)
    for offsets in ([0.01, 0, 0, 0.02, -0.05], [0.05, 0, 0, -0.02, 0]):
        planted = exact + torch.tensor(offsets)[:, None]
        assert dtype_error(objective, points, ROWS, planted, Strategy()) == pytest.approx(0.05, abs=1e-5)
    for strategy in STRATEGIES[1:4]:
        again = losses(objective, points, ROWS, strategy=strategy, dtype="bfloat16")
        assert_close(again, lower, rtol=0, atol=0.1)


def test_tf32_is_set_for_the_pass_alone() -> None:
    seen: list[tuple[bool, bool]] = []

    class Seeing(cases.Bowl):
        def forward(self, x: Tensor) -> Tensor:
            seen.append((torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32))
            return super().forward(x)

    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    bowl = module.build(Seeing(torch.ones(1)), {"inputs": torch.ones(2)}, lambda out, _: out)
    for dtype in ("float32", "tf32"):
        losses(bowl, torch.ones(1, 1), torch.ones(1, 1), strategy=Strategy(), dtype=dtype)  # type: ignore[arg-type]
    assert seen == [(False, False), (True, True)]
    assert before == (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32)


def test_points_are_combined_in_float32_before_they_are_rounded() -> None:
    """Two ends that bfloat16 cannot tell from their neighbours still give the point between them."""
    bowl = module.build(cases.Bowl(torch.ones(1)), {"inputs": torch.ones(2)}, lambda out, _: out)
    ends = torch.tensor([[1.0 + 2**-9], [1.0 + 2.2 * 2**-9]])
    found = losses(bowl, ends, torch.tensor([[0.25, 0.75]]), strategy=Strategy(), dtype="bfloat16")
    assert found[0, 0] == 1


def test_an_end_is_its_anchor_to_the_bit_and_weight_zero_is_not_read() -> None:
    points = torch.randn(3, 1000, generator=cases.generator(1))
    out = torch.empty(1000)
    combine([0.0, 1.0, 0.0], points, out)
    assert torch.equal(out, points[1])
    points[2] = float("nan")
    combine([0.25, 0.75, 0.0], points, out)
    assert_close(out, 0.25 * points[0] + 0.75 * points[1], rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", [torch.float64, torch.float32, torch.bfloat16])
def test_points_together_are_those_one_by_one(kind: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """In pieces, of which the last is shorter; rounded once to the dtype of the points."""
    own = torch.float32 if kind == torch.bfloat16 else kind
    anchors = torch.randn(3, 1001, generator=cases.generator(1), dtype=own)
    rows = torch.randn(5, 3, generator=cases.generator(2), dtype=torch.float64)
    apart, together = torch.empty(5, 1001, dtype=kind), torch.empty(6, 1001, dtype=kind)[:5]
    monkeypatch.setattr(combining, "AT_ONCE", 5 * 300)
    combine_together(rows, list(anchors), together)
    for row, out in zip(rows, apart, strict=True):
        combine(row.tolist(), anchors, out)
    assert_close(together, apart, rtol=4 * torch.finfo(kind).eps, atol=8 * torch.finfo(own).eps)


def test_only_points_between_the_same_anchors_are_combined_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ends and points of few stay to the bit; a checkpoint that diverged spoils only its own points."""
    anchors = torch.randn(4, 50, generator=cases.generator(1))
    anchors[3] = float("nan")
    rows = torch.zeros(9, 4, dtype=torch.float64)
    rows[range(9), [0, 1, 0, 0, 0, 0, 2, 2, 3]] = torch.tensor([1, 1, 0.9, 0.6, 0.5, 0.2, 0.3, 0.8, 1]).double()
    rows[range(2, 8), [1, 1, 1, 1, 3, 3]] = torch.tensor([0.1, 0.4, 0.5, 0.8, 0.7, 0.2]).double()
    found, wanted, together = torch.empty(9, 50), torch.empty(9, 50), list[int]()

    def counted(rows: Tensor, some: list[Tensor], out: Tensor) -> None:
        together.append(len(rows))
        combine_together(rows, some, out)

    monkeypatch.setattr(combining, "APART", ())
    monkeypatch.setattr(combining, "combine_together", counted)
    combine_rows(rows, anchors, found, [50])
    for row, out in zip(rows, wanted, strict=True):
        combine(row.tolist(), anchors, out)
    assert together == [4]
    assert torch.equal(found[:2], anchors[:2]) and found[6:].isnan().all()
    assert_close(found[:6], wanted[:6])
    monkeypatch.undo()
    combine_rows(rows, anchors, found, [50])
    assert torch.equal(torch.nan_to_num(found), torch.nan_to_num(wanted)), "to the bit on a processor"


@pytest.mark.parametrize("at_once", [1, 3, 100])
def test_gradient_is_that_of_finite_differences_and_of_the_plain_model(at_once: int) -> None:
    """On a GPT-2 with its tied embedding, in float64; in pieces or at once."""
    model = cases.gpt2(3).double()
    objective = causal_lm.build(model, causal_lm.encode(cases.TEXT, cases.tokenizer(), sequences=7, length=9))
    chosen = torch.tensor([5, 0, 6, 2])
    point = objective.space.vector(dict(model.named_parameters())).detach()
    loss, gradient = gradients.value_and_grad(objective, point, chosen, at_once=at_once)
    model.requires_grad_()
    ids = objective.batch["input_ids"][chosen]
    logits = model(input_ids=ids).logits[:, :-1]
    usual = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
    usual.backward()
    expected = objective.space.vector({name: p.grad for name, p in model.named_parameters()})
    model.requires_grad_(False)
    assert loss == pytest.approx(usual.item(), abs=1e-12)
    torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-12)
    way = torch.randn(len(point), generator=cases.generator(5), dtype=torch.float64)
    there, back = (gradients.value_and_grad(objective, point + sign * 1e-6 * way, chosen)[0] for sign in (1, -1))
    assert float(gradient @ way) == pytest.approx((there - back) / 2e-6, rel=1e-6)


def test_a_row_for_each_tensor_moves_each_by_itself() -> None:
    objective = causal_lm.build(cases.gpt2(), causal_lm.encode(cases.TEXT, cases.tokenizer(), sequences=5, length=9))
    a, b = anchors(objective, torch.float32)[:2]
    rows = torch.rand(2, len(objective.space.names), 2, generator=cases.generator(8), dtype=torch.float64)
    made = []
    for row in rows:
        parts = zip(row.float(), a.split(objective.space.sizes), b.split(objective.space.sizes), strict=True)
        made.append(torch.cat([w[0] * x + w[1] * y for w, x, y in parts]))
    truth = losses(objective, torch.stack(made), torch.eye(2))
    for strategy in (Strategy(examples=3), Strategy("vmap", 2, 5)):
        assert_close(losses(objective, torch.stack([a, b]), rows, strategy=strategy), truth, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["loop", "vmap"])
@pytest.mark.parametrize("own", [True, False])
def test_gradients_at_several_points_are_those_of_each(kind: Literal["loop", "vmap"], own: bool) -> None:
    objective = causal_lm.build(cases.gpt2(), causal_lm.encode(cases.TEXT, cases.tokenizer(), sequences=9, length=9))
    points = anchors(objective, torch.float32)[:3]
    batches = torch.tensor([[0, 3, 8, 5], [7, 1, 2, 6], [4, 0, 6, 7]])
    examples = batches if own else batches[0]
    losses_there, gradients = values_and_grads(objective, points, examples, kind=kind, at_once=3)
    for k in range(3):
        loss, gradient = value_and_grad(objective, points[k], batches[k] if own else batches[0])
        assert float(losses_there[k]) == pytest.approx(loss, abs=1e-6)
        assert_close(gradients[k], gradient, rtol=0, atol=1e-5)


def test_a_recording_of_a_model_that_changes_is_refused() -> None:
    class Counting(cases.Bowl):
        calls = 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            return self.calls * super().forward(x)

    data = {"inputs": torch.arange(1.0, 8.0)}
    points, batch = torch.randn(3, 2, generator=cases.generator(1)), torch.tensor([[1, 4], [0, 6], [2, 5]])
    for model, whole in ((Counting, False), (cases.Bowl, True)):
        objective = module.build(model(torch.tensor([1.0, 3.0])), data, lambda out, _: out)
        if whole:
            recorded.record(objective, points, batch)
            continue
        with pytest.raises(RuntimeError, match="cannot be recorded"):
            recorded.record(objective, points, batch)
