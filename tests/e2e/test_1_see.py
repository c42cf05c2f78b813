"""Stride one: what a guest does becomes a score, a sentence and an Event."""

import time

import pytest
import scene


def test_every_enrolled_guest_shows_its_learning_and_the_others_show_nothing():
    for name in scene.ENROLLED:
        status = scene.eventually(f"{name} has a fingerprint", lambda name=name: scene.bfp(name).get("baseline") and scene.bfp(name), 60)
        assert 0 <= status["baseline"]["percent"] <= 100
        assert status["mode"] == "Enforce"
        if status["state"] == "Learning":
            assert "score" not in status, "a score before the baseline is learnt would look like a measurement"
    assert scene.bfp(scene.BYSTANDER) == {}
    assert not any(key.startswith("whorl.dev/") for key in scene.annotations(scene.BYSTANDER))


def test_learning_ends_with_a_score_and_says_so():
    scene.wait_until_learnt()
    for name in scene.ENROLLED:
        assert scene.eventually(f"{name}: BaselineReady", lambda name=name: scene.events(name, "BaselineReady"), 30)
        notes = scene.eventually(f"{name} is annotated", lambda name=name: "whorl.dev/score" in scene.annotations(name) and scene.annotations(name), 30)
        assert notes["whorl.dev/state"] in ("Normal", "Deviating")
        assert notes["whorl.dev/summary"]
        assert "Baseline Ready" in scene.describe(name) or "BaselineReady" in scene.describe(name)


def test_scores_stay_low_for_a_quiet_minute(learnt):
    before = {name: scene.count(scene.events(name, "BehaviorDeviating")) for name in scene.ENROLLED}
    highest = dict.fromkeys(scene.ENROLLED, 0)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        for name in scene.ENROLLED:
            status = scene.bfp(name)
            highest[name] = max(highest[name], status["score"])
            assert status["state"] == "Normal", f"{name}: {status['summary']}"
            assert status["score"] < status["threshold"]
        time.sleep(2)
    after = {name: scene.count(scene.events(name, "BehaviorDeviating")) for name in scene.ENROLLED}
    assert after == before, f"alarms in a quiet minute; highest scores {highest}"


@pytest.mark.parametrize("mode", ["Enforce", "yes", "enforce "])
def test_an_unknown_mode_is_off_and_a_warning_says_what_is_allowed(mode):
    before = scene.count(scene.events(scene.BYSTANDER, "InvalidMode"))
    scene.annotate(scene.BYSTANDER, mode)
    try:
        scene.eventually("a Warning about the mode", lambda: scene.count(scene.events(scene.BYSTANDER, "InvalidMode")) > before, 30)
        # The first of a series keeps its words, so it is the first that is read.
        event = scene.events(scene.BYSTANDER, "InvalidMode")[0]
        assert event["type"] == "Warning"
        for allowed in ("off", "observe", "recommend", "enforce"):
            assert allowed in event["note"]
        assert scene.bfp(scene.BYSTANDER) == {}
        assert not any(key in scene.annotations(scene.BYSTANDER) for key in ("whorl.dev/score", "whorl.dev/state"))
    finally:
        scene.annotate(scene.BYSTANDER, None)


def test_a_policy_that_only_observes_keeps_an_enforced_guest_at_observe_and_says_so():
    with scene.policy(maxMode="Observe"):
        status = scene.eventually("db-1 is observed", lambda: scene.bfp("db-1").get("mode") == "Observe" and scene.bfp("db-1"), 30)
        capped = scene.condition(status, "ModeCapped")
        assert capped["status"] == "True"
        assert "maxMode" in capped["message"]
        scene.eventually("nothing is held", lambda: all(scene.quota(n) is None for n in scene.ENROLLED), 30)
    scene.eventually("db-1 is enforced again", lambda: scene.bfp("db-1").get("mode") == "Enforce", 30)
