"""What the world borrows from the machine: a network namespace with one link, and a directory in every cgroup hierarchy. Each has its inverse here."""

import os
import subprocess
import time
from pathlib import Path

from . import paths
from .steps import Failed, run


def hierarchies():
    """Every mounted cgroup hierarchy: the v1 controllers' and the v2 tree's mount points."""
    found = []
    for line in Path("/proc/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        if kind in ("cgroup", "cgroup2") and where.startswith(str(paths.CGROUP_ROOT)):
            found.append((Path(where), kind))
    if not found:
        raise Failed("no cgroup hierarchy is mounted under /sys/fs/cgroup")
    return found


def make_cgroups():
    for root, kind in hierarchies():
        ours = root / paths.CGROUP
        ours.mkdir(exist_ok=True)
        for name in ("cpuset.cpus", "cpuset.mems"):  # v1 cpusets start empty, and nothing runs in an empty one
            if kind == "cgroup" and (root / name).is_file():
                (ours / name).write_text((root / name).read_text())
        if kind == "cgroup2" and root == paths.CGROUP_ROOT:
            offered = (root / "cgroup.controllers").read_text().split()
            (root / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in offered if name in ("cpu", "cpuset", "io", "memory", "pids", "hugetlb")))


def cgroup_directories():
    return [root / paths.CGROUP for root, _ in hierarchies() if (root / paths.CGROUP).is_dir()]


def processes_in_cgroups():
    pids = set()
    for top in cgroup_directories():
        for folder, _, files in os.walk(top):
            if "cgroup.procs" in files:
                try:
                    pids.update(int(pid) for pid in Path(folder, "cgroup.procs").read_text().split())
                except OSError:
                    continue
    return pids


def remove_cgroups(patience=10.0):
    """Directories of ended processes stay busy for a moment, so tries for a while."""
    end = time.monotonic() + patience
    while (left := cgroup_directories()) and time.monotonic() < end:
        for top in left:
            for folder, _, _ in os.walk(top, topdown=False):
                try:
                    os.rmdir(folder)
                except OSError:
                    pass
        if cgroup_directories():
            time.sleep(0.2)
    return cgroup_directories()


def in_netns(*command):
    # Not `ip netns exec`: it mounts a fresh /sys, which hides the cgroup tree.
    return ["nsenter", f"--net={paths.NETNS_FILE}", *map(str, command)]


def netns_exists():
    return any(where == str(paths.NETNS_FILE) for where in mounts())


def make_network():
    """The namespace, and the one link that lets the machine reach the API server in it."""
    if not netns_exists():
        paths.NETNS_FILE.touch()
        run("unshare", f"--net={paths.NETNS_FILE}", "true")
    if not Path("/sys/class/net", paths.HOST_LINK).exists():
        run("ip", "link", "add", paths.HOST_LINK, "type", "veth", "peer", "name", "eth0", "netns", paths.NETNS_FILE)
    run("ip", "addr", "replace", f"{paths.HOST_IP}/24", "dev", paths.HOST_LINK)
    run("ip", "link", "set", paths.HOST_LINK, "up")
    for words in ("link set lo up", f"addr replace {paths.WORLD_IP}/24 dev eth0", "link set eth0 up",
                  # Service addresses are rewritten after routing, so there must be a route.
                  f"route replace default via {paths.HOST_IP}"):
        run(*in_netns("ip", *words.split()))


def remove_network():
    if netns_exists():
        run("umount", paths.NETNS_FILE)
    paths.NETNS_FILE.unlink(missing_ok=True)
    # The link goes with its peer, a little later.
    end = time.monotonic() + 5
    while Path("/sys/class/net", paths.HOST_LINK).exists() and time.monotonic() < end:
        time.sleep(0.1)
    if Path("/sys/class/net", paths.HOST_LINK).exists():
        subprocess.run(["ip", "link", "del", paths.HOST_LINK], check=False, capture_output=True)


def mounts():
    """Mount points of this machine that belong to the world."""
    every = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return [where for where in every if where == str(paths.STATE) or where.startswith(f"{paths.STATE}/")]


def leftovers():
    """What of the world is still on this machine, as lines to read."""
    found = [f"cgroup {folder}" for folder in cgroup_directories()]
    found += [f"{'network namespace' if where == str(paths.NETNS_FILE) else 'mount'} {where}" for where in mounts()]
    if Path("/sys/class/net", paths.HOST_LINK).exists():
        found.append(f"link {paths.HOST_LINK}")
    return found


def quota_on_disk(pod_uid):
    """A pod's CPU quota in millicores as its cgroup file has it; None: no quota."""
    for top in cgroup_directories():
        for folder in (top / "kubepods").glob(f"*/pod{pod_uid}"):
            if (folder / "cpu.cfs_quota_us").is_file():
                quota = int((folder / "cpu.cfs_quota_us").read_text())
                return None if quota < 0 else quota * 1000 // int((folder / "cpu.cfs_period_us").read_text())
            if (folder / "cpu.max").is_file():
                quota, period = (folder / "cpu.max").read_text().split()
                return None if quota == "max" else int(quota) * 1000 // int(period)
    raise Failed(f"pod {pod_uid} has no CPU cgroup under {paths.CGROUP}")
