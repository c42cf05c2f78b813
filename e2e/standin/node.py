"""virt-handler's half: what libvirt says about the domain of a launcher pod on this machine."""

import subprocess
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def qemu_of(pod_uid, cgroup):
    """The pid of a pod's QEMU, found by the pod's cgroup (in the v1 cpu hierarchy, else in the v2 tree)."""
    for root in (CGROUP / "cpu", CGROUP):
        for pod in (root / cgroup).glob(f"kubepods/*/pod{pod_uid}"):
            for procs in pod.glob("*/cgroup.procs"):
                for pid in procs.read_text().split():
                    try:
                        if Path(f"/proc/{pid}/comm").read_text().startswith("qemu-system"):
                            return int(pid)
                    except OSError:
                        continue
    return None


def domain_of(pod_uid, name, cgroup):
    """The domain's state, balloon and machine type, or None while libvirt does not answer for it."""
    pid = qemu_of(pod_uid, cgroup)
    if pid is None:
        return None
    # Through the process's own root: the pod's folder on this machine has a path longer than a unix address may be. Not by /var/run, which is an
    # absolute link there and would lead to this machine's /run.
    uri = f"qemu+unix:///session?socket=/proc/{pid}/root/run/libvirt/virtqemud-sock"
    try:
        done = subprocess.run(["virsh", "-q", "-c", uri, "domstats", "--state", "--balloon", name], capture_output=True, text=True, timeout=10)
        stats = dict(line.strip().split("=", 1) for line in done.stdout.splitlines() if "=" in line)
        machine = machine_of(pid)
        return {"state": "running" if stats["state.state"] == "1" else "other", "balloonKiB": int(stats["balloon.current"]), "machine": machine}
    except (KeyError, ValueError, OSError, subprocess.TimeoutExpired):
        return None


def machine_of(pid):
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    return words[words.index("-machine") + 1].split(",")[0]
