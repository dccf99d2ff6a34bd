"""What an engine is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from landscape.engines.claims import Claims, Failure
from landscape.engines.forks import Fork
from landscape.engines.jobs import Report, Start
from landscape.engines.settings import EngineSettings


@runtime_checkable
class Results(Protocol):
    """What engines need to know of results; pickled for other processes."""

    def done(self, key: str) -> bool:
        """Whether a job is done."""
        ...

    def fail(self, key: str, message: str) -> None:
        """Record that a job has failed."""
        ...

    def failure(self, key: str) -> Failure | None:
        """The failure of a job that is recorded."""
        ...


@dataclass(frozen=True)
class Order:
    """Jobs, and what it takes to do them; every engine has a function ``execute`` of it.

    Attributes:
        jobs: Those that are left, in plan order.
        start: Makes, on a device, the function that does the work; pickled for other processes.
        report: Called in this process for each finished or failed job.
        claims: What is shared with other runs.
        where: Settings of the engine.
        devices: The device of each worker of this machine.
        folder: Of the results, absolute, for what engines keep of their own.
        results: What is done and what has failed.
        cost: Of a job, in any unit.
        forks: Processes of this machine that wait for work.
    """

    jobs: Sequence[Any]
    start: Start
    report: Report
    claims: Claims
    where: EngineSettings
    devices: Sequence[str]
    folder: Path
    results: Results
    cost: Callable[[Any], float]
    forks: Sequence[Fork] = ()
