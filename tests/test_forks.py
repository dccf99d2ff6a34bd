import subprocess
import sys
from pathlib import Path

import pytest

from landscape.engines import forks

HERE = Path(__file__).parent
BEGIN = """
import os, signal, sys, threading, time
from functools import partial
from pathlib import Path
sys.path.insert(0, {here!r})
import numpy, pandas, scipy.linalg, torch
import test_engine as t
from landscape.engines import forks, local

place = Path({place!r})
said = []
jobs = [t.Errand(key, does="nap") for key in "abcdefgh"]
run = partial(local.run, jobs, partial(t.start, place), said.append)
"""
"""A process of its own: pytest has threads."""


def ends_well(tmp_path: Path, script: str) -> str:
    """What a script prints that ends without error, and says nothing on its error stream."""
    whole = BEGIN.format(here=str(HERE), place=str(tmp_path)) + script
    done = subprocess.run([sys.executable, "-c", whole], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return done.stdout


linux = pytest.mark.skipif(sys.platform != "linux", reason="forks are used on Linux")


@linux
def test_forks_do_the_work_and_a_third_worker_is_spawned(tmp_path: Path) -> None:
    script = """
with forks.waiting(2, local.wait_for_work) as waiting:
    first = {str(fork.process.pid) for fork in waiting}
    assert len(first) == 2
    assert run(devices=["cpu"] * count, forks=waiting) == {}
    who = {(place / job.key).read_text() for job in jobs}
print(len(first & who), len(who - first))
assert not any(t.alive(int(pid)) for pid in first), "none is left"
"""
    assert ends_well(tmp_path, script.replace("count", "2")) == "2 0\n"
    slow = script.replace("count", "3").replace("print(", "print(len(said), ").replace('does="nap"', 'does="long"')
    assert ends_well(tmp_path, slow).startswith("8 2 ")


@linux
def test_a_fork_that_dies_is_replaced(tmp_path: Path) -> None:
    """While it waits, or at work."""
    script = """
with forks.waiting(2, local.wait_for_work) as waiting:
    os.kill(waiting[0].process.pid, signal.SIGKILL)
    waiting[0].process.join()
    jobs[3] = t.Errand("d", does="die once")
    assert run(devices=["cpu"] * 2, forks=waiting) == {}
print(len([job for job in jobs if (place / job.key).exists()]), {event.kind for event in said})
"""
    assert ends_well(tmp_path, script) == "8 {'done'}\n"


@linux
def test_forks_that_nobody_needs_end(tmp_path: Path) -> None:
    """At the end of the context, at once where that is said, and with the process that was killed."""
    script = """
with forks.waiting(3, local.wait_for_work) as waiting:
    pids = [fork.process.pid for fork in waiting]
    assert len(pids) == 3 and all(map(t.alive, pids))
assert not any(map(t.alive, pids))
with forks.waiting(2, local.wait_for_work) as waiting:
    pids = [fork.process.pid for fork in waiting]
    forks.end(waiting)
    assert waiting == [] and not any(map(t.alive, pids))
with forks.waiting(1, local.wait_for_work) as waiting:
    assert waiting == [], "this process is as good"
with forks.waiting(99, local.wait_for_work) as waiting:
    print(len(waiting), *(fork.process.pid for fork in waiting), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    whole = BEGIN.format(here=str(HERE), place=str(tmp_path)) + script
    done = subprocess.run([sys.executable, "-c", whole], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == -9 and done.stderr == "", done.stderr  # the streams have ended, so all forks have
    count, *pids = done.stdout.split()
    assert int(count) == len(pids) == forks.MAX_FORKS


@linux
def test_a_signal_while_a_process_is_forked_is_not_lost(tmp_path: Path) -> None:
    """Python ignores the exception of a handler that runs in a callback of a fork. None of the forks is left."""
    script = """
import multiprocessing
signal.signal(signal.SIGTERM, signal.default_int_handler)
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell ignores for what it runs in the background
def kill(number):
    os.kill(os.getpid(), number)
    time.sleep(0.05)  # a thread of OpenBLAS may take the signal, a moment later
os.register_at_fork(before=partial(kill, signal.SIGNAL), after_in_child=partial(kill, signal.SIGINT))
try:
    with forks.waiting(2, local.wait_for_work):
        print("not interrupted")
except KeyboardInterrupt:
    print("interrupted", multiprocessing.active_children())
"""
    for name in ("SIGINT", "SIGTERM"):
        assert ends_well(tmp_path, script.replace("SIGNAL", name)) == "interrupted []\n"


@linux
def test_a_process_with_threads_is_not_forked(tmp_path: Path) -> None:
    """A thread of Python, or one of torch; those of OpenBLAS and of pyarrow's allocator do no harm."""
    script = """
names = [(thread / "comm").read_text().strip() for thread in forks.THREADS.iterdir()]
assert len(names) > 1 and forks.JEMALLOC in names, names
assert forks.is_safe()
numpy.linalg.svd(numpy.random.default_rng(1).normal(size=(600, 600)))
with forks.waiting(2, local.wait_for_work) as waiting:
    assert len(waiting) == 2 and run(devices=["cpu"] * 2, forks=waiting) == {}
other = threading.Thread(target=time.sleep, args=(1,))
other.start()
assert not forks.is_safe()
other.join()
deadline = time.monotonic() + 10
while not forks.is_safe():  # the system ends a thread a moment later
    assert time.monotonic() < deadline
torch.set_num_threads(2)
torch.randn(1000, 1000) @ torch.randn(1000, 1000)
torch.randn(2_000_000).exp()
with forks.waiting(2, local.wait_for_work) as waiting:
    assert waiting == []
"""
    assert ends_well(tmp_path, script) == ""


def test_other_systems_spawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not forks.is_safe()
