"""`./dev down`: ends everything, and looks whether it is true."""

import os
import shutil
import signal
import time

from . import cluster, machine, paths, processes
from .steps import Failed, say, step


def down():
    with step("processes") as done:
        keep_pod_logs()
        outcome = cluster.stop()
        end_what_is_left()
        done.found(", ".join(f"{name} {how}" for name, how in outcome.items()) or "none was running")
    with step("network and cgroups") as done:
        machine.remove_network()
        machine.remove_cgroups()
    with step("state") as done:
        cluster.forget()
        done.found(f"removed; logs stay in {paths.LOGS}, builds in {paths.CACHE}")
    left = [f"process {pid} {command}" for pid, command in processes.strays()] + machine.leftovers()
    if left:
        raise Failed("something is left: " + "; ".join(left), remedy="./dev down again; if it stays, look at what holds it")
    say("nothing is left: no process, cgroup, network namespace, link or mount of the world")


def keep_pod_logs():
    """Containers' logs lie in the node's folder, which goes."""
    source = paths.NODE / "log" / "pods"
    if source.is_dir():
        shutil.rmtree(paths.LOGS / "pods", ignore_errors=True)
        shutil.copytree(source, paths.LOGS / "pods", symlinks=True, ignore_dangling_symlinks=True, dirs_exist_ok=True)


def end_what_is_left(patience=5.0):
    """Members of our own cgroups, and what carries our mark: children of a daemon that had to be killed."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        left = machine.processes_in_cgroups() | {pid for pid, _ in processes.strays()}
        if not left:
            return
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.2)
