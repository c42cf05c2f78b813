"""Hotplug of sockets and guest memory, as KubeVirt carries it out: decisions over objects, values in and values out.

A change of the VM's template is judged as virt-controller judges it (RestartRequired, or the VMI's spec follows), the VMI gets HotVCPUChange or HotMemoryChange,
a VirtualMachineInstanceMigration is made, a target pod starts, and when its guest runs the VMI's status follows. What is not KubeVirt's: the target's guest
boots anew instead of carrying on.
"""

import copy
from datetime import datetime

from . import shapes

MIGRATION_FINALIZER = "kubevirt.io/migrationJobFinalize"
# On a VirtualMachine, to see how its users bear it.
FAIL_MIGRATION = "standin.whorl.dev/fail-migration"  # "true": every migration fails
RESTART_REQUIRED = "standin.whorl.dev/restart-required"  # a text: any change of size is answered with it
# On a node besides the first that can run guests; without one a target goes to the node its source runs on.
RUNS_GUESTS = "standin.whorl.dev/runs-guests=true"
FINAL = ("Succeeded", "Failed")
VM_ONLY = ("RestartRequired", "Failure")  # conditions that a VM has of its own, not from its VMI


def ended(migration):
    return migration.get("status", {}).get("phase") in FINAL


def job_of(pod):
    return pod["metadata"].get("labels", {}).get("kubevirt.io/migrationJobUID")


def is_target(pod, migrations):
    """Whether the pod is the target of a migration that has not ended well: nothing runs there that counts."""
    return any(job_of(pod) == m["metadata"]["uid"] and m.get("status", {}).get("phase") != "Succeeded" for m in migrations)


def since_last_failure(migrations, now):
    """Seconds since the last migration was made, if that failed; else infinite."""
    if not migrations or migrations[-1].get("status", {}).get("phase") != "Failed":
        return float("inf")
    made = datetime.strptime(migrations[-1]["metadata"]["creationTimestamp"], "%Y-%m-%dT%H:%M:%SZ")
    return (datetime.strptime(now, "%Y-%m-%dT%H:%M:%SZ") - made).total_seconds()


def sockets_of(domain):
    return domain.get("cpu", {}).get("sockets")


def guest_of(domain):
    return domain.get("memory", {}).get("guest")


def judge(vm, vmi, migrating):
    """What a running VM's template means to its VMI: (patch of the VMI's spec.domain or None, RestartRequired's message or None, Failure's message or None)."""
    wanted, have = vm["spec"]["template"]["spec"]["domain"], vmi["spec"]["domain"]
    sockets, guest = sockets_of(wanted), guest_of(wanted)
    more_sockets = sockets is not None and sockets != sockets_of(have)
    more_memory = guest is not None and shapes.mib(guest) != shapes.mib(guest_of(have))
    if not more_sockets and not more_memory:
        return None, None, None
    message = vm["metadata"].get("annotations", {}).get(RESTART_REQUIRED)
    if message:
        return None, message, None
    conditions = {c["type"]: c["status"] for c in vmi["status"].get("conditions", [])}
    patch = {}
    if more_sockets:
        if sockets < sockets_of(have):
            return None, "Reduction of CPU socket count requires a restart", None
        if sockets > have["cpu"].get("maxSockets", 0):
            return None, "CPU sockets updated in template spec to a value higher than what's available", None
        if conditions.get("HotVCPUChange") == "True":
            return None, None, "another CPU hotplug is in progress"
        if migrating:
            return None, None, "CPU hotplug is not allowed while VMI is migrating"
        patch["cpu"] = {"sockets": sockets}
    if more_memory:
        if conditions.get("HotMemoryChange") == "True":
            return None, None, "another memory hotplug is in progress"
        if migrating:
            return None, None, "memory hotplug is not allowed while VMI is migrating"
        if conditions.get("LiveMigratable") != "True":
            return None, "memory updated in template spec. Memory-hotplug is only available for migratable VMs", None
        if not have["memory"].get("maxGuest"):
            return None, "memory updated in template spec. Memory-hotplug is not available for this VM configuration", None
        if shapes.mib(guest) < shapes.mib(vmi["status"]["memory"]["guestAtBoot"]):
            return None, "memory updated in template spec to a value lower than what the VM started with", None
        if shapes.mib(guest) > shapes.mib(have["memory"]["maxGuest"]):
            return None, "memory updated in template spec to a value higher than what's available", None
        patch["memory"] = {"guest": guest}
    return patch, None, None


def pending(vmi):
    """Which conditions say that the guest has not what the VMI's spec says."""
    domain, status, wanted = vmi["spec"]["domain"], vmi["status"], []
    current = status.get("currentCPUTopology", {}).get("sockets")
    if current is not None and current != sockets_of(domain):
        wanted.append("HotVCPUChange")
    requested = status.get("memory", {}).get("guestRequested")
    if requested is not None and shapes.mib(requested) != shapes.mib(guest_of(domain)):
        wanted.append("HotMemoryChange")
    return wanted


def with_conditions(conditions, kinds, now, known=("HotVCPUChange", "HotMemoryChange")):
    """The VMI's conditions with those of a hotplug as they should be; others stay."""
    before = {c["type"]: c for c in conditions}
    kept = [c for c in conditions if c["type"] not in known]
    return kept + [before.get(kind) or {"type": kind, "status": "True", "lastProbeTime": None, "lastTransitionTime": now} for kind in kinds]


def vm_conditions(conditions, restart, failure, now):
    """The VM's conditions with RestartRequired and Failure; both go when what they are about is taken back."""
    before = {c["type"]: c for c in conditions}
    out = [c for c in conditions if c["type"] not in VM_ONLY]
    for kind, message, reason in (("RestartRequired", restart, None), ("Failure", failure, "HotPlugCPUError")):
        if message:
            old = before.get(kind)
            fresh = {"type": kind, "status": "True", "message": message, "lastProbeTime": None, "lastTransitionTime": now, **({"reason": reason} if reason else {})}
            out.append(old if old and old.get("message") == message else fresh)
    return out


def make_migration(vmi):
    """As the workload updater makes it."""
    meta = vmi["metadata"]
    return {
        "apiVersion": shapes.API, "kind": "VirtualMachineInstanceMigration",
        "metadata": {"generateName": "kubevirt-workload-update-", "namespace": meta["namespace"], "annotations": {"kubevirt.io/workloadUpdateMigration": ""},
                     "labels": {"kubevirt.io/vmi-name": meta["name"]}, "finalizers": [MIGRATION_FINALIZER]},
        "spec": {"vmiName": meta["name"], "priority": "user-triggered"},
    }


def make_target(vmi, migration, pod, spread):
    """The launcher pod a migration goes to; on another node where there is one (`spread`), else wherever there is room."""
    pod = copy.deepcopy(pod)
    pod["metadata"]["labels"]["kubevirt.io/migrationJobUID"] = migration["metadata"]["uid"]
    pod["metadata"]["annotations"]["kubevirt.io/migrationJobName"] = migration["metadata"]["name"]
    if spread:
        term = {"labelSelector": {"matchLabels": {"kubevirt.io/created-by": vmi["metadata"]["uid"]}}, "topologyKey": "kubernetes.io/hostname"}
        pod["spec"].setdefault("affinity", {})["podAntiAffinity"] = {"requiredDuringSchedulingIgnoredDuringExecution": [term]}
    return pod


def next_phase(phase, target, target_runs):
    """One step of a migration by its target pod (None: not there yet)."""
    if phase in FINAL:
        return phase
    if target is not None and shapes.gone(target):
        return "Failed"
    if not phase:
        return "Pending"
    if phase == "Pending":
        return "Scheduling" if target is not None else phase
    if phase == "Scheduling":
        return "Scheduled" if shapes.containers_ready(target) else phase
    if phase == "Running":
        return "Succeeded" if target_runs else phase
    order = ("Scheduled", "PreparingTarget", "TargetReady", "Running")
    return order[order.index(phase) + 1]


def migration_state(vmi, migration, target, phase, now):
    """VMI.status.migrationState while the migration is at `phase`, None before it is scheduled."""
    old = vmi["status"].get("migrationState") or {}
    if old.get("migrationUid") != migration["metadata"]["uid"]:
        old = {}
    if phase in ("", "Pending", "Scheduling") or target is None:
        return vmi["status"].get("migrationState")
    state = {**old, "migrationUid": migration["metadata"]["uid"], "sourceNode": old.get("sourceNode", vmi["status"].get("nodeName", "")),
             "targetNode": target["spec"].get("nodeName", ""), "targetPod": target["metadata"]["name"]}
    if phase in ("Running", *FINAL):
        state.setdefault("startTimestamp", now)
    if phase in FINAL:
        state.setdefault("endTimestamp", now)
        state["completed"] = True
    if phase == "Failed":
        state["failed"] = True
    return state


def completed(vmi):
    """What a VMI's status says when its migration has ended well: the guest has what the spec says."""
    domain = vmi["spec"]["domain"]
    topology = {**vmi["status"].get("currentCPUTopology", {}), "sockets": sockets_of(domain)}
    memory = {**vmi["status"].get("memory", {}), "guestRequested": guest_of(domain), "guestCurrent": guest_of(domain)}
    return {"currentCPUTopology": topology, "memory": memory}
