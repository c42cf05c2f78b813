"""A node with cgroup v2 only: the same agent, and limits measured at the pods they are set on.

CPU quotas, weights and leases are the agent's, by plans. Memory, disk and cores are still set by the scenarios themselves, in the files the agent's
knobs are made for: they show what this kernel enforces and what it lets anybody put back.
"""

import contextlib

import pytest
import scene
import second_node
from e2e.world import cluster, paths, product, second

WITHIN = 0.05
SECONDS = 10  # of the node's own time
MIB = 1 << 20


@pytest.fixture(scope="module", autouse=True)
def node():
    was_there = second.running()
    second.up()
    yield
    if not was_there:
        second.down()


@pytest.fixture(scope="module")
def pods(node):
    """Two launchers whose guests never rest."""
    yield second_node.start("left", "right")
    second_node.end("left", "right")


@pytest.fixture(scope="module")
def agent(pods, tmp_path_factory):
    """The agent in our hand: the controller stands aside, or both would plan for it."""
    with scene.controller_scaled_away():
        held = second_node.Agent(tmp_path_factory.mktemp("controller-tls"))
        held.enrol(*pods)
        yield held


@pytest.fixture(scope="module")
def found(pods):
    """Every knob as it was before the agent held anything."""
    return second_node.knobs(*pods)


@pytest.fixture(autouse=True)
def knobs_come_back(request):
    """Whatever a scenario does to the pods, it leaves no byte changed."""
    yield
    if "found" in request.fixturenames:
        assert second_node.knobs(*request.getfixturevalue("pods")) == request.getfixturevalue("found")


def close_to(wanted, *launchers, of=lambda got: got):
    """Measures until each is what was wanted, three times at most: where others have the machine for a while an emulated node's timers are late, and who was
    let go on too late in its period cannot use all of it. More than what was wanted is never excused."""
    for _ in range(3):
        with second_node.busy(*launchers):
            got = of(second_node.shares(SECONDS, *launchers))
        print(f"over {SECONDS} s: " + ", ".join(f"{is_:.4f} where {should:.4f} was wanted ({100 * (is_ / should - 1):+.1f} %)" for is_, should in zip(got, wanted)))
        assert all(is_ <= should * (1 + WITHIN) for is_, should in zip(got, wanted)), got
        if all(is_ >= should * (1 - WITHIN) for is_, should in zip(got, wanted)):
            return True
    return False


def near(value, wanted):
    return abs(value - wanted) <= WITHIN * wanted


@contextlib.contextmanager
def one_core(*launchers):
    """Both on the same core: nobody competes where there is one for each."""
    for one in launchers:
        second.sh(f"for pid in $(cat {one.folder}/*/cgroup.procs); do taskset -a -p -c 1 $pid; done")
    try:
        yield
    finally:
        for one in launchers:
            second.sh(f"for pid in $(cat {one.folder}/*/cgroup.procs); do taskset -a -p -c 0-1 $pid; done")


def test_the_same_chart_runs_there_and_the_controller_reaches_it():
    scene.eventually("a NodePartition of the second node", lambda: (cluster.get("npart", paths.SECOND_NAME) or {}).get("status"), 60)
    scene.eventually("the controller's stream", lambda: scene.condition(cluster.get("npart", paths.SECOND_NAME)["status"], "Ready").get("status") == "True", 60)
    status = cluster.get("npart", paths.SECOND_NAME)["status"]
    assert status["agentVersion"] == scene.npart()["agentVersion"]
    pod = product.pod_of("agent", paths.SECOND_NAME)["metadata"]["name"]
    probed = cluster.kubectl("exec", "-n", product.NAMESPACE, pod, "-c", "agent", "--", "sh", "-c", "/usr/bin/whorl-agent probe || true").stdout
    print(probed)
    assert "this node can sense and set" in probed
    lines = {line.split()[1]: line.split() for line in probed.splitlines() if line.startswith(("  yes", "  NO"))}
    assert lines["cgroups"][2] == "v2"
    for name in ("cpu.shares", "cpu.quota", "cpu.pressure", "memory.pressure", "io.pressure", "syscalls", "journal"):
        assert lines[name][0] == "yes", lines[name]


def test_the_agent_finds_the_launchers(agent, pods):
    for pod in agent.enrol(*pods):
        assert pod["found"], pod
    assert agent.call("describe")["cgroup"] == "CGROUP_VERSION_V2"


def test_a_quota_is_what_a_guest_gets(agent, pods, found):
    left, right = pods
    with agent.holding({left: {"allocation_millicores": 250, "quota_millicores": 250}, right: {"allocation_millicores": 400, "quota_millicores": 400}}):
        assert (left.read("cpu.max"), right.read("cpu.max")) == ("25000 100000", "40000 100000")
        assert close_to((0.25, 0.4), left, right)


def test_weights_divide_a_core_that_both_want(agent, pods, found):
    left, right = pods
    with agent.holding({left: {"shares": 2048}, right: {"shares": 6144}}), one_core(left, right):
        weights = [int(pod.read("cpu.weight")) for pod in pods]
        assert 2.9 < weights[1] / weights[0] < 3.1, weights
        assert close_to([weight / sum(weights) for weight in weights], left, right, of=lambda got: [share / sum(got) for share in got])


def test_a_lease_that_is_not_renewed_runs_out(agent, pods, found):
    left, _ = pods
    agent.apply({left: {"quota_millicores": 300}}, lease_seconds=3)
    assert left.read("cpu.max") == "30000 100000"
    scene.eventually("the quota is as found", lambda: left.read("cpu.max") == "max 100000", 8)


def test_cores_bind_a_vcpu(pods, found):
    left, _ = pods
    for core in (0, 1):
        with second_node.bound(left, core), second_node.busy(left):
            seen = left.cores_of_vcpus(10)
            print(f"bound to core {core}: seen {len(seen)} times, on {sorted(set(seen))}")
            assert set(seen) == {core}


def test_memory_high_keeps_a_pod_below(pods, found):
    left, _ = pods
    left.run("dd if=/dev/zero of=/private/much bs=1M count=160 conv=fsync 2> /dev/null")
    with second_node.written({f"{left.folder}/memory.high": 112 * MIB}):
        most = 0
        reading = left.begin("cat /private/much /private/much > /dev/null")
        while reading.poll() is None:
            most = max(most, int(left.read("memory.current")))
        assert reading.returncode == 0, reading.stdout.read()
        reached = int(dict(line.split() for line in left.read("memory.events").splitlines())["high"])
    print(f"memory.high of 112 MiB while 160 MiB are read: never above {most / MIB:.1f} MiB, {reached} times held back")
    assert reached > 0 and most <= 112 * MIB * (1 + WITHIN)


def test_memory_low_protects_a_pod_when_its_node_is_short(pods, found):
    left, right = pods
    for one in pods:
        one.run("dd if=/dev/zero of=/private/much bs=1M count=96 conv=fsync 2> /dev/null; cat /private/much > /dev/null")
    before = [int(one.read("memory.current")) for one in pods]
    with second_node.written({f"{folder}/memory.low": 192 * MIB for folder in (left.folder, "/sys/fs/cgroup/kubepods/burstable")}):
        # The node is short of memory: somebody has to give some back.
        second.sh("echo 64M > /sys/fs/cgroup/kubepods/memory.reclaim")
        lost = [(was - int(one.read("memory.current"))) / MIB for was, one in zip(before, pods)]
    print(f"of 64 MiB taken back: {lost[0]:.1f} MiB from the protected pod, {lost[1]:.1f} MiB from the other")
    assert lost[0] <= 64 * WITHIN and lost[1] >= 32


def test_a_disk_limit_is_what_a_pod_writes(pods, found):
    left, _ = pods
    limit = 2 * MIB
    with second_node.written({f"{left.folder}/io.max": f"{second_node.DISK} wbps={limit}"}):
        writing = left.begin("timeout 16 dd if=/dev/zero of=/private/much bs=64k count=100000 oflag=direct conv=notrunc 2> /dev/null || true")
        scene.eventually("it writes", lambda: left.written()[0] > MIB, 20)
        second.sh("sleep 1")
        count, seconds = left.written(SECONDS)
        writing.wait()
    print(f"io.max: {count / seconds / MIB:.3f} MiB/s of {limit / MIB:.0f} MiB/s over {seconds:.1f} s")
    assert near(count / seconds, limit)
