"""A Python that starts warm: its processes are forked from one that has imported what is slow.

Most of what the tests of the workflow cost would be imports, anew in each of several hundred
processes. ``python`` gives the path of a program that takes a script or ``-m module`` as Python
does; what it runs is a process of its own, with the caller's folder, environment and open files,
and ends with its caller. What differs from a cold start: all processes of a server have its hash
seed, and what was imported has read the server's environment.
"""

import atexit
import functools
import importlib
import json
import multiprocessing
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from multiprocessing.connection import wait
from pathlib import Path

SLOW = ["snakemake.cli", "snakemake.script", "torch", "transformers.modeling_utils", "pandas"]
SLOW += ["transformers.models.bert.modeling_bert", "transformers.models.auto.modeling_auto"]
SLOW += ["transformers.models.auto.tokenization_auto", "pyarrow.parquet", "scipy.stats"]
SLOW += ["ir_measures", "matplotlib.pyplot", "statsmodels.api", "torch.utils.tensorboard"]


@functools.cache
def python():
    """The program of this process, whose server starts with the first call."""
    return start()


def start():
    """Start a server; returns the path of its program."""
    folder = Path(tempfile.mkdtemp(prefix="warm"))
    program, path = folder / "python", folder / "socket"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -IS {__file__} call {path} "$@"\n')
    program.chmod(0o755)
    command = [sys.executable, __file__, "serve", str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    server = subprocess.Popen(command, env=os.environ | {"HF_HUB_OFFLINE": "1"}, **pipes)
    atexit.register(server.stdin.close)
    assert server.stdout.readline() == b"ready\n"
    return str(program)


def serve(path):
    """Answer callers until standard input ends, each by a process of its own."""
    for name in SLOW:
        importlib.import_module(name)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(64)
    print("ready", flush=True)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how they ended
    while listener in select.select([listener, 0], [], [])[0]:
        caller, _ = listener.accept()
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            listener.close()
            os._exit(answer(caller, Path(path).with_name("python")))
        caller.close()


def answer(caller, program):
    """Run what a caller asks for, hand on its signals, tell it the exit status."""
    request, files, _, _ = socket.recv_fds(caller, 1 << 20, 3)
    process = multiprocessing.get_context("fork").Process(
        target=run, args=(json.loads(request), files, str(program))
    )
    process.start()
    while caller in wait([process.sentinel, caller]):
        number = caller.recv(1)
        os.kill(process.pid, number[0] if number else signal.SIGKILL)
        if not number:
            return 1
    process.join()
    caller.send(bytes([abs(process.exitcode), process.exitcode < 0]))
    return 0


def run(request, files, program):
    """Be the process that the caller asked for."""
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ |= request["environment"]
    os.chdir(request["folder"])
    sys.path[:0] = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    first, *sys.argv = request["arguments"]
    try:
        if first == "-m":
            sys.executable = program  # for jobs; what those start is a child of theirs
            runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
        else:
            sys.argv.insert(0, first)
            runpy.run_path(first, run_name="__main__")
    except Exception:
        sys.excepthook(*sys.exc_info())
        sys.exit(1)
    finally:  # as Python ends: joblib has its idle workers go then, for which others would wait
        threading._shutdown()
        atexit._run_exitfuncs()


def call(path, *arguments):
    """Have the server run something, as if it were run here."""
    server = socket.socket(socket.AF_UNIX)
    server.connect(path)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _: server.send(bytes([number])))
    request = {"arguments": arguments, "folder": os.getcwd(), "environment": dict(os.environ)}
    socket.send_fds(server, [json.dumps(request).encode()], [0, 1, 2])
    status, killed = server.recv(2)
    if killed:
        signal.signal(status, signal.SIG_DFL)
        os.kill(os.getpid(), status)
    sys.exit(status)


if __name__ == "__main__":
    {"serve": serve, "call": call}[sys.argv[1]](*sys.argv[2:])
