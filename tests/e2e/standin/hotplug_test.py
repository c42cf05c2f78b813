"""What the stand-in makes of a change of a VM's size, held against kubevirt.md's rules and recorded watch streams (tests/data/kubevirt)."""

import copy
import json
from pathlib import Path

import pytest

from standin import hotplug, shapes

DATA = Path(__file__).resolve().parents[2] / "data" / "kubevirt"
NOW = "2026-01-01T00:00:00Z"


def recorded(kind):
    return [json.loads(line)["object"] for line in (DATA / f"{kind}-watch-hotplug.jsonl").read_text().splitlines()]


def at(kind, version):
    return next(o for o in recorded(kind) if o["metadata"]["resourceVersion"] == str(version))


def running():
    """A VM and its VMI, as recorded before anything was changed."""
    return at("vm", 3147), at("vmi", 3146)


def sized(sockets=None, guest=None):
    vm, vmi = running()
    domain = vm["spec"]["template"]["spec"]["domain"]
    if sockets is not None:
        domain["cpu"]["sockets"] = sockets
    if guest is not None:
        domain["memory"] = {"guest": guest}
    return vm, vmi


def test_the_same_size_means_nothing():
    assert hotplug.judge(*running(), migrating=False) == (None, None, None)


def test_more_sockets_go_into_the_instance_as_recorded():
    patch, restart, failure = hotplug.judge(*sized(sockets=2), migrating=False)
    assert (restart, failure) == (None, None)
    vmi = at("vmi", 3146)
    vmi["spec"]["domain"]["cpu"].update(patch["cpu"])
    assert vmi["spec"]["domain"]["cpu"] == at("vmi", 3181)["spec"]["domain"]["cpu"]
    assert hotplug.pending(vmi) == ["HotVCPUChange"]
    kinds = [c["type"] for c in hotplug.with_conditions(vmi["status"]["conditions"], hotplug.pending(vmi), NOW)]
    assert kinds == [c["type"] for c in at("vmi", 3183)["status"]["conditions"]]


def test_both_in_one_change():
    patch, _, _ = hotplug.judge(*sized(sockets=2, guest="2Gi"), migrating=False)
    assert patch == {"cpu": {"sockets": 2}, "memory": {"guest": "2Gi"}}


@pytest.mark.parametrize("vm, message", [
    (dict(sockets=9), "CPU sockets updated in template spec to a value higher than what's available"),
    (dict(guest="512Mi"), "memory updated in template spec to a value lower than what the VM started with"),
    (dict(guest="64Gi"), "memory updated in template spec to a value higher than what's available"),
])
def test_what_needs_a_restart_says_so(vm, message):
    assert hotplug.judge(*sized(**vm), migrating=False) == (None, message, None)


def test_fewer_sockets_need_a_restart_as_recorded():
    vmi = at("vmi", 3317)
    patch, restart, _ = hotplug.judge(at("vm", 3316), vmi, migrating=False)
    assert patch is None
    said = next(c for c in at("vm", 3318)["status"]["conditions"] if c["type"] == "RestartRequired")
    assert restart == said["message"]
    ours = next(c for c in hotplug.vm_conditions([], restart, None, said["lastTransitionTime"]) if c["type"] == "RestartRequired")
    assert ours == said
    # Taken back, it goes.
    assert hotplug.judge(at("vm", 3326), vmi, migrating=False) == (None, None, None)
    assert hotplug.vm_conditions([said], None, None, NOW) == []


def test_an_instance_without_max_guest_or_migration_takes_no_memory():
    vm, vmi = sized(guest="2Gi")
    small = copy.deepcopy(vmi)
    del small["spec"]["domain"]["memory"]["maxGuest"]
    assert hotplug.judge(vm, small, migrating=False)[1].endswith("is not available for this VM configuration")
    stuck = copy.deepcopy(vmi)
    next(c for c in stuck["status"]["conditions"] if c["type"] == "LiveMigratable")["status"] = "False"
    assert hotplug.judge(vm, stuck, migrating=False)[1].endswith("is only available for migratable VMs")


def test_one_at_a_time():
    vm, vmi = sized(sockets=3)
    assert hotplug.judge(vm, vmi, migrating=True)[2] == "CPU hotplug is not allowed while VMI is migrating"
    vmi["status"]["conditions"].append({"type": "HotVCPUChange", "status": "True"})
    assert hotplug.judge(vm, vmi, migrating=False)[2] == "another CPU hotplug is in progress"


def test_an_annotation_asks_for_a_restart():
    vm, vmi = sized(sockets=2)
    vm["metadata"]["annotations"][hotplug.RESTART_REQUIRED] = "not on this VM"
    assert hotplug.judge(vm, vmi, migrating=False) == (None, "not on this VM", None)


def test_the_migration_is_made_as_recorded():
    ours, theirs = hotplug.make_migration(at("vmi", 3183)), recorded("vmim")[0]
    for part in ("generateName", "annotations", "labels", "finalizers"):
        assert ours["metadata"][part] == theirs["metadata"][part], part
    assert ours["spec"] == theirs["spec"]


def ready(name="target"):
    return {"metadata": {"name": name, "labels": {}, "annotations": {}}, "spec": {"nodeName": "vmnode"},
            "status": {"phase": "Running", "conditions": [{"type": "ContainersReady", "status": "True"}]}}


def test_it_goes_through_the_phases_that_were_recorded():
    phase, seen = "", []
    for _ in range(10):
        phase = hotplug.next_phase(phase, ready(), phase == "Running")
        if not seen or seen[-1] != phase:
            seen.append(phase)
    told = []
    for migration in recorded("vmim"):
        phase = migration.get("status", {}).get("phase")
        if phase and (not told or told[-1] != phase):
            told.append(phase)
    assert seen == told


def test_it_waits_for_its_target_and_fails_with_it():
    assert hotplug.next_phase("Pending", None, False) == "Pending"
    waiting = ready()
    waiting["status"] = {"phase": "Pending"}
    assert hotplug.next_phase("Scheduling", waiting, False) == "Scheduling"
    assert hotplug.next_phase("Running", ready(), False) == "Running"
    dead = ready()
    dead["status"]["phase"] = "Failed"
    assert hotplug.next_phase("Running", dead, False) == "Failed"


def test_the_state_says_what_was_recorded():
    vmi, migration = at("vmi", 3203), recorded("vmim")[-1]
    state = None
    for phase in ("Pending", "Scheduled", "Running", "Succeeded"):
        vmi["status"]["migrationState"] = state = hotplug.migration_state(vmi, migration, ready(), phase, NOW)
        assert (state is None) == (phase == "Pending")
    theirs = at("vmi", 3279)["status"]["migrationState"]
    assert set(state) <= set(theirs)
    assert {k: state[k] for k in ("migrationUid", "sourceNode", "targetNode", "completed")} == {k: theirs[k] for k in ("migrationUid", "sourceNode", "targetNode", "completed")}


def test_in_the_end_the_guest_has_what_the_spec_says():
    before, after = at("vmi", 3274), at("vmi", 3279)
    before["status"].update(hotplug.completed(before))
    assert before["status"]["currentCPUTopology"] == after["status"]["currentCPUTopology"]
    assert before["status"]["memory"] == after["status"]["memory"]
    assert hotplug.pending(before) == []


def test_a_target_counts_only_when_its_migration_has_ended_well():
    migration = recorded("vmim")[0]
    pod = ready()
    pod["metadata"]["labels"]["kubevirt.io/migrationJobUID"] = migration["metadata"]["uid"]
    for phase, target in (("Running", True), ("Failed", True), ("Succeeded", False)):
        migration["status"] = {"phase": phase}
        assert hotplug.is_target(pod, [migration]) == target
    assert not hotplug.is_target(ready(), [migration])


def test_a_failed_migration_is_tried_again_after_a_while():
    migration = recorded("vmim")[-1]
    made = migration["metadata"]["creationTimestamp"]
    assert hotplug.since_last_failure([], made) == float("inf")
    assert hotplug.since_last_failure([migration], made) == float("inf")
    migration["status"]["phase"] = "Failed"
    assert hotplug.since_last_failure([migration], made.replace(":39Z", ":49Z")) == 10


def test_a_target_goes_to_another_node_where_there_is_one():
    vmi, migration = at("vmi", 3183), recorded("vmim")[0]
    pod = {"metadata": {"labels": {"kubevirt.io/created-by": vmi["metadata"]["uid"]}, "annotations": {}}, "spec": {}}
    target = hotplug.make_target(vmi, migration, pod, spread=True)
    assert target["metadata"]["labels"]["kubevirt.io/migrationJobUID"] == migration["metadata"]["uid"]
    assert target["spec"]["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][0]["topologyKey"] == "kubernetes.io/hostname"
    assert "affinity" not in hotplug.make_target(vmi, migration, pod, spread=False)["spec"]
    assert "kubevirt.io/migrationJobUID" not in pod["metadata"]["labels"]


def test_shapes_still_reads_the_sizes_in_the_recordings():
    assert shapes.mib(at("vmi", 3146)["status"]["memory"]["guestAtBoot"]) == 1024
