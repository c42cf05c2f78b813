"""The scenarios run in file order against one world that `./dev up` has started.

    WHORL_LOGS_TO=DIR   where a failed scenario leaves what it saw (default: the world's logs folder)
"""

import os
import subprocess
from pathlib import Path

import pytest

import scene


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.fspath.basename)  # stable: the order within a file stays


@pytest.fixture(scope="session", autouse=True)
def world():
    if scene.processes.pid_of("kube-apiserver") is None:
        pytest.exit("the world is not up: ./dev up", returncode=3)
    scene.product.wait_until_running(timeout=120)


@pytest.fixture(scope="session")
def found():
    """Every knob of every guest as it was before Whorl held anything."""
    with scene.policy(pause="HoldAndDrain"):
        scene.eventually("everything is given back", lambda: all(scene.quota(n) is None for n in scene.ALL_VMS), 60)
        yield_value = {name: scene.knobs(name) for name in scene.ALL_VMS}
    yield yield_value


@pytest.fixture
def learnt():
    """All enrolled guests idle, learnt, not deviating, nothing borrowed."""
    scene.calm()
    scene.wait_until_learnt()
    scene.eventually("all guests are Normal", lambda: all(scene.bfp(n).get("state") == "Normal" for n in scene.ENROLLED), 180)
    yield
    scene.calm()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.when != "call" or not report.failed:
        return
    folder = Path(os.environ.get("WHORL_LOGS_TO") or scene.paths.LOGS / "failed") / item.name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "why.txt").write_text(str(report.longrepr))
    kubectl = [str(scene.cluster.tools.path("kubectl")), "--kubeconfig", str(scene.paths.ADMIN)]
    for name, words in {
        "controller.log": ["-n", "whorl-system", "logs", "deployment/whorl-controller", "--tail=2000"],
        "agents.log": ["-n", "whorl-system", "logs", "-l", "app.kubernetes.io/component=agent", "--all-containers", "--prefix", "--tail=2000"],
        "agent.log": ["-n", "whorl-system", "logs", "daemonset/whorl-agent", "-c", "agent", "--tail=2000"],
        "agent-previous.log": ["-n", "whorl-system", "logs", "daemonset/whorl-agent", "-c", "agent", "--previous", "--tail=500"],
        "restorer.log": ["-n", "whorl-system", "logs", "daemonset/whorl-agent", "-c", "restorer", "--tail=500"],
        "objects.yaml": ["get", "vm,vmi,pod,bfp,npart,ppol", "-A", "-o", "yaml"],
        "events.txt": ["get", "events", "-A", "--sort-by=.lastTimestamp"],
    }.items():
        with open(folder / name, "w") as out:
            try:
                subprocess.run([*kubectl, "--request-timeout=10s", *words], stdout=out, stderr=subprocess.STDOUT, timeout=30)
            except subprocess.TimeoutExpired:
                out.write("\n(no answer within 30 s)\n")
    report.sections.append(("left for the next person", f"logs and objects: {folder}"))
