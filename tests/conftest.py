import os
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from hub_mirror import HubMirror

# The hub's client reads its settings when it is imported; no test may ask another hub than this one.
MIRROR = HubMirror().start()
HOME = TemporaryDirectory(prefix="hf-home-")
os.environ |= {
    "HF_ENDPOINT": MIRROR.url, "HF_HOME": HOME.name, "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "DISABLE_SAFETENSORS_CONVERSION": "1", "NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost",
}  # fmt: skip
for name in ("HF_TOKEN", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
    os.environ.pop(name, None)

import cases  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402
from huggingface_hub import constants  # noqa: E402
from threadpoolctl import threadpool_limits  # noqa: E402

from landscape import strategy  # noqa: E402


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """On models and matrices this small, more threads are slower."""
    torch.set_num_threads(1)
    threadpool_limits(1)


@pytest.fixture(autouse=True)
def fixed_strategies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is chosen by the clock, save in the tests of the choice."""
    monkeypatch.setattr(strategy, "TRIAL_SHARE", 0.0)


@pytest.fixture(autouse=True)
def own_figures() -> Iterator[None]:
    """Figures are drawn on the current axes: no test may find another's there."""
    yield
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubMirror]:
    """A hub with nothing on it, and a client with a cold cache."""
    MIRROR.clear()
    cache = tmp_path / "hf" / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    yield MIRROR
    MIRROR.clear()


@pytest.fixture(scope="session")
def few_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seeds at steps 0 and 10; not to be written to."""
    return cases.runs(tmp_path_factory.mktemp("runs"))
