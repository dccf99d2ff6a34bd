"""How much memory is free on this machine."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from landscape.errors import InputError

LIMIT = "LANDSCAPE_MEMORY"
"""Environment variable with the memory that may be taken in GB, where that is not what is free."""
INFO, GROUP = Path("/proc/meminfo"), Path("/sys/fs/cgroup")


def free() -> int:
    """Bytes that this process may still take: what the machine and its control group have free, or the limit given.

    Raises:
        InputError: If the limit given is no number.
    """
    if given := os.environ.get(LIMIT):
        try:
            return int(float(given) * 1e9)
        except ValueError as error:
            raise InputError(f"{LIMIT} is {given!r}; give a number of GB, such as 16") from error
    return min(_of_machine(), _of_group())


def _of_machine() -> int:
    with suppress(OSError, ValueError, IndexError):
        lines = [line.split() for line in INFO.read_text().splitlines()]
        return 1024 * next(int(line[1]) for line in lines if line[0] == "MemAvailable:")
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _of_group() -> int:
    """What the control group of a container or batch job has left; its page cache counts as free."""
    with suppress(OSError, ValueError):
        limit, used = (int((GROUP / name).read_text()) for name in ("memory.max", "memory.current"))
        stat = dict(line.split() for line in (GROUP / "memory.stat").read_text().splitlines())
        return limit - used + int(stat.get("inactive_file", 0)) + int(stat.get("active_file", 0))
    return 1 << 62


def gigabytes(size: int | float) -> str:
    """A number of bytes in GB, with two digits.

    >>> gigabytes(18.3e9), gigabytes(250e6)
    ('18 GB', '0.25 GB')
    """
    return f"{size / 1e9:.0f} GB" if size >= 9.95e9 else f"{size / 1e9:.2g} GB"
