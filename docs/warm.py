"""Run `curate` commands in children of one process that has loaded torch: loading it takes longer than most commands.

    python docs/warm.py SOCKET          serves until its standard input ends
    python docs/warm.py SOCKET ARG…     has it run `curate ARG…` in this folder, with this environment and these files

A child is a process of its own, which begins like `python -m curate.cli`.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import select
import socket
import sys

# What the trainer's commands load sooner or later, none of it this project's own.
LOADED = ("torch._dynamo", "torch.distributed.checkpoint", "torch.distributed.fsdp", "pyarrow.dataset", "tokenizers")
MAX_BYTES = 1 << 20  # of a request: the arguments and the environment


def serve(path: str) -> None:
    """Wait for requests; returns in a child that is to run one, and at the end."""
    for name in LOADED:
        importlib.import_module(name)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    while True:
        ready = select.select([listener, sys.stdin], [], [], 1.0)[0]
        if sys.stdin in ready:
            sys.exit()
        if listener in ready:
            connection = listener.accept()[0]
            if os.fork() == 0:
                listener.close()
                return answer(connection)
            connection.close()
        while ended(-1):
            pass


def ended(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] > 0
    except ChildProcessError:
        return False


def answer(connection: socket.socket) -> None:
    """Return in a grandchild that stands where the request was made; its exit code is sent back."""
    request, files, _, _ = socket.recv_fds(connection, MAX_BYTES, 3)
    if pid := os.fork():
        status = os.waitpid(pid, 0)[1]
        connection.send(bytes([os.waitstatus_to_exitcode(status) % 256]))
        os._exit(0)
    connection.close()
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    arguments, folder, environment = json.loads(request)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["curate", *arguments]
    if not os.environ.get("PYTHONSAFEPATH"):
        sys.path.insert(0, folder)


def ask(path: str, arguments: list[str]) -> int:
    """Have a command run; return its exit code."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    request = json.dumps([arguments, os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(connection, [request], [0, 1, 2])
    return connection.recv(1)[0]


if __name__ == "__main__":
    if len(sys.argv) > 2:
        sys.exit(ask(sys.argv[1], sys.argv[2:]))
    serve(sys.argv[1])
    runpy.run_module("curate.cli", run_name="__main__", alter_sys=True)
