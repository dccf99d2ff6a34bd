from pathlib import Path

import cases
import pytest
import torch
from torch.testing import assert_close

from landscape.checkpoints import models
from landscape.objectives import causal_lm


@pytest.mark.parametrize("activation", ["gelu_new", "gelu_fast", "relu"])
def test_the_fused_activation_is_the_same_function(tmp_path: Path, activation: str) -> None:
    model = cases.gpt2(2, activation_function=activation)
    cases.save(model, tmp_path)
    skeleton = models.skeleton(tmp_path, causal_lm.AUTO)
    fused = skeleton.config.activation_function  # type: ignore[union-attr]
    assert fused == ("relu" if activation == "relu" else "gelu_pytorch_tanh")
    skeleton.load_state_dict(model.state_dict())
    ids = torch.randint(5, cases.WORDS, (3, 9), generator=cases.generator(1))
    with torch.no_grad():
        # gelu_fast writes sqrt(2 / pi) with ten digits.
        assert_close(skeleton.double()(ids).logits, model.double()(ids).logits, rtol=0, atol=1e-8)
