"""`./dev demo runaway`: makes db-1 misbehave and tells what Whorl sees and does, from the objects and files that anybody could read."""

import time

from . import cluster, guest, look, machine, up
from .steps import Failed

VM = "db-1"
NOTICE = 60  # seconds within which it should be noticed and helped
RESTORE = 120


class Teller:
    """Prints a fact when it is first true and whenever it changes."""

    def __init__(self):
        self.started, self.known = time.monotonic(), {}

    def say(self, text):
        print(f"{time.monotonic() - self.started:6.1f}s  {text}", flush=True)

    def tell(self, topic, value, text):
        if self.known.get(topic) != value:
            self.known[topic] = value
            self.say(text)


def fingerprint():
    return (cluster.get("bfp", VM, "-n", "default") or {}).get("status", {})


def events_of(uid):
    listed = cluster.get("events.events.k8s.io", "-n", "default")["items"]
    mine = [event for event in listed if event.get("regarding", {}).get("uid") == uid]
    return sorted(mine, key=lambda event: event["metadata"]["creationTimestamp"])


def occurrences(event):
    return (event.get("series") or {}).get("count", 1)


def observe(teller, pod_uid, vm_uid, before):
    """Looks once at everything; returns the status and the reasons of Events that are new since `before`."""
    status = fingerprint()
    teller.tell("state", (status.get("state"), status.get("score")), f"bfp {VM}: {status.get('state')}, score {status.get('score', 'none yet')}")
    if status.get("summary"):
        teller.tell("summary", status["summary"], f"          \"{status['summary']}\"")
    for loan in status.get("borrowed", []):
        teller.tell(("loan", loan.get("since")), str(loan.get("amount")), f"bfp {VM}: borrows {describe_loan(loan)}")
    if not status.get("borrowed"):
        if any(isinstance(topic, tuple) and topic[0] == "loan" for topic in teller.known):
            teller.tell("loans", "none", f"bfp {VM}: borrows nothing any more")
    quota = machine.quota_on_disk(pod_uid)
    teller.tell("quota", quota, f"the pod's CPU quota on disk: {'none' if quota is None else f'{quota} m'}")
    fresh = []
    for event in events_of(vm_uid):
        count = occurrences(event)
        if count > before.get(event["metadata"]["name"], 0):
            fresh.append(event["reason"])
            teller.tell(("event", event["metadata"]["name"]), count, f"Event {event['reason']}: {event.get('note', '')}")
    return status, fresh


def describe_loan(loan):
    return ", ".join(f"{key} {value}" for key, value in loan.items())


def runaway():
    look.need_running()
    if cluster.get("crd", "behaviorfingerprints.whorl.dev") is None:
        raise Failed("Whorl is not installed in this world", remedy="./dev up says why it skipped it")
    vm, pod = cluster.get("vm", VM, "-n", "default"), up.launcher_of(VM)
    if vm is None or pod is None:
        raise Failed(f"VM {VM} does not run", remedy="./dev up; ./dev kubectl get vm,vmi,pod")
    vm_uid, pod_uid = vm["metadata"]["uid"], pod["metadata"]["uid"]
    teller = Teller()

    print(f"\n-- First: what Whorl knows about {VM}, a guest that has done nothing remarkable.\n")
    wait_until_learnt(teller)
    before = {event["metadata"]["name"]: occurrences(event) for event in events_of(vm_uid)}
    observe(teller, pod_uid, vm_uid, before)
    own = machine.quota_on_disk(pod_uid)

    print(f"\n-- {VM} runs away: every vCPU busy, as fast as it can.   (./dev guest {VM} busy)\n")
    with guest.Guest(pod_uid, VM) as line:
        line.ask("busy for=300", timeout=20)
        rates = [r for r in measure(line, 3) if r > 0]
    if rates:
        teller.say(f"inside the guest: {rates[-1]:.0f} iterations/s")
    noticed = helped = False
    end = time.monotonic() + NOTICE
    while time.monotonic() < end and not (noticed and helped):
        status, fresh = observe(teller, pod_uid, vm_uid, before)
        noticed = noticed or status.get("state") == "Deviating"
        helped = helped or bool(status.get("borrowed")) or "LimitRaised" in fresh
        time.sleep(0.5)
    if helped:
        with guest.Guest(pod_uid, VM) as line:
            later = [r for r in measure(line, 4) if r > 0]
        if rates and later:
            teller.say(f"inside the guest: {later[-1]:.0f} iterations/s now")
    observe(teller, pod_uid, vm_uid, before)

    print(f"\n-- {VM} calms down, and what was lent goes back.   (./dev guest {VM} idle)\n")
    with guest.Guest(pod_uid, VM) as line:
        line.ask("idle", timeout=20)
    restored = False
    end = time.monotonic() + RESTORE
    while time.monotonic() < end and not restored:
        status, _ = observe(teller, pod_uid, vm_uid, before)
        now = machine.quota_on_disk(pod_uid)
        restored = not status.get("borrowed") and (own is None or now is None or now <= own)
        time.sleep(0.5)
    # The Event follows within seconds; a repeat within minutes only counts up and need not show.
    end = time.monotonic() + 5
    while restored and time.monotonic() < end and "LimitRestored" not in observe(teller, pod_uid, vm_uid, before)[1]:
        time.sleep(0.5)

    missing = [what for seen, what in ((noticed, f"within {NOTICE} s {VM} was not called Deviating"), (helped, f"within {NOTICE} s it was lent nothing"),
                                       (restored, f"within {RESTORE} s nothing was given back")) if not seen]
    if missing:
        print("\nThe story did not come out as it should: " + "; ".join(missing) + f".\nLook at ./dev kubectl describe bfp {VM}; ./dev logs controller; ./dev logs agent")
        return 1
    print(f"\nThe whole of it again: ./dev kubectl describe vm {VM}; ./dev kubectl describe bfp {VM}")
    return 0


def wait_until_learnt(teller, patience=300):
    end = time.monotonic() + patience
    while "score" not in (status := fingerprint()) or status.get("state") not in ("Normal", "Deviating"):
        baseline = status.get("baseline", {})
        teller.tell("learning", (status.get("state"), baseline.get("percent", 0) // 10), f"bfp {VM}: {status.get('state', 'no fingerprint yet')}, baseline {baseline.get('percent', 0)} %")
        if time.monotonic() > end:
            raise Failed(f"{VM} has no score after {patience} s", remedy=f"./dev kubectl describe bfp {VM}")
        time.sleep(1)


def measure(line, seconds):
    return [progress["rate"] for progress in line.lines(until=time.monotonic() + seconds) if progress.get("progress")]
