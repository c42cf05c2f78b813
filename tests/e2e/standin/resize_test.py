"""The stand-in's loop over one change of size, against an API server in memory and a libvirt that always answers."""

import argparse
import copy
import itertools

import pytest
from standin import hotplug, node, shapes
from standin.__main__ import StandIn
from standin.__main__ import now as made

NOW = "2026-01-01T00:00:00Z"


def merge(target, patch):
    for key, value in patch.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            merge(target[key], value)
        elif value is None:
            target.pop(key, None)
        else:
            target[key] = copy.deepcopy(value)


class FakeApi:
    """Objects by kind and name. Pods run as soon as they are there."""

    def __init__(self):
        self.objects, self.numbers, self.nodes = {"vm": {}, "vmi": {}, "pod": {}, "vmim": {}}, itertools.count(1), []

    def create(self, kind, obj):
        obj = copy.deepcopy(obj)
        meta = obj["metadata"]
        meta.setdefault("name", f"{meta.get('generateName', '')}{next(self.numbers)}")
        meta.update(uid=f"uid-{meta['name']}", creationTimestamp=made() if kind == "vmim" else f"2026-01-01T00:00:{next(self.numbers):02d}Z", resourceVersion="1", generation=1)
        if kind == "pod":
            obj["spec"]["nodeName"] = "node-2" if "podAntiAffinity" in obj["spec"].get("affinity", {}) else "node-1"
            obj["status"] = {"phase": "Running", "podIP": "10.0.0.9", "conditions": [
                {"type": t, "status": "True", "lastTransitionTime": NOW} for t in ("Ready", "ContainersReady", shapes.UNPAUSED)]}
        self.objects[kind][meta["name"]] = obj
        return copy.deepcopy(obj)

    def patch(self, kind, obj, body, sub=None):
        stored = self.objects[kind][obj["metadata"]["name"]]
        merge(stored, body)
        return copy.deepcopy(stored)

    def delete(self, kind, obj):
        self.objects[kind].pop(obj["metadata"]["name"], None)

    def call(self, method, path, body=None, query=(), **_):
        assert path == "/api/v1/nodes", path
        return {"items": self.nodes}


class World:
    def __init__(self, monkeypatch):
        monkeypatch.setattr(node, "domain_of", lambda *_: {"state": "running", "balloonKiB": 1 << 20, "machine": "q35"})
        self.api = FakeApi()
        self.standin = StandIn(self.api, argparse.Namespace(guest="/guest", cgroup="node", node="node-1", domain_type="qemu"))
        self.standin.later = lambda *_: None
        self.key = ("default", "db-1")
        self.api.create("vm", {
            "metadata": {"name": "db-1", "namespace": "default", "annotations": {}},
            "spec": {"runStrategy": "Always", "template": {"spec": {"domain": {"cpu": {"cores": 1, "sockets": 1}, "memory": {"guest": "1Gi"}}, "volumes": []}}}})
        self.settle()

    def settle(self, rounds=30):
        for _ in range(rounds):
            for kind, objects in self.api.objects.items():
                self.standin.cache[kind] = {(o["metadata"]["namespace"], name): copy.deepcopy(o) for name, o in objects.items()}
            self.standin.reconcile(self.key)

    def one(self, kind):
        (obj,) = self.api.objects[kind].values()
        return obj

    def resize(self, **parts):
        merge(self.one("vm")["spec"]["template"]["spec"]["domain"], parts)


@pytest.fixture
def world(monkeypatch):
    return World(monkeypatch)


def conditions(obj):
    return {c["type"]: c for c in obj["status"].get("conditions", [])}


def test_a_change_is_carried_out_by_a_migration(world):
    source = world.one("pod")["metadata"]["name"]
    assert world.one("vmi")["status"]["phase"] == "Running"
    world.resize(cpu={"sockets": 2}, memory={"guest": "2Gi"})
    world.settle()
    vmi, pod, migration = world.one("vmi"), world.one("pod"), world.one("vmim")
    assert vmi["status"]["currentCPUTopology"]["sockets"] == 2
    assert vmi["status"]["memory"]["guestRequested"] == "2Gi"
    assert not {"HotVCPUChange", "HotMemoryChange"} & set(conditions(vmi))
    assert migration["status"]["phase"] == "Succeeded"
    assert pod["metadata"]["name"] != source and vmi["status"]["migrationState"]["targetPod"] == pod["metadata"]["name"]
    assert vmi["status"]["activePods"] == {pod["metadata"]["uid"]: "node-1"}
    assert pod["spec"]["containers"][0]["resources"]["requests"]["cpu"] == "200m"
    # And nothing goes on.
    world.settle()
    assert len(world.api.objects["vmim"]) == 1


def test_it_goes_to_another_node_where_one_runs_guests(world):
    world.api.nodes = [{"metadata": {"name": "node-2"}}]
    world.resize(cpu={"sockets": 2})
    world.settle()
    assert world.one("vmi")["status"]["nodeName"] == "node-2"
    assert world.one("vmi")["metadata"]["labels"]["kubevirt.io/nodeName"] == "node-2"


def test_too_many_sockets_need_a_restart_until_they_are_taken_back(world):
    world.resize(cpu={"sockets": 9})
    world.settle()
    assert conditions(world.one("vm"))["RestartRequired"]["message"] == "CPU sockets updated in template spec to a value higher than what's available"
    assert not world.api.objects["vmim"]
    world.resize(cpu={"sockets": 1})
    world.settle()
    assert "RestartRequired" not in conditions(world.one("vm"))


def test_a_migration_that_fails_leaves_the_guest_where_it_is(world):
    source = world.one("pod")["metadata"]["name"]
    world.one("vm")["metadata"]["annotations"][hotplug.FAIL_MIGRATION] = "true"
    world.resize(cpu={"sockets": 2})
    world.settle()
    vmi = world.one("vmi")
    assert "HotVCPUChange" in conditions(vmi) and "HotVCPUChange" in conditions(world.one("vm"))
    assert vmi["status"]["currentCPUTopology"]["sockets"] == 1
    assert world.one("pod")["metadata"]["name"] == source
    assert {m["status"]["phase"] for m in world.api.objects["vmim"].values()} >= {"Failed"}
