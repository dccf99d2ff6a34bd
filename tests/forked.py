"""Whole commands without their start: a process that has imported what they import forks for each of them.

Stand-ins for ``landscape`` and ``python``, first on the path, send it their arguments, folder, environment and streams.
"""

from __future__ import annotations

import json
import os
import pkgutil
import runpy
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Generator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

PACKAGES = ("landscape.cli", "landscape.face", "landscape.measure", "landscape.session", "landscape.checkpoints")
STAND_IN = """#!{python} -IS
import json, os, socket, sys
name, *words = [os.path.basename(sys.argv[0]), *sys.argv[1:]]
line = socket.socket(socket.AF_UNIX)
line.connect({place!r})
socket.send_fds(line, [json.dumps([name, words, os.getcwd(), dict(os.environ)]).encode()], [0, 1, 2])
line.shutdown(socket.SHUT_WR)
sys.exit((line.recv(1) or b"\\1")[0])
"""


@contextmanager
def stand_ins(folder: Path) -> Generator[Path]:
    """A folder with the stand-ins, as long as their process lives."""
    place = folder / "socket"
    with subprocess.Popen([sys.executable, __file__, str(place)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        for name in ("landscape", "python"):
            (folder / name).write_text(STAND_IN.format(python=sys.executable, place=str(place)))
            (folder / name).chmod(0o755)
        try:
            yield folder
        finally:
            process.terminate()


def serve(place: str) -> None:
    """Fork for each request, until the parent process is gone."""
    import torch  # noqa: F401
    import transformers
    from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2LMHeadModel  # noqa: F401

    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    for package in PACKAGES:
        for found in pkgutil.walk_packages(import_module(package).__path__, f"{package}."):
            with suppress(ImportError):  # of an extra
                import_module(found.name)
    listener, parent = socket.socket(socket.AF_UNIX), os.getppid()
    listener.bind(place)
    listener.listen()
    listener.settimeout(2)
    print("ready", flush=True)
    while os.getppid() == parent:
        with suppress(ChildProcessError):
            os.waitpid(-1, os.WNOHANG)
        with suppress(TimeoutError):
            line, _ = listener.accept()
            said, streams, *_ = socket.recv_fds(line, 2**20, 3)
            while more := line.recv(2**20):
                said += more
            if os.fork() == 0:
                line.sendall(bytes([answer(*json.loads(said), streams)]))
                os._exit(0)
            for stream in streams:
                os.close(stream)
            line.close()


def answer(name: str, words: list[str], folder: str, environment: dict[str, str], streams: list[int]) -> int:
    """The exit status of a command, which this process becomes."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)  # noqa: PTH123, SIM115
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: PTH123, SIM115
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None
    sys.path[:0] = [part for part in environment.get("PYTHONPATH", "").split(os.pathsep) if part]
    status: Any = 0
    try:
        program(name, words)
    except SystemExit as end:
        status = end.code or 0
    except BaseException:
        status = 1
        traceback.print_exc()
    if isinstance(status, str):
        print(status, file=sys.stderr)
    sys.stdout.flush()
    return status if isinstance(status, int) else 1


def program(name: str, words: list[str]) -> None:
    """Run ``landscape``, or Python on a script, on ``-c`` or on its input."""
    sys.argv = [name, *words]
    if name == "landscape":
        from landscape.cli.main import main

        main()
    elif words[0] in {"-", "-c"}:
        sys.argv = [words[0], *words[2 if words[0] == "-c" else 1 :]]
        exec(sys.stdin.read() if words[0] == "-" else words[1], {"__name__": "__main__"})
    else:
        sys.argv = words
        runpy.run_path(words[0], run_name="__main__")


if __name__ == "__main__":
    serve(sys.argv[1])
