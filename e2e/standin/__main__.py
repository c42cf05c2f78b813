"""Runs the stand-in: python3 -m standin --kubeconfig FILE --guest FOLDER --cgroup NAME --node NAME --domain-type kvm|qemu"""

import argparse
import queue
import threading
import time
import traceback
from datetime import datetime, timezone

from kubernetes.client.rest import ApiException

from . import node, shapes
from .api import Api, start_following

LOOK_AGAIN = 30  # seconds between two looks at a running domain
RETRY = 1.0


def now():
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def log(text):
    print(f"{now()} {text}", flush=True)


class StandIn:
    """virt-controller and virt-handler in one loop over VM names. The watches fill the cache; only run() acts."""

    def __init__(self, api, options):
        self.api, self.options = api, options
        self.cache = {"vm": {}, "vmi": {}, "pod": {}}
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
        for kind in ("vm", "vmi", "pod"):
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

    def find(self, key):
        with self.lock:
            vm, vmi = self.cache["vm"].get(key), self.cache["vmi"].get(key)
            pods = []
            if vmi:
                pods = [pod for pod in self.cache["pod"].values() if pod["metadata"]["labels"].get("kubevirt.io/created-by") == vmi["metadata"]["uid"]]
        return vm, vmi, sorted(pods, key=lambda pod: pod["metadata"]["creationTimestamp"])

    def reconcile(self, key):
        vm, vmi, pods = self.find(key)
        if vmi:
            vmi = self.reconcile_vmi(key, vmi, pods)
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
            body["status"] = status
        if status.get("nodeName") and meta.get("labels", {}).get("kubevirt.io/nodeName") != status["nodeName"]:
            body["metadata"] = {"labels": {"kubevirt.io/nodeName": status["nodeName"]}}
        if body:
            if status["phase"] != phase:
                log(f"{key[0]}/{key[1]}: {phase} -> {status['phase']}")
            vmi = self.keep("vmi", self.api.patch("vmi", vmi, body))
        return vmi

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
