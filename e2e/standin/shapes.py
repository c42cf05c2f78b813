"""What the objects look like: pure functions from one object to the next, held against recordings of a running KubeVirt by tests/e2e/standin_shapes_test.py."""

import copy
import hashlib
import uuid

API = "kubevirt.io/v1"
LAUNCHER_IMAGE = "localhost/launcher:whorl"
VM_FINALIZER = "kubevirt.io/virtualMachineControllerFinalize"
VMI_FINALIZERS = [VM_FINALIZER, "kubevirt.io/foregroundDeleteVirtualMachine"]
UNPAUSED = "kubevirt.io/virtual-machine-unpaused"
API_VERSIONS = {"kubevirt.io/latest-observed-api-version": "v1", "kubevirt.io/storage-observed-api-version": "v1"}
HOTPLUG_RATIO = 4
MIB = 1 << 20
RUN_AS = 107

FINAL_PHASES = ("Succeeded", "Failed")


def mib(quantity):
    """A Kubernetes memory quantity in MiB."""
    for suffix, factor in (("Gi", 1024), ("Mi", 1), ("Ki", 1 / 1024)):
        if quantity.endswith(suffix):
            return int(float(quantity[:-2]) * factor)
    return int(quantity) // MIB


def vcpus(domain):
    cpu = domain.get("cpu", {})
    return cpu.get("sockets", 1) * cpu.get("cores", 1) * cpu.get("threads", 1)


def overhead_mib(domain):
    """KubeVirt's estimate of what a launcher needs beside the guest: fixed parts, video, an I/O thread, and 8 MiB per vCPU."""
    return 280 + 8 * vcpus(domain)


def wants_to_run(vm):
    spec = vm["spec"]
    return spec.get("runStrategy", "Always" if spec.get("running") else "Halted") in ("Always", "RerunOnFailure")


def owner(kind, of):
    return [{"apiVersion": API, "blockOwnerDeletion": True, "controller": True, "kind": kind, "name": of["metadata"]["name"], "uid": of["metadata"]["uid"]}]


def make_vmi(vm):
    """The VMI of a VM, with what KubeVirt's mutating webhooks fill in."""
    meta, template = vm["metadata"], vm["spec"]["template"]
    spec = copy.deepcopy(template["spec"])
    domain = spec["domain"]
    cpu = domain.setdefault("cpu", {})
    cpu.setdefault("cores", 1)
    cpu.setdefault("sockets", 1)
    cpu.setdefault("maxSockets", cpu["sockets"] * HOTPLUG_RATIO)
    cpu.setdefault("model", "host-model")
    guest = domain.setdefault("memory", {}).setdefault("guest", "128Mi")
    # Memory hotplug starts at 1 Gi; a smaller guest gets no maxGuest.
    if mib(guest) >= 1024:
        domain["memory"].setdefault("maxGuest", f"{mib(guest) * HOTPLUG_RATIO // 1024}Gi")
    domain.setdefault("features", {}).setdefault("acpi", {"enabled": True})
    firmware = domain.setdefault("firmware", {})
    firmware.setdefault("uuid", str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{meta['namespace']}/{meta['name']}")))
    firmware.setdefault("serial", str(uuid.uuid5(uuid.NAMESPACE_DNS, f"serial/{meta['namespace']}/{meta['name']}")))
    domain.setdefault("machine", {}).setdefault("type", "q35")
    domain.setdefault("resources", {})
    spec.setdefault("architecture", "amd64")
    spec.setdefault("evictionStrategy", "None")
    return {
        "apiVersion": API, "kind": "VirtualMachineInstance",
        "metadata": {
            "name": meta["name"], "namespace": meta["namespace"], "labels": dict(template.get("metadata", {}).get("labels", {})),
            "annotations": {**template.get("metadata", {}).get("annotations", {}), **API_VERSIONS, "kubevirt.io/pci-topology-version": "v3", "kubevirt.io/vm-generation": str(meta["generation"])},
            "finalizers": list(VMI_FINALIZERS), "ownerReferences": owner("VirtualMachine", vm),
        },
        "spec": spec,
        # No status subresource: it is part of the object from the start.
        "status": {
            "phase": "Pending", "runtimeUser": RUN_AS, "guestOSInfo": {}, "currentCPUTopology": {"cores": cpu["cores"], "sockets": cpu["sockets"]},
            "memory": {"guestAtBoot": guest, "guestCurrent": guest, "guestRequested": guest, "memoryOverhead": f"{overhead_mib(domain)}Mi"},
            "virtualMachineRevisionName": f"revision-start-vm-{meta['uid']}-{meta['generation']}",
        },
    }


def mac(vmi):
    digest = hashlib.sha256(vmi["metadata"]["uid"].encode()).digest()
    return "02:" + ":".join(f"{byte:02x}" for byte in digest[:5])


def make_pod(vmi, guest_folder, domain_type):
    """The launcher pod of a VMI. `guest_folder` on the node holds kernel and initramfs; `domain_type` is kvm or qemu."""
    meta, domain = vmi["metadata"], vmi["spec"]["domain"]
    name, uid = meta["name"], meta["uid"]
    count = vcpus(domain)
    guest_mib = mib(domain["memory"]["guest"])
    environment = {
        "VCPUS": count, "MAX_VCPUS": count // domain["cpu"]["sockets"] * domain["cpu"]["maxSockets"], "MEMORY_KIB": guest_mib * 1024, "DOMAIN_UUID": domain["firmware"]["uuid"],
        "MAC": mac(vmi), "DOMAIN_TYPE": domain_type, "DISK_MIB": 64,
    }
    xdg = [{"name": "XDG_CACHE_HOME", "value": "/var/run/kubevirt-private"}, {"name": "XDG_CONFIG_HOME", "value": "/var/run/kubevirt-private"}, {"name": "XDG_RUNTIME_DIR", "value": "/var/run"}]
    user = {"runAsUser": RUN_AS, "runAsGroup": RUN_AS, "runAsNonRoot": True}
    locked = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True, "runAsUser": RUN_AS}
    emptied = ("private", "public", "sockets", "virt-bin-share-dir", "libvirt-runtime", "ephemeral-disks", "container-disks", "hotplug-disks")
    devices = [{"name": "dev-net", "hostPath": {"path": "/run/whorl-dev/net"}}]
    device_mounts = [{"mountPath": "/dev/net", "name": "dev-net"}]
    if domain_type == "kvm":
        devices.append({"name": "dev-kvm", "hostPath": {"path": "/run/whorl-dev/kvm/kvm", "type": "CharDevice"}})
        device_mounts.append({"mountPath": "/dev/kvm", "name": "dev-kvm"})
    return {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "generateName": f"virt-launcher-{name}-", "namespace": meta["namespace"],
            "labels": {**{k: v for k, v in meta.get("labels", {}).items() if k != "kubevirt.io/nodeName"}, "kubevirt.io": "virt-launcher", "kubevirt.io/created-by": uid,
                       "vm.kubevirt.io/name": name, "vmi.kubevirt.io/id": name},
            "annotations": {**{k: v for k, v in meta["annotations"].items() if k not in API_VERSIONS}, "descheduler.alpha.kubernetes.io/request-evict-only": "",
                            "kubectl.kubernetes.io/default-container": "compute", "kubevirt.io/domain": name, "kubevirt.io/memory-overhead-bytes": str(overhead_mib(domain) * MIB),
                            "kubevirt.io/migrationTransportUnix": "true"},
            "ownerReferences": owner("VirtualMachineInstance", vmi),
        },
        "spec": {
            "restartPolicy": "Never", "automountServiceAccountToken": False, "enableServiceLinks": False, "hostname": name,
            "terminationGracePeriodSeconds": vmi["spec"].get("terminationGracePeriodSeconds", 10) + 30,
            "readinessGates": [{"conditionType": UNPAUSED}],
            "nodeSelector": {"kubernetes.io/arch": "amd64", "kubevirt.io/schedulable": "true", "machine-type.node.kubevirt.io/q35": "true"},
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": "node-labeller.kubevirt.io/obsolete-host-model", "operator": "DoesNotExist"}]}]}}},
            "securityContext": {**user, "fsGroup": RUN_AS},
            "initContainers": [
                {"name": "launcher-network", "image": LAUNCHER_IMAGE, "imagePullPolicy": "Never", "command": ["/usr/bin/launcher-network"], "volumeMounts": device_mounts[:1],
                 "securityContext": {"runAsUser": 0, "runAsGroup": 0, "runAsNonRoot": False, "capabilities": {"add": ["NET_ADMIN"]}}},
                {"name": "guest-console-log", "image": LAUNCHER_IMAGE, "imagePullPolicy": "Never", "restartPolicy": "Always", "command": ["/usr/bin/virt-tail"],
                 "args": ["--logfile", f"/var/run/kubevirt-private/{uid}/virt-serial0-log"], "securityContext": locked,
                 "resources": {"requests": {"cpu": "5m", "memory": "35M"}, "limits": {"cpu": "15m", "memory": "60M"}},
                 "volumeMounts": [{"mountPath": "/var/run/kubevirt-private", "name": "private", "readOnly": True}]},
            ],
            "containers": [{
                "name": "compute", "image": LAUNCHER_IMAGE, "imagePullPolicy": "Never", "command": ["/usr/bin/virt-launcher-monitor"],
                "args": ["--name", name, "--uid", uid, "--namespace", meta["namespace"]],
                "env": [*xdg, {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}, *[{"name": key, "value": str(value)} for key, value in environment.items()]],
                # A tenth of a core for each vCPU and no CPU limit, as KubeVirt's default ratio has it.
                "resources": {"requests": {"cpu": f"{count * 100}m", "memory": f"{guest_mib + overhead_mib(domain)}Mi", "ephemeral-storage": "50M", "devices.kubevirt.io/tun": "1"},
                              "limits": {"devices.kubevirt.io/tun": "1"}},
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]}, **user},
                "volumeMounts": [
                    {"mountPath": "/var/run/kubevirt-private", "name": "private"}, {"mountPath": "/var/run/kubevirt", "name": "public"},
                    {"mountPath": "/var/run/kubevirt-ephemeral-disks", "name": "ephemeral-disks"}, {"mountPath": "/var/run/libvirt", "name": "libvirt-runtime"},
                    {"mountPath": "/var/run/kubevirt/sockets", "name": "sockets"},
                    {"mountPath": "/var/run/kubevirt/container-disks", "name": "container-disks", "mountPropagation": "HostToContainer"},
                    {"mountPath": "/var/run/kubevirt/hotplug-disks", "name": "hotplug-disks", "mountPropagation": "HostToContainer"},
                    *device_mounts, {"mountPath": "/guest", "name": "guest", "readOnly": True}],
            }],
            "volumes": [*[{"name": volume, "emptyDir": {}} for volume in emptied], *devices, {"name": "guest", "hostPath": {"path": str(guest_folder), "type": "Directory"}}],
        },
    }


def condition_of(obj, kind):
    return next((c for c in obj.get("status", {}).get("conditions", []) if c["type"] == kind), None)


def pod_ready(pod):
    found = condition_of(pod, "Ready")
    return bool(found and found["status"] == "True")


def containers_ready(pod):
    found = condition_of(pod, "ContainersReady")
    return bool(found and found["status"] == "True")


def gone(pod):
    return pod.get("status", {}).get("phase") in FINAL_PHASES


def vmi_status(vmi, pods, domain, now):
    """The VMI's status from its launcher pods and what libvirt says (`domain`: None, or state and balloon in KiB). Values that are not ours to know stay."""
    old = vmi.get("status", {})
    status = copy.deepcopy(old)
    # As in KubeVirt: every launcher that still exists, ended ones too.
    status["activePods"] = {pod["metadata"]["uid"]: pod["spec"].get("nodeName", "") for pod in pods}
    pod = next((p for p in reversed(pods) if not gone(p)), pods[-1] if pods else None)
    status["phase"] = next_phase(old.get("phase", "Pending"), pod, domain)
    seen = status.setdefault("phaseTransitionTimestamps", [])
    if not seen or seen[-1]["phase"] != status["phase"]:
        seen.append({"phase": status["phase"], "phaseTransitionTimestamp": now})
    if pod and pod["spec"].get("nodeName"):
        status["launcherContainerImageVersion"] = LAUNCHER_IMAGE
        status["qosClass"] = pod.get("status", {}).get("qosClass", "Burstable")
    if status["phase"] in ("Scheduled", "Running"):
        status["nodeName"] = pod["spec"]["nodeName"]
        status["migrationTransport"] = "Unix"
        status["selinuxContext"] = "none"
    if status["phase"] == "Running" and domain:
        status["memory"]["guestCurrent"] = f"{domain['balloonKiB'] // 1024}Mi" if domain["balloonKiB"] % (1024 * 1024) else f"{domain['balloonKiB'] >> 20}Gi"
        status["machine"] = {"type": domain["machine"]}
        status["migrationMethod"] = "BlockMigration"
        address = pod.get("status", {}).get("podIP", "")
        status["interfaces"] = [{"infoSource": "domain", "ipAddress": address, "ipAddresses": [address], "linkState": "up", "mac": mac(vmi), "name": "default",
                                 "podInterfaceName": "eth0", "queueCount": 1}]
        status["volumeStatus"] = [{"name": volume["name"], "target": f"vd{chr(ord('a') + i)}"} for i, volume in enumerate(vmi["spec"].get("volumes", []))]
    status["conditions"] = vmi_conditions(old.get("conditions", []), status["phase"], pod, now)
    return status


def next_phase(phase, pod, domain):
    if phase in FINAL_PHASES:
        return phase
    if pod is None:
        return "Pending" if phase == "Pending" else "Failed"
    if gone(pod):
        return pod["status"]["phase"]
    if phase == "Running" or (domain and domain["state"] == "running"):
        return "Running"
    return "Scheduled" if containers_ready(pod) else "Scheduling"


def vmi_conditions(old, phase, pod, now):
    if phase == "Running":
        ready = condition_of(pod, "Ready") if pod else None
        if ready and ready["status"] == "True":
            wanted = [{"type": "Ready", "status": "True", "lastProbeTime": None, "lastTransitionTime": ready["lastTransitionTime"]}]
        else:
            wanted = [{"type": "Ready", "status": "False", "lastProbeTime": None, "lastTransitionTime": now, "reason": "PodNotReady", "message": "The launcher pod is not ready"}]
        for kind in ("LiveMigratable", "StorageLiveMigratable"):
            wanted.append({"type": kind, "status": "True", "lastProbeTime": None, "lastTransitionTime": None})
        return _keep_times(old, wanted)
    return _keep_times(old, [{"type": "Ready", "status": "False", "lastProbeTime": now, "lastTransitionTime": now, "reason": "GuestNotRunning", "message": "Guest VM is not reported as running"}])


def _keep_times(old, wanted):
    """A condition that says what it said before keeps its times: a status is written on change only."""
    before = {c["type"]: c for c in old}
    for condition in wanted:
        earlier = before.get(condition["type"])
        if earlier and all(earlier.get(k) == condition.get(k) for k in ("status", "reason", "message")):
            condition.update({k: earlier.get(k) for k in ("lastProbeTime", "lastTransitionTime")})
    # What others put there stays.
    return wanted + [c for c in old if c["type"] not in {w["type"] for w in wanted} | {"Ready", "LiveMigratable", "StorageLiveMigratable"}]


def vm_status(vm, vmi, now):
    """The VM's status from its VMI. Fields that the stand-in does not know stay."""
    status = copy.deepcopy(vm.get("status", {}))
    phase = vmi["status"].get("phase", "Pending") if vmi else None
    running = phase == "Running"
    ready = bool(running and (condition_of(vmi, "Ready") or {}).get("status") == "True")
    status["created"] = vmi is not None
    status["ready"] = ready
    status["desiredGeneration"] = status["observedGeneration"] = vm["metadata"]["generation"]
    status["runStrategy"] = vm["spec"].get("runStrategy", "Halted")
    status["printableStatus"] = printable(vm, vmi, phase)
    if vmi:
        status["conditions"] = copy.deepcopy(vmi["status"].get("conditions", []))
    else:
        status["conditions"] = _keep_times(status.get("conditions", []), [{"type": "Ready", "status": "False", "lastProbeTime": now, "lastTransitionTime": now, "reason": "VMINotExists", "message": "VMI does not exist"}])
    status["volumeSnapshotStatuses"] = [{"enabled": False, "name": volume["name"], "reason": f"Snapshot is not supported for this volumeSource type [{volume['name']}]"}
                                        for volume in vm["spec"]["template"]["spec"].get("volumes", [])]
    return status


def printable(vm, vmi, phase):
    if vm["metadata"].get("deletionTimestamp"):
        return "Terminating"
    if vmi is None:
        return "Starting" if wants_to_run(vm) else "Stopped"
    if vmi["metadata"].get("deletionTimestamp") or not wants_to_run(vm):
        return "Stopping"
    if phase == "Failed":
        return "CrashLoopBackOff"
    return "Running" if phase == "Running" else "Starting"
