"""KubeVirt's CRDs, generated from its own Go types; what virt-operator adds to them (short names, columns, subresources) is added here."""

import json
import os
import shutil
from pathlib import Path

import yaml

from . import images, paths, tools
from .steps import run

COLUMNS = {
    "virtualmachines": [("Age", "date", ".metadata.creationTimestamp"), ("Status", "string", ".status.printableStatus"), ("Ready", "string", ".status.conditions[?(@.type=='Ready')].status")],
    "virtualmachineinstances": [("Age", "date", ".metadata.creationTimestamp"), ("Phase", "string", ".status.phase"), ("IP", "string", ".status.interfaces[0].ipAddress"),
                                ("NodeName", "string", ".status.nodeName"), ("Ready", "string", ".status.conditions[?(@.type=='Ready')].status")],
    "virtualmachineinstancemigrations": [("Phase", "string", ".status.phase"), ("VMI", "string", ".spec.vmiName")],
    "kubevirts": [("Age", "date", ".metadata.creationTimestamp"), ("Phase", "string", ".status.phase")],
}
NAMES = {"virtualmachines": ["vm", "vms"], "virtualmachineinstances": ["vmi", "vmis"], "virtualmachineinstancemigrations": ["vmim", "vmims"], "kubevirts": ["kv", "kvs"]}


def generate():
    """A file with the CRDs that the world uses. Returns (path, was it made now)."""
    target = paths.CACHE / "crds" / f"kubevirt-{images.key(tools.MODULE / 'go.sum', Path(__file__))}.json"
    if target.is_file():
        return target, False
    work = paths.CACHE / "crds" / "partial"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    run(tools.path("controller-gen"), "crd:allowDangerousTypes=true", "paths=kubevirt.io/api/core/v1", f"output:crd:dir={work}", cwd=tools.MODULE,
        env={**os.environ, "PATH": f"{Path(tools.go()).parent}:/usr/bin:/bin"}, log=tools.LOG)
    wanted = []
    for file in sorted(work.glob("kubevirt.io_*.yaml")):
        crd = yaml.load(file.read_text(), Loader=yaml.CSafeLoader)
        if crd["spec"]["names"]["plural"] in NAMES:
            wanted.append(finish(crd))
    target.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": wanted}))
    shutil.rmtree(work)
    return target, True


def finish(crd):
    plural = crd["spec"]["names"]["plural"]
    crd["spec"]["names"]["shortNames"] = NAMES[plural]
    crd["spec"]["names"]["categories"] = ["all"]
    for version in crd["spec"]["versions"]:
        version["additionalPrinterColumns"] = [{"name": name, "type": kind, "jsonPath": path} for name, kind, path in COLUMNS[plural]]
        # The VMI has no status subresource in KubeVirt.
        if plural == "virtualmachineinstances":
            version.pop("subresources", None)
        else:
            version["subresources"] = {"status": {}}
    crd.pop("status", None)
    return crd
