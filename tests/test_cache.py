from functools import lru_cache, partial

import numpy as np
import pytest

from landscape.checkpoints import Cache


def make(made: list[str], key: str, dropped: str | None) -> str:
    assert dropped is None or dropped in made
    made.append(key)
    return key


def loads(requests: list[str], capacity: int) -> int:
    uses: dict[str, list[int]] = {}
    for now, key in enumerate(requests):
        uses.setdefault(key, []).append(now)
    made: list[str] = []
    cache: Cache[str] = Cache(capacity, uses)
    for now, key in enumerate(requests):
        assert cache.get(key, now, partial(make, made, key)) == key
        assert len(cache.items) <= capacity
    assert now + 1 == len(requests)
    return len(made)


def fewest(requests: list[str], capacity: int) -> int:
    """The least number of loads of any eviction rule, by trying all."""

    @lru_cache(None)
    def best(now: int, held: frozenset[str]) -> int:
        if now == len(requests):
            return 0
        key = requests[now]
        if key in held:
            return best(now + 1, held)
        if len(held) < capacity:
            return 1 + best(now + 1, held | {key})
        return 1 + min(best(now + 1, (held - {out}) | {key}) for out in held)

    return best(0, frozenset())


@pytest.mark.parametrize("seed", range(5))
def test_no_rule_loads_less(seed: int) -> None:
    requests = [f"c{n}" for n in np.random.default_rng(seed).integers(0, 6, size=14)]
    assert loads(requests, 3) == fewest(requests, 3)
