import cases
import pytest
import torch
from torch import nn

from landscape.anchor import distance
from landscape.space import Space, storage_floor, untie


def test_tied_weight_is_one_parameter_and_buffers_are_none() -> None:
    model = cases.gpt2()
    space = Space.of(model)
    assert space.tied == (("lm_head.weight", "transformer.wte.weight"),)
    assert space.size == sum(p.numel() for p in model.parameters())
    batch_norm = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    assert Space.of(batch_norm).names == ("0.weight", "0.bias", "1.weight", "1.bias")


def test_params_and_vector_are_inverse_with_any_leading_dimensions() -> None:
    space = Space(("a", "scalar", "b"), ((2, 3), (), (4,)))
    vector = torch.randn(5, 7, 11, generator=cases.generator(1), dtype=torch.float64)
    params = space.params(vector)
    assert {name: tuple(p.shape) for name, p in params.items()} == {"a": (5, 7, 2, 3), "scalar": (5, 7), "b": (5, 7, 4)}
    assert torch.equal(space.vector(params), vector)
    assert torch.equal(params["b"][3, 2], vector[3, 2, 7:])


def test_params_are_views_made_by_one_split() -> None:
    space = Space(("a", "b"), ((2, 3), (4,)))
    vector = torch.zeros(10, requires_grad=True)
    loss = sum((n + 1) * p.sum() for n, p in enumerate(space.params(vector).values()))
    (gradient,) = torch.autograd.grad(loss, vector)
    assert gradient.tolist() == [1.0] * 6 + [2.0] * 4
    assert space.params(vector)["b"].grad_fn.next_functions[0][0].name() == "SplitWithSizesBackward0"
    plain = torch.zeros(10)
    space.params(plain)["b"][1] = 3.0
    assert plain[7] == 3.0


def test_a_point_untied_computes_the_same() -> None:
    tied, untied = cases.gpt2(2).double(), cases.gpt2(3, tie_word_embeddings=False).double()
    one, two = Space.of(tied), Space.of(untied)
    point = untie(one.vector(dict(tied.named_parameters())).detach(), one, two)
    ids = torch.randint(cases.WORDS, (2, 9), generator=cases.generator(1))
    with torch.no_grad():
        for name, value in two.params(point).items():
            untied.get_parameter(name).copy_(value)
        torch.testing.assert_close(untied(ids).logits, tied(ids).logits, rtol=0, atol=1e-12)


def test_distance_is_accumulated_in_float64() -> None:
    a = torch.zeros(3_000_000)
    b = torch.full((3_000_000,), 0.1)
    assert distance(a, b) == pytest.approx(float(b[0]) * 3_000_000**0.5, rel=1e-10)


@pytest.mark.parametrize(("dtype", "name"), [(torch.float16, "float16"), (torch.bfloat16, "bfloat16")])
def test_rounding_on_disk_lies_under_the_floor_and_not_far(dtype: torch.dtype, name: str) -> None:
    """Weights of GPT-NeoX's initial scale, rounded twice from points a hair apart: what is seen is rounding."""
    a = 0.02 * torch.randn(1_000_000, generator=cases.generator(3))
    b = a + 1e-8 * torch.randn(1_000_000, generator=cases.generator(4))
    moved = distance(a.to(dtype).float(), a) / distance(a, torch.zeros_like(a))
    assert storage_floor(name) / 4 < moved < storage_floor(name)
    seen = distance(a.to(dtype).float(), b.to(dtype).float()) / distance(a, torch.zeros_like(a))
    assert 10 * distance(a, b) / distance(a, torch.zeros_like(a)) < seen < storage_floor(name)
    assert storage_floor("float32") == 0
