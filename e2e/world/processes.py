"""Processes that the world starts, and ends: by pid and start time, so that a reused pid is never hit."""

import json
import os
import signal
import subprocess
import time

from . import machine, paths
from .steps import Failed

MARK = "WHORL_WORLD"  # in the environment of everything started here, for the last check of `down`


def start_time(pid):
    """Field 22 of /proc/PID/stat, or None when there is no such process (or only its zombie)."""
    try:
        fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def start(name, command, in_netns=False, env=None, cwd=None):
    """Starts a daemon in a session of its own, with its output in logs/NAME.log."""
    paths.LOGS.mkdir(parents=True, exist_ok=True)
    paths.PIDS.mkdir(parents=True, exist_ok=True)
    command = [str(part) for part in command]
    if in_netns:
        command = machine.in_netns(*command)
    with open(log_of(name), "a") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
                                   cwd=cwd or "/", env={**os.environ, **(env or {}), MARK: str(paths.STATE)})
    born = start_time(process.pid)
    if born is None:
        raise Failed(f"{name} ended at once with {process.wait()}", log=log_of(name))
    (paths.PIDS / name).write_text(json.dumps({"pid": process.pid, "start_time": born}))
    return process.pid


def log_of(name):
    return paths.LOGS / f"{name}.log"


def pid_of(name):
    """The pid of a running process of ours, else None."""
    try:
        written = json.loads((paths.PIDS / name).read_text())
    except (OSError, ValueError):
        return None
    return written["pid"] if start_time(written["pid"]) == written["start_time"] else None


def names():
    return sorted(entry.name for entry in paths.PIDS.iterdir()) if paths.PIDS.is_dir() else []


def stop(name, first=signal.SIGTERM, patience=5.0):
    """Asks, waits, then kills. Returns how it went, None when it was not running."""
    pid = pid_of(name)
    outcome = None
    if pid is not None:
        outcome = "ended"
        _signal(pid, first)
        if not _gone(name, patience):
            outcome = "killed"
            _signal(pid, signal.SIGKILL)
            if not _gone(name, 5.0):
                raise Failed(f"{name} (pid {pid}) does not end, even by SIGKILL")
    (paths.PIDS / name).unlink(missing_ok=True)
    return outcome


def _signal(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def _gone(name, patience):
    end = time.monotonic() + patience
    while pid_of(name) is not None:
        _reap()
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def _reap():
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def strays():
    """(pid, command line) of processes still carrying the world's mark, apart from this one and its parents."""
    mine, pid = set(), os.getpid()
    while pid > 1:
        mine.add(pid)
        pid = int(open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[1])
    wanted = f"{MARK}={paths.STATE}".encode()
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) in mine:
            continue
        try:
            if wanted in open(f"/proc/{entry}/environ", "rb").read().split(b"\0"):
                found.append((int(entry), open(f"/proc/{entry}/cmdline").read().replace("\0", " ")[:120]))
        except OSError:
            continue
    return found
