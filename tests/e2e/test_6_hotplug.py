"""The cluster loop against the stand-in: a VM's size asked for, carried out by a migration, taken back, refused.

Needs a second node that takes VMs in the API server's eyes; the guest itself starts again on the first (e2e/standin/README.md).
"""

import contextlib
import json

import pytest
import scene
from scene import cluster, paths

VM = "web-1"
SETTLES = 240  # a guest boots anew under emulation


def resize():
    return scene.bfp(VM).get("resize", {})


def possible():
    return next((c for c in resize().get("conditions", []) if c["type"] == "Possible"), {})


def sockets():
    return scene.vm(VM)["spec"]["template"]["spec"]["domain"].get("cpu", {}).get("sockets")


def ask(text):
    cluster.kubectl("annotate", "vm", VM, f"whorl.dev/resize={text}", "--overwrite")


@contextlib.contextmanager
def annotated(key, value):
    cluster.kubectl("annotate", "vm", VM, f"{key}={value}", "--overwrite")
    try:
        yield
    finally:
        cluster.kubectl("annotate", "vm", VM, f"{key}-")


@pytest.fixture
def another_node():
    others = [n for n in cluster.get("nodes")["items"] if n["metadata"]["name"] != paths.NODE_NAME
              and any(c["type"] == "Ready" and c["status"] == "True" for c in n["status"]["conditions"])]
    if not others:
        pytest.skip("one node only; the second node is not up")
    name = others[0]["metadata"]["name"]
    cluster.kubectl("label", "node", name, "kubevirt.io/schedulable=true", "--overwrite")
    yield name
    cluster.kubectl("label", "node", name, "kubevirt.io/schedulable-")


def test_one_node_alone_is_said_to_be_the_reason():
    if sum(n["metadata"].get("labels", {}).get("kubevirt.io/schedulable") == "true" for n in cluster.get("nodes")["items"]) > 1:
        pytest.skip("there is more than one node for VMs")
    scene.eventually("the reason is in the status", lambda: possible().get("reason") == "NoOtherNode", 60)
    before = sockets()
    ask(f"sockets={(before or 1) + 1}@alone")
    scene.eventually("it is refused", lambda: resize().get("change", {}).get("state") == "Refused", 60)
    assert sockets() == before
    assert "no other node is ready for VMs" in resize()["change"]["message"]


def test_a_request_is_carried_out_and_the_vm_is_watched_in_its_new_pod(another_node):
    before = sockets()
    ask(f"sockets={before + 1}@whole")
    scene.eventually("it is done", lambda: resize()["change"]["request"] == f"sockets={before + 1}@whole" and resize()["change"]["state"] == "Done", SETTLES)
    assert sockets() == before + 1
    assert not {"whorl.dev/resize", "whorl.dev/resizing"} & set(scene.annotations(VM))
    vmi = cluster.get("vmi", VM)
    assert vmi["status"]["currentCPUTopology"]["sockets"] == before + 1
    # Its new pod is sensed: the agent was told to follow.
    scene.eventually("it is seen again", lambda: scene.bfp(VM).get("state") not in (None, "Blind"), 60)


def test_what_needs_a_restart_is_taken_back(another_node):
    before = sockets()
    with annotated("standin.whorl.dev/restart-required", "not on this VM"):
        ask(f"sockets={before + 1}@back")
        scene.eventually("it is reverted", lambda: resize()["change"]["request"] == f"sockets={before + 1}@back" and resize()["change"]["state"] == "Reverted", 120)
    assert sockets() == before
    assert "not on this VM" in json.dumps(resize()["change"])
