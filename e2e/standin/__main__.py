"""Runs the stand-in: python3 -m standin --kubeconfig FILE --guest FOLDER --cgroup NAME --node NAME --domain-type kvm|qemu"""

import argparse
import queue
import threading
import time
import traceback
from datetime import datetime, timezone

from kubernetes.client.rest import ApiException

from . import hotplug, node, shapes
from .api import Api, start_following

LOOK_AGAIN = 30  # seconds between two looks at a running domain
RETRY = 1.0
MIGRATION_BACKOFF = 20  # seconds before a failed migration is tried again


def now():
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def log(text):
    print(f"{now()} {text}", flush=True)


class StandIn:
    """virt-controller and virt-handler in one loop over VM names. The watches fill the cache; only run() acts."""

    def __init__(self, api, options):
        self.api, self.options = api, options
        self.cache = {"vm": {}, "vmi": {}, "pod": {}, "vmim": {}}
        self.lock = threading.Lock()
        self.due = queue.Queue()
        self.queued, self.timers = set(), set()

    def changed(self, kind, event, obj):
        with self.lock:
            if event is None:  # obj: the names that exist
                for key in [key for key in self.cache[kind] if key not in obj]:
                    gone = self.cache[kind].pop(key)
                    self._enqueue(self.key_of(kind, gone))
                return
            key = (obj["metadata"]["namespace"], obj["metadata"]["name"])
            if event == "DELETED":
                self.cache[kind].pop(key, None)
            else:
                self.cache[kind][key] = obj
            self._enqueue(self.key_of(kind, obj))

    @staticmethod
    def key_of(kind, obj):
        meta = obj["metadata"]
        if kind == "vmim":
            return meta["namespace"], obj["spec"]["vmiName"]
        return meta["namespace"], meta["annotations"]["kubevirt.io/domain"] if kind == "pod" else meta["name"]

    def _enqueue(self, key):
        if key not in self.queued:
            self.queued.add(key)
            self.due.put(key)

    def later(self, key, seconds):
        """At most one such wish per key: the earliest to come true looks at everything anyway."""
        def put():
            with self.lock:
                self.timers.discard(key)
                self._enqueue(key)

        with self.lock:
            if key in self.timers:
                return
            self.timers.add(key)
        timer = threading.Timer(seconds, put)
        timer.daemon = True
        timer.start()

    def keep(self, kind, obj):
        """What the API server answered is the newest there is: the watch may lag."""
        with self.lock:
            self.cache[kind][obj["metadata"]["namespace"], obj["metadata"]["name"]] = obj
        return obj

    def run(self):
        self.prepare_node()
        self.say_deployed()
        for kind in ("vm", "vmi", "vmim", "pod"):
            start_following(self.api, kind, lambda event, obj, kind=kind: self.changed(kind, event, obj), log)
        threading.Thread(target=self.remember_running, daemon=True).start()
        while True:
            key = self.due.get()
            with self.lock:
                self.queued.discard(key)
            try:
                self.reconcile(key)
            except ApiException as error:
                if error.status not in (404, 409):
                    log(f"{key[0]}/{key[1]}: {error.status} {error.reason} {str(error.body)[:300]}")
                self.later(key, RETRY)
            except Exception:
                log(f"{key[0]}/{key[1]}: {traceback.format_exc()}")
                self.later(key, RETRY)

    def remember_running(self):
        while True:
            time.sleep(LOOK_AGAIN)
            with self.lock:
                for key, vmi in self.cache["vmi"].items():
                    if vmi["status"].get("phase") == "Running":
                        self._enqueue(key)

    def prepare_node(self):
        """The labels and devices that virt-handler gives to a node."""
        path = f"/api/v1/nodes/{self.options.node}"
        self.api.call("PATCH", path, {"metadata": {"labels": {"kubevirt.io/schedulable": "true", "machine-type.node.kubevirt.io/q35": "true"}}})
        self.api.call("PATCH", path + "/status", {"status": {"capacity": {"devices.kubevirt.io/tun": "1k"}}})

    def say_deployed(self):
        """The KubeVirt object's status, without which nothing is hotplugged."""
        try:
            self.api.call("PATCH", "/apis/kubevirt.io/v1/namespaces/kubevirt/kubevirts/kubevirt/status", {"status": {"phase": "Deployed", "defaultArchitecture": "amd64"}})
        except ApiException as error:  # a world of before has no such object; all but hotplug works
            log(f"no KubeVirt object: {error.status} {error.reason}")

    def find(self, key):
        with self.lock:
            vm, vmi = self.cache["vm"].get(key), self.cache["vmi"].get(key)
            pods = []
            if vmi:
                pods = [pod for pod in self.cache["pod"].values() if pod["metadata"]["labels"].get("kubevirt.io/created-by") == vmi["metadata"]["uid"]]
        return vm, vmi, sorted(pods, key=lambda pod: pod["metadata"]["creationTimestamp"])

    def reconcile(self, key):
        vm, vmi, pods = self.find(key)
        migrations = self.migrations_of(key)
        if vmi:
            # Until a migration has ended well, its target is not where the guest runs.
            deleting = vmi["metadata"].get("deletionTimestamp")
            vmi = self.reconcile_vmi(key, vmi, pods if deleting else [pod for pod in pods if not hotplug.is_target(pod, migrations)])
        if vm and vmi and vmi["status"].get("phase") == "Running" and not vmi["metadata"].get("deletionTimestamp"):
            vmi = self.resize(key, vm, vmi, pods, migrations)
        if vm:
            self.reconcile_vm(key, vm, vmi)

    def reconcile_vm(self, key, vm, vmi):
        meta = vm["metadata"]
        finalizers = meta.get("finalizers", [])
        if meta.get("deletionTimestamp"):
            if vmi is None and shapes.VM_FINALIZER in finalizers:
                self.patch_finalizers("vm", vm, [f for f in finalizers if f != shapes.VM_FINALIZER])
                return
            self.end_vmi(vmi)
        else:
            if shapes.VM_FINALIZER not in finalizers:
                vm = self.patch_finalizers("vm", vm, [*finalizers, shapes.VM_FINALIZER])
            if {k: meta.get("annotations", {}).get(k) for k in shapes.API_VERSIONS} != shapes.API_VERSIONS:
                vm = self.keep("vm", self.api.patch("vm", vm, {"metadata": {"annotations": shapes.API_VERSIONS}}))
            if shapes.wants_to_run(vm) and vmi is None:
                vmi = self.keep("vmi", self.api.create("vmi", shapes.make_vmi(vm)))
                log(f"{key[0]}/{key[1]}: instance created")
            elif vmi and (not shapes.wants_to_run(vm) or vmi["status"].get("phase") in shapes.FINAL_PHASES):
                self.end_vmi(vmi)
        status = shapes.vm_status(vm, vmi, now())
        if vmi and vmi["status"].get("phase") == "Running":
            _, restart, failure = hotplug.judge(vm, vmi, any(not hotplug.ended(m) for m in self.migrations_of(key)))
            before = [c for c in vm.get("status", {}).get("conditions", []) if c["type"] in hotplug.VM_ONLY]
            status["conditions"] = hotplug.vm_conditions(status["conditions"] + before, restart, failure, now())
        if status != vm.get("status"):
            self.keep("vm", self.api.patch("vm", vm, {"status": status}, sub="status"))

    def reconcile_vmi(self, key, vmi, pods):
        """Returns the VMI as it is afterwards, None when it is gone."""
        meta = vmi["metadata"]
        if meta.get("deletionTimestamp"):
            for pod in pods:
                if not pod["metadata"].get("deletionTimestamp"):
                    self.api.delete("pod", pod)
            if pods or not meta.get("finalizers"):
                return vmi
            self.patch_finalizers("vmi", vmi, [])
            with self.lock:
                self.cache["vmi"].pop(key, None)
            log(f"{key[0]}/{key[1]}: instance removed")
            return None
        phase = vmi["status"].get("phase", "Pending")
        if not pods and phase == "Pending":
            pods = [self.keep("pod", self.api.create("pod", shapes.make_pod(vmi, self.options.guest, self.options.domain_type)))]
        live = [pod for pod in pods if not shapes.gone(pod) and not pod["metadata"].get("deletionTimestamp")]
        domain = None
        if live and shapes.containers_ready(live[-1]):
            domain = node.domain_of(live[-1]["metadata"]["uid"], f"{key[0]}_{key[1]}", self.options.cgroup)
            if domain is None or domain["state"] != "running":
                self.later(key, 0.3 if phase != "Running" else RETRY)
        if live:
            self.keep_pod_current(live[-1])
        status = shapes.vmi_status(vmi, pods, domain, now())
        if phase == "Running" and domain is None:  # libvirt did not answer this time: what it said last stands
            status["memory"] = vmi["status"]["memory"]
        body = {}
        if status != vmi.get("status"):
            # A merge keeps what it is not told about: pods that are gone are taken away by name.
            gone = {uid: None for uid in vmi["status"].get("activePods", {}) if uid not in status["activePods"]}
            body["status"] = {**status, "activePods": {**status["activePods"], **gone}}
        if status.get("nodeName") and meta.get("labels", {}).get("kubevirt.io/nodeName") != status["nodeName"]:
            body["metadata"] = {"labels": {"kubevirt.io/nodeName": status["nodeName"]}}
        if body:
            if status["phase"] != phase:
                log(f"{key[0]}/{key[1]}: {phase} -> {status['phase']}")
            vmi = self.keep("vmi", self.api.patch("vmi", vmi, body))
        return vmi

    def migrations_of(self, key):
        with self.lock:
            found = [m for m in self.cache["vmim"].values() if self.key_of("vmim", m) == key]
        return sorted(found, key=lambda m: m["metadata"]["creationTimestamp"])

    def resize(self, key, vm, vmi, pods, migrations):
        """Carries out a change of sockets or guest memory, one step of it at a time."""
        under_way = next((m for m in migrations if not hotplug.ended(m)), None)
        patch, _, _ = hotplug.judge(vm, vmi, under_way is not None)
        if patch:
            log(f"{key[0]}/{key[1]}: takes up {patch}")
            vmi = self.keep("vmi", self.api.patch("vmi", vmi, {"spec": {"domain": patch}}))
        wanted = hotplug.pending(vmi)
        conditions = hotplug.with_conditions(vmi["status"].get("conditions", []), wanted, now())
        if conditions != vmi["status"].get("conditions", []):
            vmi = self.keep("vmi", self.api.patch("vmi", vmi, {"status": {"conditions": conditions}}))
        if under_way is None:
            if wanted and hotplug.since_last_failure(migrations, now()) >= MIGRATION_BACKOFF:
                under_way = self.keep("vmim", self.api.create("vmim", hotplug.make_migration(vmi)))
            elif wanted:
                self.later(key, RETRY)
        if under_way is not None:
            vmi = self.migrate(key, vm, vmi, pods, under_way)
        return vmi

    def migrate(self, key, vm, vmi, pods, migration):
        uid = migration["metadata"]["uid"]
        target = next((pod for pod in pods if hotplug.job_of(pod) == uid), None)
        phase = migration.get("status", {}).get("phase", "")
        if phase == "Pending" and target is None:
            pod = shapes.make_pod(vmi, self.options.guest, self.options.domain_type)
            target = self.keep("pod", self.api.create("pod", hotplug.make_target(vmi, migration, pod, self.guests_elsewhere(vmi))))
        runs = False
        if phase == "Running" and target is not None and shapes.containers_ready(target):
            domain = node.domain_of(target["metadata"]["uid"], f"{key[0]}_{key[1]}", self.options.cgroup)
            runs = bool(domain and domain["state"] == "running")
        after = hotplug.next_phase(phase, target, runs)
        if phase == "Running" and vm["metadata"].get("annotations", {}).get(hotplug.FAIL_MIGRATION) == "true":
            after = "Failed"
        if after == phase:
            self.later(key, RETRY)
            return vmi
        log(f"{key[0]}/{key[1]}: {migration['metadata']['name']} is {after}")
        body = {"status": {"migrationState": hotplug.migration_state(vmi, migration, target, after, now())}}
        if after == "Succeeded":
            body["status"].update(hotplug.completed(vmi), nodeName=target["spec"]["nodeName"],
                                  conditions=hotplug.with_conditions(vmi["status"].get("conditions", []), [], now()))
            body["metadata"] = {"labels": {"kubevirt.io/nodeName": target["spec"]["nodeName"]}}
        if body["status"]["migrationState"]:
            vmi = self.keep("vmi", self.api.patch("vmi", vmi, body))
        migration = self.keep("vmim", self.api.patch("vmim", migration, {"status": {"phase": after}}, sub="status"))
        if after in hotplug.FINAL:
            self.patch_finalizers("vmim", migration, [])
            leaving = [pod for pod in pods if pod is not target] if after == "Succeeded" else [target] if target else []
            for pod in leaving:
                if not pod["metadata"].get("deletionTimestamp"):
                    self.api.delete("pod", pod)
        self.later(key, 0.3)
        return vmi

    def guests_elsewhere(self, vmi):
        """Whether another node than the VMI's can run guests; KubeVirt itself would wait for one, and one node is what most worlds have."""
        nodes = self.api.call("GET", "/api/v1/nodes", query=[("labelSelector", hotplug.RUNS_GUESTS)])["items"]
        return any(n["metadata"]["name"] != vmi["status"].get("nodeName") for n in nodes)

    def keep_pod_current(self, pod):
        """The readiness gate of a guest that is not paused, and the label that marks the active pod."""
        if shapes.condition_of(pod, shapes.UNPAUSED) is None:
            gate = {"type": shapes.UNPAUSED, "status": "True", "reason": "NotPaused", "message": "the virtual machine is not paused", "lastProbeTime": now(), "lastTransitionTime": now()}
            pod = self.keep("pod", self.api.call("PATCH", self.api.path("pod", pod["metadata"]["namespace"], pod["metadata"]["name"], "status"), {"status": {"conditions": [gate]}},
                                                 patch="application/strategic-merge-patch+json"))
        host = pod["spec"].get("nodeName")
        if host and pod["metadata"]["labels"].get("kubevirt.io/nodeName") != host:
            self.keep("pod", self.api.patch("pod", pod, {"metadata": {"labels": {"kubevirt.io/nodeName": host}}}))

    def end_vmi(self, vmi):
        if vmi and not vmi["metadata"].get("deletionTimestamp"):
            self.api.delete("vmi", vmi)

    def patch_finalizers(self, kind, obj, finalizers):
        # A list is replaced as a whole, so only if nobody has changed the object meanwhile.
        return self.keep(kind, self.api.patch(kind, obj, {"metadata": {"finalizers": finalizers, "resourceVersion": obj["metadata"]["resourceVersion"]}}))


def main():
    parser = argparse.ArgumentParser(prog="standin", description="Plays virt-controller and virt-handler in the end-to-end world.")
    parser.add_argument("--kubeconfig", required=True)
    parser.add_argument("--guest", required=True, help="folder on the node with the guests' kernel and initramfs")
    parser.add_argument("--cgroup", required=True, help="the node's cgroup directory")
    parser.add_argument("--node", required=True)
    parser.add_argument("--domain-type", choices=("kvm", "qemu"), required=True)
    options = parser.parse_args()
    StandIn(Api(options.kubeconfig), options).run()


if __name__ == "__main__":
    main()
