import os
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import offline
import pytest
from hub_mirror import HubMirror

# No test may ask another hub than this one. What takes long to import is imported in fixtures: the process that only
# hands tests to others reads this file too.
MIRROR = HubMirror().start()
HOME = TemporaryDirectory(prefix="hf-home-")
offline.isolate(HF_ENDPOINT=MIRROR.url, HF_HOME=HOME.name, LANDSCAPE_CACHE=f"{HOME.name}/landscape")
BEGIN = time.perf_counter()


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Say what the run took, in processor's seconds too: machines are noisy."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        seconds = sum(use.ru_utime + use.ru_stime for use in uses)
        print(f"{time.perf_counter() - BEGIN:.0f} s, {seconds:.0f} processor's seconds of all processes")


@pytest.fixture(autouse=True, scope="session")
def one_hub() -> None:
    """Also where the client was imported before, as in the runs of ``tests/faults``."""
    from huggingface_hub import constants

    constants.ENDPOINT = MIRROR.url
    constants.HUGGINGFACE_CO_URL_TEMPLATE = MIRROR.url + "/{repo_id}/resolve/{revision}/{filename}"


@pytest.fixture(autouse=True, scope="session")
def one_thread_of_others() -> None:
    """On models and matrices this small, more threads are slower."""
    import sklearn  # noqa: F401  (so that its threads are there to limit)
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """As above, and whatever the test before has set."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def fixed_strategies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is chosen by the clock, save in the tests of the choice."""
    from landscape.points import strategy

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
    from huggingface_hub import constants

    MIRROR.clear()
    cache = tmp_path / "hf" / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    yield MIRROR
    MIRROR.clear()


@pytest.fixture(scope="session")
def few_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seeds at steps 0 and 10; not to be written to."""
    import cases

    return cases.runs(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="session")
def finished(few_runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study of the few runs with every kind of measure; not to be written to."""
    import finished
    import torch

    from landscape.points import strategy

    torch.set_num_threads(1)
    base = tmp_path_factory.getbasetemp()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strategy, "TRIAL_SHARE", 0.0)
        return finished.of(few_runs, base.parent if "PYTEST_XDIST_WORKER" in os.environ else base)
