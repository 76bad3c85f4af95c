"""Servers end when the process that brought them ends, however it ends: a keeper holds the other end of a pipe.

The owner starts the keeper with a pipe as its standard input and never writes to it. Closing the pipe, by an orderly
exit or by SIGKILL, is the signal: the keeper ends every process that carries the folder's mark in its environment,
removes the containers listed in the folder, and the folder itself. An orderly end takes the same path, so that it
is tested every day.
"""

from __future__ import annotations

import fcntl
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import psutil

MARK = "WAYBILL_SERVERS_FOLDER"  # in the environment of every process that belongs to a folder
CONTAINERS = "containers"  # one container id per line
LOCK = "keeper.lock"  # held as long as the keeper lives: a folder with a free lock is a leftover
END_WITHIN_S = 15.0


def marked(folder: Path) -> list[psutil.Process]:
    """The folder's live processes; the postmaster by its pid file, for PostgreSQL rewrites its environment."""
    found = []
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        try:
            if process.environ().get(MARK) == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue  # gone, or somebody else's
    postmaster = postmaster_pid(folder / "postgresql")
    if postmaster is not None and all(process.pid != postmaster for process in found):
        found.append(psutil.Process(postmaster))
    return found


def postmaster_pid(cluster: Path) -> int | None:
    """The pid in postmaster.pid, if that process still serves this cluster."""
    try:
        pid = int((cluster / "postmaster.pid").read_text().split("\n", 1)[0])
        return pid if str(cluster) in psutil.Process(pid).cmdline() else None
    except (OSError, ValueError, psutil.Error):
        return None


def end(folder: Path) -> None:
    """End all that belongs to the folder, then remove it; what it holds is thrown away, so nobody gets time to save."""
    listed = folder / CONTAINERS
    if listed.exists() and (ids := listed.read_text().split()):
        subprocess.run(["docker", "rm", "--force", "--volumes", *ids], capture_output=True, timeout=60, check=False)
    started = time.monotonic()
    while (processes := marked(folder)) and (spent_s := time.monotonic() - started) < END_WITHIN_S:
        for process in processes:
            try:
                # SIGQUIT is PostgreSQL's immediate shutdown: its backends go with it.
                patient = process.name().startswith("postgres") and spent_s < END_WITHIN_S / 3
                process.send_signal(signal.SIGQUIT if patient else signal.SIGKILL)
            except psutil.Error:
                pass
        time.sleep(0.05)
    shutil.rmtree(folder, ignore_errors=True)


def sweep(parent: Path) -> None:
    """End what an earlier run left because its keeper was killed as well."""
    for lock in parent.glob(f"servers-*/{LOCK}"):
        try:
            with lock.open() as handle:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                end(lock.parent)
        except OSError:
            continue  # alive, or just removed by its own keeper


class Keeper:
    """The owner's side: starts the keeper process, and ends everything by closing the pipe."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock: IO[str] = (folder / LOCK).open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._process = subprocess.Popen(
            [sys.executable, "-P", __file__, str(folder), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in the terminal must not reach it
            pass_fds=[self._lock.fileno()],  # it inherits the lock with the open file
        )
        self._lock.close()

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(END_WITHIN_S + 60)
        except subprocess.TimeoutExpired:
            self._process.kill()


def main() -> None:
    folder, owner = Path(sys.argv[1]), int(sys.argv[2])
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    # The parent is asked too: a child the owner forked may hold the pipe open after the owner is gone.
    while os.getppid() == owner:
        if select.select([sys.stdin], [], [], 1.0)[0]:
            break
    end(folder)


if __name__ == "__main__":
    main()
