"""Which worker computes where."""

from __future__ import annotations

from landscape.errors import InputError

ALL = ":all"


def devices(wanted: str, available: int) -> tuple[str, ...]:
    """The devices of a setting such as ``cuda:0,cuda:1`` or ``cuda:all``, each once.

    Args:
        wanted: The setting.
        available: Number of devices that ``:all`` stands for.

    Raises:
        InputError: If it names none.
    """
    found: list[str] = []
    for name in filter(None, (part.strip() for part in wanted.split(","))):
        if name.endswith(ALL):
            found += [f"{name.removesuffix(ALL)}:{n}" for n in range(available)]
        else:
            found.append(name)
    if not found:
        raise InputError(f"{wanted!r} names no device that is here; give cpu, cuda, cuda:1, cuda:0,cuda:1 or cuda:all")
    return tuple(dict.fromkeys(found))


def assigned(devices: tuple[str, ...], workers: int | None) -> tuple[str, ...]:
    """The device of each worker: one worker a device, or so many, in turn."""
    count = len(devices) if workers is None else workers
    return tuple(devices[n % len(devices)] for n in range(count))


def threads(workers: int, cores: int) -> int:
    """Threads of each of several workers that share the cores of a machine."""
    return max(1, cores // max(1, workers))
