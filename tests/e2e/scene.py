"""What the scenarios look at and do: the objects people see, the guests, and the node's files.

Everything here is read from the outside: the API server by kubectl, limits from
the cgroup files on disk, speed from inside the guests. Nothing asks Whorl's
programs directly.
"""

import contextlib
import datetime
import json
import os
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from e2e.world import cluster, guest, machine, paths, processes, product, up  # noqa: E402

ENROLLED = ("db-1", "web-1", "batch-1")
BYSTANDER = "bystander-1"
ALL_VMS = (*ENROLLED, BYSTANDER)


def eventually(what, predicate, timeout, every=0.25):
    """The predicate's first true value; fails with its last false one."""
    end = time.monotonic() + timeout
    last = None
    while True:
        try:
            last = predicate()
        except (KeyError, IndexError, TypeError) as not_yet:
            last = repr(not_yet)
        else:
            if last:
                return last
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {timeout} s; last seen: {str(last)[:2000]}")
        time.sleep(every)


# ---- objects -------------------------------------------------------------


def vm(name):
    return cluster.get("vm", name)


def annotations(name):
    return vm(name)["metadata"].get("annotations", {})


def bfp(name):
    """The fingerprint's status; {} before there is one."""
    found = cluster.get("bfp", name)
    return (found or {}).get("status", {})


def npart():
    return (cluster.get("npart", paths.NODE_NAME) or {}).get("status", {})


def condition(status, kind):
    return next((c for c in status.get("conditions", []) if c["type"] == kind), {})


def cpu(status):
    return next((r for r in status.get("resources", []) if r["name"] == "cpu"), {})


def events(name, reason=None):
    """Events on a VM, as `kubectl describe` matches them: by the VM's uid."""
    uid = vm(name)["metadata"]["uid"]
    listed = cluster.get("events.events.k8s.io", "-n", "default")["items"]
    return [e for e in listed if e["regarding"].get("uid") == uid and (reason is None or e["reason"] == reason)]


def count(event_list):
    return sum((e.get("series") or {}).get("count", 1) for e in event_list)


def describe(name):
    return cluster.kubectl("describe", "vm", name).stdout


def annotate(name, mode):
    cluster.kubectl("annotate", "vm", name, f"whorl.dev/mode={mode}" if mode else "whorl.dev/mode-", "--overwrite")


@contextlib.contextmanager
def policy(**spec):
    """Changes the default policy's spec (merge patch) and puts back what was there."""
    before = cluster.get("ppol", "default")["spec"]
    patch(spec)
    try:
        yield
    finally:
        patch({key: before.get(key) for key in spec})


def patch(spec):
    cluster.kubectl("patch", "ppol", "default", "--type=merge", "-p", json.dumps({"spec": spec}))


def wait_until_learnt(timeout=240):
    for name in ENROLLED:
        eventually(f"{name} has a score", lambda name=name: "score" in bfp(name), timeout)


# ---- guests --------------------------------------------------------------


def tell(name, words):
    with guest.Guest(up.launcher_of(name)["metadata"]["uid"], name) as line:
        return line.ask(words, timeout=20)


def rate(name, seconds=3.0):
    """Iterations per second the guest achieves now, by its own count."""
    first = tell(name, "status")
    start = time.monotonic()
    time.sleep(seconds)  # the thing measured is the time that passes
    second = tell(name, "status")
    elapsed = (second["uptimeMs"] - first["uptimeMs"]) / 1000 or time.monotonic() - start
    return (second["iterations"] - first["iterations"]) / elapsed


def calm():
    for name in ENROLLED:
        tell(name, "idle")


# ---- the node's files ----------------------------------------------------


FOLDERS = {}  # of the pods that were running when last looked


def pod_folders(name):
    """The launcher pod's directory in every hierarchy; looked for again only once one is gone, so that a quota can be read often."""
    known = FOLDERS.get(name)
    if known and all(folder.is_dir() for folder in known):
        return known
    uid = up.launcher_of(name)["metadata"]["uid"]
    found = []
    for top in machine.cgroup_directories():
        found += [Path(folder) for folder, _, _ in os.walk(top) if folder.endswith((f"pod{uid}", f"pod{uid.replace('-', '_')}.slice"))]
    assert found, f"no cgroup of {name}"
    FOLDERS[name] = found
    return found


KNOBS = ("cpu.shares", "cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.cfs_burst_us", "cpu.idle", "cpu.weight", "cpu.max", "cpu.max.burst", "cpuset.cpus", "memory.limit_in_bytes",
         "memory.soft_limit_in_bytes", "memory.high", "memory.low", "memory.min", "memory.max", "io.max", "io.weight", "pids.max")


def knobs(name):
    """Every limit file of the pod and its containers, as bytes."""
    values = {}
    for folder in pod_folders(name):
        for place, _, files in os.walk(folder):
            for file in files:
                if file in KNOBS or file.startswith("blkio.throttle") and file.endswith("_device"):
                    path = Path(place, file)
                    with contextlib.suppress(OSError):
                        values[str(path)] = path.read_bytes()
    return values


def quota(name):
    """The pod's CPU quota in millicores as it stands on disk; None = no quota."""
    for folder in pod_folders(name):
        if (folder / "cpu.cfs_quota_us").is_file():
            us = int((folder / "cpu.cfs_quota_us").read_text())
            return None if us < 0 else us * 1000 // int((folder / "cpu.cfs_period_us").read_text())
        if (folder / "cpu.max").is_file():
            us, period = (folder / "cpu.max").read_text().split()
            return None if us == "max" else int(us) * 1000 // int(period)
    raise AssertionError(f"{name}: no CPU quota file")


# ---- failures ------------------------------------------------------------


def whorl_pod(component):
    pod = product.pod_of(component, paths.NODE_NAME)
    assert pod, f"no {component} pod on {paths.NODE_NAME}"
    return pod


def pid_in(component, program):
    """The host's pid of a program in a Whorl pod, found through the pod's cgroup."""
    uid = whorl_pod(component)["metadata"]["uid"]
    for proc in Path("/proc").iterdir():
        if not proc.name.isdigit():
            continue
        try:
            if uid in (proc / "cgroup").read_text() and (proc / "comm").read_text().strip() == program[:15]:
                return int(proc.name)
        except OSError:
            continue
    raise AssertionError(f"no {program} runs in the {component} pod")


def kill(component, program, number=signal.SIGKILL):
    os.kill(pid_in(component, program), number)


@contextlib.contextmanager
def api_server_stopped():
    processes.stop("kube-apiserver")
    try:
        yield
    finally:
        cluster.start_apiserver()
        cluster.wait_for_apiserver()


@contextlib.contextmanager
def controller_scaled_away():
    kubectl = ("-n", product.NAMESPACE, "scale", "deployment/whorl-controller")
    cluster.kubectl(*kubectl, "--replicas=0")
    try:
        yield
    finally:
        cluster.kubectl(*kubectl, "--replicas=1")
        product.wait_until_running()


def lease_seconds():
    return cluster.get("ppol", "default")["spec"]["leaseSeconds"]


def parse_time(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
