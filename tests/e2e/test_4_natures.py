"""What an unusual guest looks like: every behaviour a guest can play is noticed and called by its name.

Several guests play at once, so that the whole takes as long as the slowest of them. The fourth guest, opted in here for the first time, learns a busy
life of its own meanwhile: only who usually does something can stall.
"""

import subprocess
import time

import pytest
import scene

OBSERVED = scene.BYSTANDER

# behaviour: what it is called, and what at least one of the features that stand out is about
LOOKS_LIKE = {
    "busy": ("Runaway", ("cpu", "vcpu")),
    "miner": ("MinerLike", ("cpu", "vcpu")),
    "exfil": ("ExfiltrationLike", ("network", "disk")),
    "writer": ("DiskPressure", ("disk", "io")),
    "leak": ("Leak", ("memory",)),
    "cache-walk": ("MemoryPressure", ("memory", "cpu", "dirty")),
    "stall": ("Stall", ("cpu", "network", "vcpu")),
    "prowl": ("SyscallShift", ("",)),
}


@pytest.fixture(scope="module")
def fourth_guest():
    """bystander-1 works like a small web server, and is observed while it does."""
    scene.tell(OBSERVED, "web day=0 level=80")
    scene.annotate(OBSERVED, "observe")
    yield OBSERVED
    scene.annotate(OBSERVED, None)
    scene.tell(OBSERVED, "idle")


def alarms(name):
    return scene.count(scene.events(name, "BehaviorDeviating"))


def normal(names):
    for name in names:
        scene.eventually(f"{name} is Normal", lambda name=name: scene.bfp(name).get("state") == "Normal", 240)


def play(parts):
    """Each guest plays its part; all are noticed and named before any of them stops."""
    before = {name: alarms(name) for name in parts}
    started = time.monotonic()
    for name, behaviour in parts.items():
        scene.tell(name, behaviour)
    try:
        # Looked at together: what one looks like may pass while another is waited for.
        seen = {}

        def all_named():
            for name, behaviour in parts.items():
                status = scene.bfp(name)
                if name not in seen and status.get("nature") == LOOKS_LIKE[behaviour][0]:
                    seen[name] = status
            return len(seen) == len(parts)

        scene.eventually(f"named: {', '.join(f'{n} {b} {LOOKS_LIKE[b][0]}' for n, b in parts.items())}", all_named, 120)
        for name, behaviour in parts.items():
            nature, about = LOOKS_LIKE[behaviour]
            status = seen[name]
            print(f"{name}: {behaviour} is {nature} within {time.monotonic() - started:.0f} s; {status['summary']}")
            features = [feature["name"] for feature in status["contributingFeatures"]]
            assert any(word in feature for feature in features for word in about), features
            assert "Nature" in scene.cluster.kubectl("describe", "bfp", name).stdout
            assert nature in status["summary"]
            told = scene.eventually("an Event says so", lambda name=name, nature=nature: [e for e in scene.events(name) if e["reason"] in ("BehaviorDeviating", "NatureChanged")
                                                                                          and f"{nature}" in e["note"]], 20)
            assert told
    finally:
        for name in parts:
            scene.tell(name, "web day=0 level=80" if name == OBSERVED else "idle")
    for name in parts:
        assert alarms(name) - before[name] == 1, f"{name}: one alarm, one Event"


def test_busy_exfiltration_and_writing_are_called_by_their_names(learnt, fourth_guest):
    play({"db-1": "busy", "web-1": "exfil", "batch-1": "writer"})


def test_mining_leaking_and_walking_through_memory_are_called_by_their_names(learnt, fourth_guest):
    play({"db-1": "miner", "web-1": "leak", "batch-1": "cache-walk"})


def test_a_working_guest_that_stalls_is_not_calm(learnt, fourth_guest):
    scene.eventually(f"{fourth_guest} is learnt", lambda: "score" in scene.bfp(fourth_guest), 240)
    normal([fourth_guest])
    play({fourth_guest: "stall", "db-1": "prowl"})


def test_a_reboot_alarms_no_longer_than_the_guest_needs_to_settle(learnt):
    pod = scene.up.launcher_of("web-1")["metadata"]["name"]
    virsh = ["exec", pod, "-c", "compute", "--", "virsh", "-q", "-c", "qemu:///session"]
    domain = scene.cluster.kubectl(*virsh, "list", "--name").stdout.split()[0]
    scene.cluster.kubectl(*virsh, "reset", domain)
    booted = time.monotonic()
    scene.tell("web-1", "status")  # answers once it is up again
    settled = time.monotonic() - booted
    scene.eventually("web-1 is itself again", lambda: scene.bfp("web-1").get("state") == "Normal", settled + 60)
    print(f"answered {settled:.0f} s after the reset, Normal after {time.monotonic() - booted:.0f} s")


def test_who_is_not_seen_is_blind_and_not_calm(learnt):
    pid = scene.pid_in("agent", "whorl-agent")
    scene.kill("agent", "whorl-agent", scene.signal.SIGSTOP)
    try:
        for name in scene.ENROLLED:
            status = scene.eventually(f"{name} is Blind", lambda name=name: scene.bfp(name).get("state") == "Blind" and scene.bfp(name), 30)
            assert "score" not in status
    finally:
        scene.os.kill(pid, scene.signal.SIGCONT)
    normal(scene.ENROLLED)


def test_the_demo_names_the_runaway(learnt):
    done = subprocess.run([str(scene.paths.TREE / "dev"), "demo", "runaway"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert "Runaway" in done.stdout
