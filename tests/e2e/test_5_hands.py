"""Stride five: every limit of a node, set on real launchers, felt by real guests and put back as found."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import scene

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.operator.agent.domain_client import Client  # noqa: E402

# ---- guest memory and disks, through the launchers' libvirt ------------------

UNLIMITED = "read_bytes=0 write_bytes=0 read_iops=0 write_iops=0"


def processes_of(name):
    """(pid, program) of everything in the VM's pod, on this machine."""
    found = {}
    for folder, _, files in os.walk(scene.pod_folders(name)[0]):
        if "cgroup.procs" in files:
            for pid in Path(folder, "cgroup.procs").read_text().split():
                found[int(pid)] = Path(f"/proc/{pid}/comm").read_text().strip()
    return found


def pid_of(name, program):
    return next(pid for pid, comm in processes_of(name).items() if comm.startswith(program))


def virsh(name, command, *words):
    """What the VM's libvirt says, asked past everything of Whorl's. Not by /var/run: an absolute link in the image."""
    uri = f"qemu+unix:///session?socket=/proc/{pid_of(name, 'qemu-system')}/root/run/libvirt/virtqemud-sock"
    return subprocess.run(["virsh", "-q", "-c", uri, command, f"default_{name}", *words], capture_output=True, text=True, timeout=20, check=True).stdout


def memory(name):
    """libvirt's memory statistics, KiB: actual, available (what the guest's kernel has), unused ..."""
    return {line.split()[0]: int(line.split()[1]) for line in virsh(name, "dommemstat").splitlines()}


def disk_limits(name, disk="vda"):
    """Every limit that is set, as virsh shows it."""
    table = (line.split(":") for line in virsh(name, "blkdeviotune", disk).splitlines() if ":" in line)
    return {field.strip(): value.strip() for field, value in table if value.strip() not in ("", "0")}


def written_per_second(name, seconds, disk="vda"):
    def written():
        return int(next(line.split()[-1] for line in virsh(name, "domblkstat", disk).splitlines() if " wr_bytes " in line))

    first, start = written(), time.monotonic()
    time.sleep(seconds)  # the thing measured is the time that passes
    return (written() - first) / (time.monotonic() - start)


@pytest.fixture(scope="module")
def nothing_held():
    """Whorl holds nothing, so that what is set here is the only thing that is."""
    with scene.policy(pause="HoldAndDrain"):
        scene.eventually("everything is given back", lambda: all(scene.quota(n) is None for n in scene.ALL_VMS), 60)
        yield
        scene.calm()


@pytest.fixture
def hands(nothing_held, tmp_path):
    """hands("web-1"): a line to that VM's knobs."""
    program = scene.paths.TREE / "build/release/tests/operator/agent/agent_domain_client"
    lines = []

    def line_to(name):
        lines.append(Client(program, scene.pod_folders(name)[0], tmp_path / f"state-{len(lines)}"))
        return lines[-1]

    yield line_to
    for line in lines:
        line.end()


def test_a_launchers_balloon_is_lowered_felt_by_the_guest_and_put_back(hands):
    line = hands("web-1")
    found = int(line.get("read", "balloon"))
    assert found == memory("web-1")["actual"] == 128 * 1024
    had = scene.eventually("the guest's balloon driver reports", lambda: memory("web-1").get("available"), 30)
    lower = found - 16 * 1024
    line.get("aim", str(lower))
    scene.eventually("it has arrived", lambda: line.get("status").startswith("Arrived"), 30)
    assert memory("web-1")["actual"] == lower
    # The guest reports every 10 s.
    has = scene.eventually("the guest's kernel has less", lambda: (now := memory("web-1")["available"]) <= had - 15 * 1024 and now, 25)
    line.get("deflate")
    scene.eventually("it is back", lambda: line.get("status").startswith("Deflated"), 30)
    assert memory("web-1")["actual"] == found
    print(f"web-1: {found} -> {lower} KiB, the guest's kernel had {had}, then {has} KiB")


def test_a_launchers_guest_keeps_what_it_uses(hands):
    line = hands("web-1")
    line.get("aim", "16384")
    held = scene.eventually("it stops", lambda: (now := line.get("status")).startswith("Held") and now, 60)
    assert "BelowUse: the guest uses" in held
    assert scene.tell("web-1", "status")["ok"], "and it lives"
    print(held)
    line.get("deflate")
    scene.eventually("it is back", lambda: line.get("status").startswith("Deflated"), 30)


def test_a_launchers_disk_is_throttled_felt_by_the_guest_and_put_back(hands):
    line = hands("web-1")
    assert line.get("disks").split() == ["vda"]
    before = disk_limits("web-1")
    found = line.get("read", "disk@vda")
    assert found == UNLIMITED
    scene.tell("web-1", "writer level=100")
    time.sleep(2)
    free = written_per_second("web-1", 3)
    limit = int(max(free / 4, 256 * 1024))
    wanted = line.get("limit", "disk@vda", str(limit))
    line.get("write", "disk@vda", wanted)
    assert disk_limits("web-1")["write_bytes_sec"] == str(limit)
    time.sleep(1)
    limited = written_per_second("web-1", 5)
    line.get("write", "disk@vda", found)
    assert disk_limits("web-1") == before
    again = written_per_second("web-1", 3)
    scene.tell("web-1", "idle")
    print(f"web-1 writes {free / 1e6:.2f} MB/s, {limited / 1e6:.2f} at a limit of {limit / 1e6:.2f}, {again / 1e6:.2f} after")
    assert abs(limited - limit) <= 0.1 * limit
    assert again > 2 * limit


def test_a_launchers_libvirt_that_hangs_keeps_no_other_vm(hands):
    web, db = hands("web-1"), hands("db-1")
    web.get("read", "balloon")
    libvirtd = pid_of("web-1", "libvirtd")
    os.kill(libvirtd, signal.SIGSTOP)
    try:
        code, message = web.ask("read", "balloon")
        assert code == "Unavailable" and "VM default_web-1" in message, message
        start = time.monotonic()
        assert web.ask("write", "balloon", "65536")[0] == "Unavailable"
        assert db.ask("read", "balloon")[0] == "ok"
        assert time.monotonic() - start < 1
    finally:
        os.kill(libvirtd, signal.SIGCONT)
    scene.eventually("it is asked again", lambda: web.ask("read", "balloon")[0] == "ok", 20)
    assert memory("web-1")["actual"] == 128 * 1024
