"""Whatever fails, every knob comes back as found, within the lease."""

import signal
import time

import pytest
import scene


@pytest.fixture
def loan(learnt):
    """db-1 is busy and has borrowed."""
    scene.tell("db-1", "busy")
    scene.eventually("db-1 has borrowed", lambda: scene.bfp("db-1").get("borrowed") and scene.npart().get("openLoans"), 90)
    yield


def held():
    return [name for name in scene.ENROLLED if scene.quota(name) is not None]


def as_found(found, names=scene.ALL_VMS):
    return {name: {k: v for k, v in scene.knobs(name).items() if found[name].get(k) != v} for name in names if scene.knobs(name) != found[name]}


def test_killing_the_agent_in_the_middle_of_a_loan_puts_everything_back(found, loan):
    scene.kill("agent", "whorl-agent")
    killed = time.monotonic()
    scene.eventually("nothing is held", lambda: not held(), scene.lease_seconds(), every=0.02)
    print(f"as found {time.monotonic() - killed:.2f} s after SIGKILL")
    scene.eventually("the agent is back and holds limits again", held, 60)


def test_a_stopped_agent_cannot_outlive_its_lease(found, loan):
    pid = scene.pid_in("agent", "whorl-agent")
    scene.kill("agent", "whorl-agent", signal.SIGSTOP)
    try:
        scene.eventually("the restorer puts everything back", lambda: not as_found(found), scene.lease_seconds() + 8)
    finally:
        scene.os.kill(pid, signal.SIGCONT)
    scene.eventually("the agent holds limits again", held, 90)


def test_without_a_controller_the_leases_run_out(found, loan):
    with scene.controller_scaled_away():
        scene.eventually("the node restores itself", lambda: not as_found(found), scene.lease_seconds() + 10)
    scene.eventually("limits hold again", held, 120)


def test_without_the_api_server_scoring_and_renewals_go_on_and_status_catches_up(loan):
    before = scene.bfp("db-1")["lastSampleTime"]
    with scene.api_server_stopped():
        end = time.monotonic() + 30
        while time.monotonic() < end:
            assert held() == list(scene.ENROLLED), "a lease was not renewed"
            time.sleep(0.5)
    scene.eventually("status catches up", lambda: scene.parse_time(scene.bfp("db-1")["lastSampleTime"]) > scene.parse_time(before) + 30, 60)
    assert scene.bfp("db-1").get("score") is not None


def test_opting_out_gives_back_and_cleans_up(found, loan):
    scene.annotate("db-1", None)
    try:
        scene.eventually("db-1 is as found", lambda: not as_found(found, ["db-1"]), 30)
        scene.eventually("its fingerprint is gone", lambda: scene.bfp("db-1") == {}, 30)
        scene.eventually("our annotations are gone", lambda: not any(k.startswith("whorl.dev/") for k in scene.annotations("db-1")), 30)
    finally:
        scene.annotate("db-1", "enforce")
    scene.eventually("db-1 is enrolled again", lambda: scene.bfp("db-1").get("mode") == "Enforce", 60)


def test_hold_and_drain_gives_back_and_none_resumes(found, loan):
    with scene.policy(pause="HoldAndDrain"):
        scene.eventually("everything is as found", lambda: not as_found(found), 30)
        scene.eventually("the fingerprints say Paused", lambda: scene.bfp("db-1").get("state") == "Paused", 30)
    scene.eventually("limits hold again", held, 60)


def test_uninstalling_leaves_not_one_byte(found, loan):
    helm = scene.cluster.tools.path("helm")
    scene.cluster.run(helm, "--kubeconfig", scene.paths.ADMIN, "uninstall", "whorl", "--namespace", scene.product.NAMESPACE, "--wait", "--timeout", "90s")
    try:
        scene.eventually("every knob is as found", lambda: not as_found(found), scene.lease_seconds() + 15)
        assert as_found(found) == {}
    finally:
        scene.product.install()
        scene.product.enrol()
        scene.product.wait_until_running(timeout=120)
