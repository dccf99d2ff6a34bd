"""Where a study is run, and by which engine."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from landscape import catalogue
from landscape.spec import Choice, Settings

SHARD = re.compile(r"(\d+)/(\d+)")


def _shard(value: str) -> str:
    """A share such as 2/8.

    Raises:
        ValueError: If it is none.
    """
    found = SHARD.fullmatch(value)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise ValueError("i/n is wanted, the share i of n from 1/n to n/n, such as 2/8")
    return value


class EngineSettings(Settings):
    """Where a study is run, and by which engine.

    Attributes:
        engine: What hands tasks to workers.
        device: Device of torch, cpu, cuda or cuda:1; several, cuda:0,cuda:1, or cuda:all, get one worker each.
        device_map: auto spreads each model over all GPUs that are seen, and the files that it is read from.
        workers: Worker processes; left out, one for each of several devices, and else chosen by timing.
        shard: Do only the share i/n of the tasks, with all that they need; results go to one folder, or to several.
        address: Of a Ray cluster, HOST:PORT or auto; left out, one is started on this machine.
        cluster: Where submitit's jobs run, on a Slurm cluster or on this machine.
        jobs: Jobs of submitit.
        gpus_per_job: GPUs of each, one worker each; left out, one if the device is cuda.
        time: Minutes of each; a job that takes longer is put into the queue again.
        partition: Of the Slurm cluster; left out, its usual one.
        array_parallelism: Jobs that may run at the same time.
        prefetch: Checkpoints on the hub that are fetched ahead while others are measured, at most.
        keep_downloads: Whether what is fetched stays on this disk, or is deleted after its last use.
    """

    engine: Annotated[str, AfterValidator(Choice(catalogue.ENGINES))] = "local"
    device: str = "cpu"
    device_map: Literal["auto"] | None = None
    workers: Annotated[int, Field(ge=1)] | None = None
    shard: Annotated[str, AfterValidator(_shard)] | None = None
    address: str = ""
    cluster: Literal["slurm", "local"] = "slurm"
    jobs: int = Field(4, ge=1)
    gpus_per_job: Annotated[int, Field(ge=0)] | None = None
    time: int = Field(60, ge=1)
    partition: str = ""
    array_parallelism: int = Field(256, ge=1)
    prefetch: int = Field(1, ge=0)
    keep_downloads: Literal["yes", "no"] = "yes"

    @model_validator(mode="after")
    def _options_are_of_the_engine(self) -> EngineSettings:
        every = {name for member in catalogue.ENGINES.values() for name in member.reads}
        if given := sorted((every & self.model_fields_set) - set(catalogue.ENGINES[self.engine].reads)):
            readers = " and ".join(n for n, member in catalogue.ENGINES.items() if given[0] in member.reads)
            raise ValueError(f"{given[0]} is for engine = {readers}, and this one is {self.engine}: leave it out")
        if self.device_map and ("," in self.device or ":all" in self.device or (self.workers or 1) > 1):
            raise ValueError("with device_map = auto one worker has all GPUs: give device = cuda, and no workers")
        return self

    @property
    def share(self) -> tuple[int, int] | None:
        """Number of the share from 0, and number of shares."""
        if self.shard is None:
            return None
        number, count = map(int, self.shard.split("/"))
        return number - 1, count
