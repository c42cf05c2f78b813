"""The stand-in's objects, held against recordings of a running KubeVirt (tests/data/kubevirt).

Compared is the shape: which labels, annotations, owner references, conditions, status and spec fields there are. Where the stand-in differs, the difference
stands below with its reason; one that is not listed fails, and so does one that is listed and no longer there.
"""

from pathlib import Path

import pytest
import yaml

from standin import shapes

DATA = Path(__file__).resolve().parents[2] / "data" / "kubevirt"
NOW = "2026-01-01T00:00:00Z"
UID = "9254c981-88c2-452a-8b84-ef211e747fa9"

# Fields in KubeVirt's object that ours lacks ("-") or ours has beyond ("+"), by object.
DIFFERENCES = {
    "vmi": {
        "- spec.domain.firmware.kernelBoot": "the world's launcher brings the kernel itself (a containerDisk needs an image registry)",
        "+ spec.volumes[].emptyDisk": "the guests' disk: a containerDisk needs KubeVirt's container-disk program",
        "- spec.volumes[].containerDisk": "see emptyDisk",
        "- metadata.creationTimestamp": "set by the API server", "- metadata.generation": "set by the API server",
        "- metadata.resourceVersion": "set by the API server",
    },
    "pod": {
        **{f"- metadata.annotations.{name}": "calls virt-freezer, which the world's launcher has not" for name in (
            "post.hook.backup.velero.io/command", "post.hook.backup.velero.io/container", "pre.hook.backup.velero.io/command", "pre.hook.backup.velero.io/container",
            "pre.hook.backup.velero.io/timeout")},
        **{f"- metadata.annotations.{name}": "for Istio, which the world has not" for name in ("istio.io/reroute-virtual-interfaces", "traffic.sidecar.istio.io/kubevirtInterfaces")},
        "+ spec.containers[compute].volumeMounts[/dev/net]": "KubeVirt's device plugin gives /dev/net/tun",
        "+ spec.containers[compute].volumeMounts[/guest]": "kernel and initramfs; KubeVirt has them in a container disk",
        "+ spec.initContainers[launcher-network]": "bridge and tap, which virt-handler makes from the node",
        **{f"- spec.containers[{name}]": "container disks" for name in ("volumed", "volumekernel-boot-volume")},
        **{f"- spec.initContainers[{name}]": "container disks" for name in ("container-disk-binary", "volumed-init", "volumekernel-boot-volume-init")},
        "+ spec.volumes[dev-net]": "see /dev/net", "+ spec.volumes[guest]": "see /guest",
    },
}


def recorded(name):
    return yaml.safe_load((DATA / name).read_text())


def our_vm():
    return {
        "metadata": {"name": "db-1", "namespace": "default", "uid": "180b3414-ca79-47ed-a5eb-5474fe970c07", "generation": 1, "annotations": {"whorl.dev/mode": "observe"}},
        "spec": {"runStrategy": "Always", "template": {"metadata": {"labels": {"app": "db"}}, "spec": {
            "domain": {"cpu": {"cores": 1, "sockets": 1}, "memory": {"guest": "1Gi"},
                       "devices": {"disks": [{"disk": {"bus": "virtio"}, "name": "d"}], "interfaces": [{"masquerade": {}, "name": "default"}]}},
            "networks": [{"name": "default", "pod": {}}], "terminationGracePeriodSeconds": 10, "volumes": [{"name": "d", "emptyDisk": {"capacity": "64Mi"}}]}}},
    }


def our_vmi():
    vmi = shapes.make_vmi(our_vm())
    vmi["metadata"]["uid"] = UID
    return vmi


def our_pod(ready=True, phase="Running"):
    pod = shapes.make_pod(our_vmi(), "/guest", "qemu")
    pod["metadata"].update(name="virt-launcher-db-1-abcde", uid="460bd230-bfab-4f98-9cc8-ffac27854c88")
    pod["spec"]["nodeName"] = "hostnode"
    answer = "True" if ready else "False"
    pod["status"] = {"phase": phase, "qosClass": "Burstable", "podIP": "10.244.0.7",
                     "conditions": [{"type": kind, "status": answer, "lastTransitionTime": NOW} for kind in ("ContainersReady", "Ready")]}
    return pod


DOMAIN = {"state": "running", "balloonKiB": 1 << 20, "machine": "pc-q35-7.2"}


def running_vmi():
    vmi = our_vmi()
    for domain in (None, None, DOMAIN):
        vmi["status"] = shapes.vmi_status(vmi, [our_pod(ready=domain is not None or vmi["status"]["phase"] == "Scheduling")], domain, NOW)
    vmi["metadata"]["labels"]["kubevirt.io/nodeName"] = vmi["status"]["nodeName"]
    return vmi


def differences(theirs, ours, where=""):
    """What only one of two objects has, by key; lists of named things are compared by name, others by what all their items have."""
    found = set()
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in theirs.keys() | ours.keys():
            at = f"{where}.{key}" if where else key
            if key not in ours:
                found.add(f"- {at}")
            elif key not in theirs:
                found.add(f"+ {at}")
            else:
                found |= differences(theirs[key], ours[key], at)
    elif isinstance(theirs, list) and isinstance(ours, list):
        left, right = by_name(theirs), by_name(ours)
        for name in left.keys() | right.keys():
            at = f"{where}[{name}]"
            if name not in right:
                found.add(f"- {at}")
            elif name not in left:
                found.add(f"+ {at}")
            else:
                found |= differences(left[name], right[name], at)
    return found


def by_name(items):
    if all(isinstance(item, dict) for item in items):
        for key in ("mountPath", "type", "name"):
            if items and all(key in item for item in items) and len({item[key] for item in items}) == len(items):
                # A guest's own names (its disks, its networks) say nothing about the shape.
                return {"" if len(items) == 1 and key == "name" and item[key] in ("d", "default") else item[key]: item for item in items}
        merged = {}
        for item in items:
            merged.update(item)
        return {"": merged} if items else {}
    return {}


def check(kind, theirs, ours):
    found, listed = differences(theirs, ours), set(DIFFERENCES[kind])
    # A listed difference may stand for everything below it.
    unlisted = {d for d in found if not any(d == known or d.startswith((known + ".", known + "[")) for known in listed)}
    stale = {known for known in listed if not any(d == known or d.startswith((known + ".", known + "[")) for d in found)}
    assert not unlisted, "the stand-in differs from KubeVirt:\n" + "\n".join(sorted(unlisted))
    assert not stale, "listed differences that are none any more:\n" + "\n".join(sorted(stale))


def test_a_running_instance_looks_like_kubevirts():
    check("vmi", recorded("vmi-running.yaml"), running_vmi())


def test_an_instance_being_scheduled_looks_like_kubevirts():
    vmi = our_vmi()
    vmi["status"] = shapes.vmi_status(vmi, [our_pod(ready=False)], None, NOW)
    theirs = recorded("vmi-scheduling.yaml")["status"]
    assert vmi["status"]["phase"] == "Scheduling"
    for status in (theirs, vmi["status"]):
        assert list(status.pop("activePods").values()) == ["hostnode"]
    assert differences(theirs, vmi["status"]) == set()
    assert vmi["status"]["conditions"][0]["reason"] == theirs["conditions"][0]["reason"]


def test_a_launcher_pod_looks_like_kubevirts():
    theirs, ours = recorded("launcher-pod-running.yaml"), our_pod()
    ours["metadata"]["labels"]["kubevirt.io/nodeName"] = "hostnode"
    keep = ("labels", "annotations", "ownerReferences", "generateName")
    theirs["metadata"] = {key: theirs["metadata"][key] for key in keep}
    ours["metadata"] = {key: ours["metadata"][key] for key in keep}
    filled_in = ("nodeName", "preemptionPolicy", "priority", "schedulerName", "serviceAccount", "serviceAccountName", "tolerations", "dnsPolicy")  # by the API server
    for pod in (theirs, ours):
        pod.pop("status")
        for key in filled_in:
            pod["spec"].pop(key, None)
        for container in pod["spec"]["containers"] + pod["spec"]["initContainers"]:
            for key in ("terminationMessagePath", "terminationMessagePolicy", "env", "args"):
                container.pop(key, None)
    check("pod", theirs, ours)


def test_values_that_whorl_reads_are_the_same_as_kubevirts():
    theirs, ours = recorded("launcher-pod-running.yaml"), our_pod()
    for key in ("kubevirt.io", "kubevirt.io/created-by", "vmi.kubevirt.io/id", "vm.kubevirt.io/name", "app"):
        assert ours["metadata"]["labels"][key] == theirs["metadata"]["labels"][key], key
    for key in ("kubevirt.io/domain", "kubevirt.io/memory-overhead-bytes"):
        assert ours["metadata"]["annotations"][key] == theirs["metadata"]["annotations"][key], key
    compute = {pod: next(c for c in objects["spec"]["containers"] if c["name"] == "compute") for pod, objects in (("theirs", theirs), ("ours", ours))}
    assert compute["ours"]["resources"] == compute["theirs"]["resources"]
    assert ours["metadata"]["ownerReferences"] == theirs["metadata"]["ownerReferences"]
    assert ours["spec"]["readinessGates"] == theirs["spec"]["readinessGates"]
    vmi = running_vmi()
    assert vmi["status"]["memory"] == recorded("vmi-running.yaml")["status"]["memory"]
    assert vmi["status"]["activePods"] == {"460bd230-bfab-4f98-9cc8-ffac27854c88": "hostnode"}
    assert [c["type"] for c in vmi["status"]["conditions"]] == [c["type"] for c in recorded("vmi-running.yaml")["status"]["conditions"]]


def test_a_vms_status_looks_like_kubevirts():
    ours = shapes.vm_status(our_vm(), running_vmi(), NOW)
    theirs = recorded("vm.yaml")["status"]
    assert differences(theirs, ours) == set()
    for key in ("created", "ready", "printableStatus", "runStrategy", "observedGeneration"):
        assert ours[key] == theirs[key], key


def test_the_balloon_is_what_libvirt_says():
    vmi = running_vmi()
    status = shapes.vmi_status(vmi, [our_pod()], {**DOMAIN, "balloonKiB": 786432}, NOW)
    assert status["memory"]["guestCurrent"] == "768Mi"
    assert status["memory"]["guestRequested"] == "1Gi"


def test_every_launcher_that_still_exists_is_among_the_active_pods():
    dead = our_pod(phase="Failed", ready=False)
    dead["metadata"]["uid"] = "dead"
    status = shapes.vmi_status(running_vmi(), [dead, our_pod()], DOMAIN, NOW)
    assert set(status["activePods"]) == {"dead", "460bd230-bfab-4f98-9cc8-ffac27854c88"}
    assert status["phase"] == "Running"


@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
def test_an_ended_launcher_ends_the_instance(phase):
    status = shapes.vmi_status(running_vmi(), [our_pod(phase=phase, ready=False)], None, NOW)
    assert status["phase"] == phase
    assert status["conditions"][0]["status"] == "False"


def test_a_vanished_launcher_fails_the_instance():
    assert shapes.vmi_status(running_vmi(), [], None, NOW)["phase"] == "Failed"


def test_an_unchanged_world_changes_no_status():
    vmi = running_vmi()
    again = shapes.vmi_status(vmi, [our_pod()], DOMAIN, "2027-01-01T00:00:00Z")
    assert again == vmi["status"]
    vm = our_vm()
    vm["status"] = shapes.vm_status(vm, vmi, NOW)
    assert shapes.vm_status(vm, vmi, "2027-01-01T00:00:00Z") == vm["status"]


def test_what_is_not_kubevirts_stays():
    vmi = running_vmi()
    vmi["status"]["conditions"].append({"type": "Foreign", "status": "True"})
    assert any(c["type"] == "Foreign" for c in shapes.vmi_status(vmi, [our_pod()], DOMAIN, NOW)["conditions"])
    assert "whorl.dev/mode" not in vmi["metadata"]["annotations"]
    assert not any("whorl" in key for key in our_pod()["metadata"]["annotations"])


def test_a_halted_vm_has_no_instance_and_says_stopped():
    vm = our_vm()
    vm["spec"]["runStrategy"] = "Halted"
    assert not shapes.wants_to_run(vm)
    assert shapes.vm_status(vm, None, NOW)["printableStatus"] == "Stopped"
