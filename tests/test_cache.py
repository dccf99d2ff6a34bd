from functools import lru_cache, partial

import numpy as np
import pytest

from landscape.session.cache import Cache


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


def test_what_the_task_at_hand_still_needs_is_kept() -> None:
    """Of two that are here, the third takes the place of the one whose next use is the later."""
    made: list[str] = []
    cache: Cache[str] = Cache(2, {"a": [0, 2], "b": [0, 1], "c": [1, 3]})
    for now, key in ((0, "a"), (0, "b"), (1, "c"), (1, "b"), (2, "a")):
        cache.get(key, now, partial(make, made, key))
    assert made == ["a", "b", "c", "a"]
