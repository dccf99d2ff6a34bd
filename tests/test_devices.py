import pytest

from landscape.engines.devices import assigned, devices, threads
from landscape.engines.settings import EngineSettings
from landscape.errors import InputError
from landscape.face.inputs import settings


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("cpu", ("cpu",)),
        ("cuda:1", ("cuda:1",)),
        ("cuda:all", ("cuda:0", "cuda:1", "cuda:2")),
        ("cuda:2, cuda:0", ("cuda:2", "cuda:0")),
        ("cuda:1,cuda:all", ("cuda:1", "cuda:0", "cuda:2")),
    ],
)
def test_devices_of_a_machine_with_three(wanted: str, found: tuple[str, ...]) -> None:
    assert devices(wanted, 3) == found


@pytest.mark.parametrize("wanted", ["", "cuda:all", ","])
def test_no_device_is_refused(wanted: str) -> None:
    with pytest.raises(InputError, match="names no device that is here; give cpu, cuda, cuda:1, cuda:0,cuda:1 or"):
        devices(wanted, 0)


def test_a_worker_a_device_or_so_many_in_turn() -> None:
    assert assigned(("cuda:0", "cuda:1"), None) == ("cuda:0", "cuda:1")
    assert assigned(("cuda:0", "cuda:1"), 3) == ("cuda:0", "cuda:1", "cuda:0")
    assert assigned(("cuda:0", "cuda:1"), 1) == ("cuda:0",)
    assert [threads(n, 16) for n in (1, 3, 16, 40)] == [16, 5, 1, 1]


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "1/0", "a/b", "1/2/3", "-1/2"])
def test_a_share_that_is_none_is_refused(shard: str) -> None:
    with pytest.raises(InputError, match="i/n is wanted, the share i of n from 1/n to n/n, such as 2/8"):
        settings(EngineSettings, {"shard": shard})


def test_an_unknown_engine_is_an_error_with_the_nearest_name() -> None:
    with pytest.raises(InputError, match="no engine is called 'locl'; did you mean local"):
        settings(EngineSettings, {"engine": "locl"})
    assert settings(EngineSettings, {"shard": "2/8"}).share == (1, 8)
