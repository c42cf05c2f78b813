"""The API server as the stand-in uses it: list, watch, create, merge-patch, delete, of three kinds of objects."""

import json
import threading
import time

import kubernetes.client
import kubernetes.config
from kubernetes.client.rest import ApiException

PATHS = {"vm": "/apis/kubevirt.io/v1", "vmi": "/apis/kubevirt.io/v1", "vmim": "/apis/kubevirt.io/v1", "pod": "/api/v1"}
PLURALS = {"vm": "virtualmachines", "vmi": "virtualmachineinstances", "vmim": "virtualmachineinstancemigrations", "pod": "pods"}
SELECTORS = {"pod": "kubevirt.io=virt-launcher"}


class Api:
    def __init__(self, kubeconfig):
        self.client = kubernetes.config.new_client_from_config(kubeconfig)

    def call(self, method, path, body=None, query=(), patch="application/merge-patch+json", stream=False, timeout=30):
        headers = {"Accept": "application/json", "Content-Type": patch if method == "PATCH" else "application/json"}
        result = self.client.call_api(path, method, header_params=headers, query_params=list(query), body=body, response_type=None if stream else "object", _preload_content=not stream,
                                      _return_http_data_only=True, _request_timeout=timeout)
        return result

    @staticmethod
    def path(kind, namespace=None, name=None, sub=None):
        parts = [PATHS[kind]] + ([f"namespaces/{namespace}"] if namespace else []) + [PLURALS[kind]] + [part for part in (name, sub) if part]
        return "/".join(parts)

    def create(self, kind, obj):
        return self.call("POST", self.path(kind, obj["metadata"]["namespace"]), obj)

    def patch(self, kind, obj, body, sub=None):
        return self.call("PATCH", self.path(kind, obj["metadata"]["namespace"], obj["metadata"]["name"], sub), body)

    def delete(self, kind, obj):
        # Of exactly this object, not of one that has taken its name meanwhile.
        return self.call("DELETE", self.path(kind, obj["metadata"]["namespace"], obj["metadata"]["name"]), {"preconditions": {"uid": obj["metadata"]["uid"]}})

    def follow(self, kind, changed, log):
        """Calls changed(event, object) for everything there is and whatever happens to it, for ever. After a gap, `None, names` tells what is left."""
        selector = [("labelSelector", SELECTORS[kind])] if kind in SELECTORS else []
        while True:
            try:
                listed = self.call("GET", self.path(kind), query=selector)
                for obj in listed["items"]:
                    changed("ADDED", obj)
                changed(None, {(o["metadata"]["namespace"], o["metadata"]["name"]) for o in listed["items"]})
                version = listed["metadata"]["resourceVersion"]
                answer = self.call("GET", self.path(kind), query=[*selector, ("watch", "true"), ("resourceVersion", version), ("timeoutSeconds", "300")], stream=True, timeout=330)
                for line in _lines(answer):
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        break  # most likely the version is too old: list again
                    changed(event["type"], event["object"])
            except Exception as error:  # the API server may be away for any reason; coming back is all that matters
                log(f"watching {PLURALS[kind]}: {type(error).__name__} {str(error)[:200]}; again in 1 s")
                time.sleep(1)


def _lines(answer):
    rest = b""
    for piece in answer.stream(4096, decode_content=False):
        *complete, rest = (rest + piece).split(b"\n")
        yield from (line for line in complete if line)


def status_of(error):
    return error.status if isinstance(error, ApiException) else None


def start_following(api, kind, changed, log):
    thread = threading.Thread(target=api.follow, args=(kind, changed, log), name=f"watch-{kind}", daemon=True)
    thread.start()
    return thread
