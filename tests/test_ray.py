"""Actors of a Ray cluster of several nodes, all on this machine; whoever is killed, nothing is lost."""

import os
import secrets
import signal
import time
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from test_engine import Errand, Files, start

from landscape.engines.claims import Claims
from landscape.engines.jobs import Event
from landscape.engines.order import Order
from landscape.engines.settings import EngineSettings
from landscape.errors import InputError, StorageError

pytestmark = [
    pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra ray"),
    pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]  # fmt: skip


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head without processors for actors, and a node with two."""
    here = str(Path(__file__).parent)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", f"{here}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
        from landscape.engines.ray_environment import ray  # after the environment is set

        cluster_utils = import_module("ray.cluster_utils")
        made = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        made.add_node(num_cpus=2)
        yield made
        ray.shutdown()
        made.shutdown()


def run(cluster: Any, folder: Path, errands: list[Errand], report: Any = None) -> tuple[dict[str, str], list[Event]]:
    from landscape.engines import ray_actors

    events: list[Event] = []

    def told(event: Event) -> None:
        events.append(event)
        if report is not None:
            report(event)

    where = EngineSettings(engine="ray", address=cluster.address)
    with Claims(folder / "claims") as claims:
        order = Order(
            errands, partial(start, folder), told, claims, where, ["cpu"], folder,
            Files(folder), lambda job: 1.0,
        )  # fmt: skip
        return ray_actors.execute(order), events


def test_jobs_run_after_those_they_need_on_two_actors(cluster: Any, tmp_path: Path) -> None:
    errands = [Errand(f"{n}", (f"{n - 1}",) if n % 4 else (), "nap") for n in range(16)]
    failed, events = run(cluster, tmp_path, errands)
    assert failed == {} and sorted(int(e.job.key) for e in events) == list(range(16))
    assert len({(tmp_path / f"{n}").read_text() for n in range(16)} - {str(os.getpid())}) == 2


def test_failures_cost_their_job_and_a_full_disk_ends_the_run(cluster: Any, tmp_path: Path) -> None:
    errands = [Errand("a", does="refuse"), Errand("b", ("a",)), Errand("d", does="break"), Errand("e")]
    failed, _ = run(cluster, tmp_path, errands)
    assert failed == {
        "a": "bad input", "b": "needs a task that failed: bad input", "d": "ZeroDivisionError: a bug",
    }  # fmt: skip
    with pytest.raises(StorageError, match="disk full"):
        run(cluster, tmp_path, [Errand("f", does="full")])


def test_a_dead_actor_is_replaced_and_its_job_done_again(cluster: Any, tmp_path: Path) -> None:
    errands = [
        Errand("a", does="die once"),
        Errand("b", ("a",)),
        Errand("c", does="die"),
        *(Errand(f"{n}", does="nap") for n in range(6)),
    ]
    failed, events = run(cluster, tmp_path, errands)
    assert set(failed) == {"c"} and failed["c"].startswith("2 worker processes died on it, the last of Actor")
    assert {e.job.key for e in events if e.kind == "done"} == {"a", "b", *map(str, range(6))}


def test_actors_killed_from_outside_lose_nothing(cluster: Any, tmp_path: Path) -> None:
    """Whatever they do; a job may be begun again, and is done once."""
    killed: list[int] = []

    def kill(event: Event) -> None:
        if len(killed) < 3 and int(event.job.key) % 8 == 3:
            killed.append(int((tmp_path / event.job.key).read_text()))
            os.kill(killed[-1], signal.SIGKILL)

    errands = [Errand(f"{n}", does="nap") for n in range(32)]
    failed, events = run(cluster, tmp_path, errands, kill)
    assert len(killed) == 3 and failed == {} and sorted(int(e.job.key) for e in events) == list(range(32))
    assert not (tmp_path / "claims").exists()


def test_nodes_join_and_die(cluster: Any, tmp_path: Path) -> None:
    """One that joins is used, and what it had when it died is done by others."""
    joined: list[Any] = []

    def watch(event: Event) -> None:
        if event.job.key == "0":
            joined.append(cluster.add_node(num_cpus=2))
        pids = {path.read_text() for path in tmp_path.iterdir() if path.is_file()}
        if joined and len(pids) >= 3 and joined[0] is not None:
            node, joined[0] = joined[0], None
            node.kill_raylet()

    errands = [Errand(f"{n}", does="long") for n in range(60)]
    begin = time.monotonic()
    failed, events = run(cluster, tmp_path, errands, watch)
    assert joined == [None], "the node that joined was not used"
    assert failed == {} and len(events) == 60 and time.monotonic() - begin < 100


def test_a_cluster_that_is_not_there_and_a_token_that_is_missing(tmp_path: Path, monkeypatch: Any) -> None:
    from landscape.engines.ray_environment import authenticate

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    with pytest.raises(InputError, match="the token of the Ray cluster at 10.0.0.1:6379 is not known; set RAY_AUTH_TO"):
        authenticate("10.0.0.1:6379")
