"""Jobs of a cluster's scheduler, such as Slurm: each does its share of the tasks, and then what others have left.

What is submitted is a job array whose jobs share the folder of results; claims tell them what others do. A job that is
told that its time is over stops, saves what it has, and is put into the queue again by submitit. This process only
watches the folder, so it can be ended, and started again to go on watching.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import submitit
from submitit.core.utils import DelayedSubmission, FailedJobError

from landscape.engines import local
from landscape.engines.claims import CLAIMS, Claims, process_start
from landscape.engines.jobs import Event, Start
from landscape.engines.order import Order, Results
from landscape.engines.settings import EngineSettings
from landscape.engines.shares import shares, stealing
from landscape.errors import InputError, StorageError

LOG = logging.getLogger("landscape")
FOLDER, OPEN = "jobs", "open.json"
"""Where logs and scripts of jobs are, in a folder of results, and what was submitted last."""
WATCH, CHECK = 3.0, 60.0
"""Seconds between two readings of the folder, and between two questions to a scheduler that many share."""
WARNED = 90
"""Seconds before its time is over in which a job stops; a third of its time if that is less."""
MAX_REQUEUES = 1000
"""How often a job may run out of time and be put into the queue again."""


@dataclass(frozen=True)
class ShareJob:
    """A job of the scheduler; pickled for it.

    Attributes:
        jobs: Its share of the tasks, and then those of others.
        start: Makes the function that does a task.
        devices: The device of each worker.
        folder: Of the results.
        results: What is done and what has failed.
    """

    jobs: Sequence[Any]
    start: Start
    devices: tuple[str, ...]
    folder: Path
    results: Results

    def __call__(self) -> int:
        """Do what is left, and return how many tasks have failed."""
        left = [job for job in self.jobs if not self.results.done(job.key)]
        with Claims(self.folder / CLAIMS, self.results.failure) as claims:
            failed = local.run(left, self.start, self._report, devices=self.devices, claims=claims, share=True)
        return len(failed)

    def checkpoint(self) -> Any:
        """What is put into the queue again when the time is over: the same job."""
        return DelayedSubmission(self)

    def _report(self, event: Event) -> None:
        if event.kind == "failed":
            self.results.fail(event.job.key, "\n".join(part for part in (event.message, event.trace) if part))


def execute(order: Order) -> dict[str, str]:
    """Submit jobs, or go on watching those that were submitted before, until all tasks are done.

    Args:
        order: What is to be run.

    Returns:
        Message of each failed task by key.

    Raises:
        StorageError: If the jobs have ended, and the last of them have finished nothing.
    """
    folder = order.folder / FOLDER
    progress = _Progress(order, folder / OPEN)
    if (running := _reopened(folder)) is not None:
        LOG.info("watching the %d jobs that were submitted before; their logs are in %s", len(running), folder)
    else:
        running = _submit(order, order.jobs, folder)
    before, checked = len(progress.left), time.monotonic()
    while progress.advance():
        due = order.where.cluster == "local" or time.monotonic() - checked > CHECK
        checked = time.monotonic() if due else checked
        if due and not any(map(_lives, running)) and progress.advance():
            if len(progress.left) == before:
                raise StorageError(
                    f"the jobs have ended, {before} tasks are left, and none was finished; see the logs in {folder}"
                )
            before = len(progress.left)
            LOG.warning("the jobs have ended and %d tasks are left: submitting again", before)
            running = _submit(order, list(progress.left.values()), folder)
        time.sleep(WATCH)
    (folder / OPEN).unlink(missing_ok=True)
    return progress.failed


class _Progress:
    """What has become of the tasks, read off the folder."""

    def __init__(self, order: Order, opened: Path) -> None:
        self.order, self.opened = order, opened
        self.left = {job.key: job for job in order.jobs}
        self.failed: dict[str, str] = {}

    def advance(self) -> bool:
        """Report what has finished since the last time; whether anything is left."""
        begin = self.opened.stat().st_mtime_ns  # by the clock of the file system, as the time of a failure
        for key, job in list(self.left.items()):
            if self.order.results.done(key):
                self.order.report(Event("done", job))
            elif (failure := self.order.results.failure(key)) and failure[0] >= begin:
                self.failed[key] = failure[1]
                self.order.report(Event("failed", job, failure[1]))
            else:
                continue
            del self.left[key]
        return bool(self.left)


@dataclass(frozen=True)
class _Submitted:
    """A job of the scheduler.

    Attributes:
        cluster: Its kind.
        job: Its number.
        started: Of a job on this machine, when its process started.
        folder: Of its logs.
    """

    cluster: str
    job: str
    started: str
    folder: Path


def _lives(submitted: _Submitted) -> bool:
    """Whether a job waits or runs."""
    if submitted.cluster == "local":
        return process_start(int(submitted.job)) == submitted.started != ""
    return not submitit.SlurmJob(submitted.folder, submitted.job).done(force_check=True)


def _submit(order: Order, jobs: Sequence[Any], folder: Path) -> list[_Submitted]:
    """Submit an array of jobs that share some tasks.

    Raises:
        InputError: If the scheduler is not there, or refuses them.
    """
    where = order.where
    shared = [share for share in shares(jobs, order.cost, min(where.jobs, len(jobs))) if share]
    devices = _devices(where, order.devices[0])
    work = [ShareJob(stealing(shared, n), order.start, devices, order.folder, order.results)
            for n in range(len(shared))]  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    try:
        executor = submitit.AutoExecutor(
            folder, cluster=where.cluster,
            **{f"{cluster}_max_num_timeout": MAX_REQUEUES for cluster in ("local", "slurm")},
        )  # fmt: skip
        executor.update_parameters(**_parameters(where, len(devices)))
        with executor.batch():
            made = [executor.submit(one) for one in work]
    except (RuntimeError, OSError, FailedJobError) as error:
        raise InputError(
            f"no jobs could be submitted to {where.cluster} ({str(error).strip().splitlines()[0]}); run this where its "
            "commands are, or give --cluster local"
        ) from error
    ids = [str(job.job_id) for job in made]
    started = [process_start(int(one)) if where.cluster == "local" else "" for one in ids]
    (folder / OPEN).write_text(json.dumps({"cluster": where.cluster, "jobs": list(zip(ids, started, strict=True))}))
    LOG.info("%d jobs submitted to %s; their logs are in %s", len(ids), where.cluster, folder)
    return [_Submitted(where.cluster, one, when, folder) for one, when in zip(ids, started, strict=True)]


def _devices(where: EngineSettings, device: str) -> tuple[str, ...]:
    """The device of each worker of a job."""
    if device == "cpu":
        return ("cpu",) * (where.workers or 1)
    return tuple(f"{device.partition(':')[0]}:{n}" for n in range(where.gpus_per_job or 1))


def _parameters(where: EngineSettings, workers: int) -> dict[str, object]:
    """What the scheduler is asked for."""
    out: dict[str, object] = {"name": "landscape", "timeout_min": where.time, "cpus_per_task": workers}
    if where.gpus_per_job or where.device != "cpu":
        out["gpus_per_node"] = where.gpus_per_job or 1
    if where.cluster == "slurm":
        warned = min(WARNED, where.time * 60 // 3)
        out |= {"slurm_signal_delay_s": warned, "slurm_array_parallelism": where.array_parallelism}
        out |= {"slurm_partition": where.partition} if where.partition else {}
    return out


def _reopened(folder: Path) -> list[_Submitted] | None:
    """The jobs that were submitted before, if any of them is still there."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        about = json.loads((folder / OPEN).read_bytes())
        found = [_Submitted(about["cluster"], job, started, folder) for job, started in about["jobs"]]
        if any(map(_lives, found)):
            return found
    return None
