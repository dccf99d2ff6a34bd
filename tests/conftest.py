from pathlib import Path

import cases
import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """On models this small, more threads are slower."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def few_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seeds at steps 0 and 10; not to be written to."""
    return cases.runs(tmp_path_factory.mktemp("runs"))
