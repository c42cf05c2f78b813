"""The cluster: control plane and node as processes of this machine, in the world's network namespace."""

import json
import shutil
import signal
import ssl
import subprocess
import urllib.request
from pathlib import Path

from . import machine, paths, processes, tools
from .steps import Failed, run, wait_for

PKI, KUBECONFIGS = paths.PKI, paths.KUBECONFIGS
CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")


def kubectl(*arguments, **kwargs):
    return run(tools.path("kubectl"), "--kubeconfig", paths.ADMIN, *arguments, **kwargs)


def get(*arguments):
    """Objects as kubectl prints them in JSON, or None when there is no such thing."""
    done = subprocess.run([str(tools.path("kubectl")), "--kubeconfig", str(paths.ADMIN), "get", *arguments, "-o", "json"], capture_output=True, text=True)
    if done.returncode == 0:
        return json.loads(done.stdout)
    if "NotFound" in done.stderr or "doesn't have a resource type" in done.stderr:
        return None
    raise Failed(f"kubectl get {' '.join(arguments)}: {done.stderr.strip()[-300:]}")


def apply(path, *options):
    return kubectl("apply", "--server-side", "--force-conflicts", "-f", path, *options)


# Starting a program that already runs changes nothing.
def start(name, *options, **kwargs):
    if processes.pid_of(name) is None:
        processes.start(name, [tools.path(name), *options], in_netns=True, **kwargs)


def start_etcd():
    start("etcd", f"--data-dir={paths.STATE}/etcd", "--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379",
          "--listen-peer-urls=http://127.0.0.1:2380", "--unsafe-no-fsync", "--log-level=warn")


def start_apiserver():
    start("kube-apiserver", "--etcd-servers=http://127.0.0.1:2379", f"--bind-address={paths.WORLD_IP}", "--secure-port=6443", f"--advertise-address={paths.WORLD_IP}",
          f"--tls-cert-file={PKI}/apiserver.crt", f"--tls-private-key-file={PKI}/apiserver.key", f"--client-ca-file={PKI}/ca.crt",
          f"--kubelet-client-certificate={PKI}/apiserver-kubelet-client.crt", f"--kubelet-client-key={PKI}/apiserver-kubelet-client.key",
          "--kubelet-preferred-address-types=InternalIP", f"--service-account-key-file={PKI}/service-account.key",
          f"--service-account-signing-key-file={PKI}/service-account.key", "--service-account-issuer=https://kubernetes.default.svc", "--authorization-mode=Node,RBAC",
          "--enable-admission-plugins=NodeRestriction", f"--service-cluster-ip-range={paths.SERVICE_CIDR}", "--allow-privileged", "--endpoint-reconciler-type=master-count",
          "--profiling=false")


def start_managers():
    def with_identity(user):
        file = KUBECONFIGS / user
        return f"--kubeconfig={file}", f"--authentication-kubeconfig={file}", f"--authorization-kubeconfig={file}", "--leader-elect=false", "--bind-address=127.0.0.1"

    start("kube-controller-manager", *with_identity("controller-manager"), f"--service-account-private-key-file={PKI}/service-account.key", f"--root-ca-file={PKI}/ca.crt",
          "--use-service-account-credentials", "--allocate-node-cidrs", "--cluster-cidr=10.244.0.0/16", f"--service-cluster-ip-range={paths.SERVICE_CIDR}")
    start("kube-scheduler", *with_identity("scheduler"))


def healthy(path="/readyz"):
    context = ssl.create_default_context(cafile=str(PKI / "ca.crt"))
    context.load_cert_chain(PKI / "admin.crt", PKI / "admin.key")
    try:
        with urllib.request.urlopen(paths.API_URL + path, timeout=2, context=context) as answer:
            return answer.status == 200
    except OSError:
        return False


def wait_for_apiserver(timeout=60):
    def ready():
        if processes.pid_of("kube-apiserver") is None:
            raise Failed("kube-apiserver has ended", log=processes.log_of("kube-apiserver"))
        return healthy()

    wait_for("the API server is ready", ready, timeout, log=processes.log_of("kube-apiserver"))


def start_control_plane():
    start_etcd()
    start_apiserver()
    wait_for_apiserver()
    start_managers()
    let_kubelet_start()


def apply_kubevirt(crd_file):
    # Generated from KubeVirt's own types: the server checks them anyway, and asking it for all its schemas first takes seconds.
    apply(crd_file, "--validate=false")
    apply(paths.E2E / "manifests" / "stand-in.yaml", "--validate=false")
    wait_established("virtualmachines.kubevirt.io", "virtualmachineinstances.kubevirt.io", "virtualmachineinstancemigrations.kubevirt.io", "kubevirts.kubevirt.io")
    apply(paths.E2E / "manifests" / "kubevirt.yaml", "--validate=false")


def wait_established(*names):
    """Types that the server really serves. Not `kubectl wait`: it fails on one so fresh that it has no conditions yet."""
    def established():
        found = [get("crd", name) for name in names]
        return all(crd and any(c["type"] == "Established" and c["status"] == "True" for c in crd.get("status", {}).get("conditions") or []) for crd in found)

    wait_for(f"{', '.join(names)} are served", established, 30, every=0.2, log=processes.log_of("kube-apiserver"))


def fill(template, target, **values):
    text = template.read_text()
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)


def start_node(with_kvm):
    if processes.pid_of("node") is not None:
        return
    node, source = paths.NODE, paths.E2E / "node"
    node.mkdir(parents=True, exist_ok=True)
    fill(source / "containerd.toml", node / "containerd.toml", BASE_RUNTIME_SPEC=f'base_runtime_spec = "{node}/runtime-spec.json"' if with_kvm else "")
    fill(source / "kubelet.yaml", node / "kubelet.yaml", CGROUP=paths.CGROUP, PKI=PKI, NODE=node, WORLD_IP=paths.WORLD_IP)
    fill(source / "cni.conflist", node / "cni.conflist", POD_CIDR=paths.POD_CIDR)
    (node / "resolv.conf").write_text("nameserver 127.0.0.1\n")  # there is no name service in the world
    if with_kvm:
        allow_kvm(node / "runtime-spec.json")
    processes.start("node", ["unshare", "--mount", "--pid", "--uts", "--fork", "--kill-child", "bash", source / "inner.sh"], in_netns=True,
                    env={"WHORL_NODE": str(node), "WHORL_NODE_NAME": paths.NODE_NAME, "WHORL_NODE_IP": paths.WORLD_IP, "WHORL_TOOLS": str(tools.folder()), "WHORL_LOGS": str(paths.LOGS)})


def let_kubelet_start():
    """The node starts before the control plane does, to take in its images; its kubelet waits for this, for one that finds nobody retries ever more slowly."""
    paths.NODE.mkdir(parents=True, exist_ok=True)
    (paths.NODE / "control-plane-answers").touch()


def allow_kvm(target):
    """containerd's default container, with /dev/kvm allowed: KubeVirt's device plugin does this on a real node."""
    spec = json.loads(run("ctr", "oci", "spec").stdout)
    spec["linux"]["resources"]["devices"].append({"allow": True, "type": "c", "major": 10, "minor": 232, "access": "rwm"})
    target.write_text(json.dumps(spec))


def node_init():
    """The pid of the node's first process, as this machine numbers it."""
    outer = processes.pid_of("node")
    if outer is None:
        return None
    children = Path(f"/proc/{outer}/task/{outer}/children").read_text().split()
    return int(children[0]) if children else None


def in_node(*command):
    """A command line that runs in the node's namespaces."""
    pid = node_init()
    if pid is None:
        raise Failed("the node is not running", log=processes.log_of("node"), remedy="./dev up")
    return ["nsenter", f"--target={pid}", "--mount", "--net", "--pid", "--uts", *map(str, command)]


def wait_for_containerd():
    wait_for("containerd answers", lambda: node_init() and subprocess.run(in_node("ctr", "version"), capture_output=True).returncode == 0, 30, log=processes.log_of("containerd"))


def import_image(archive):
    run(*in_node("ctr", "-n", "k8s.io", "images", "import", archive))


def node_ready():
    node = get("node", paths.NODE_NAME)
    return node and any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"].get("conditions", []))


def stop():
    """Everything, in the order that works: the API server before etcd (without etcd it does not end), the node at once."""
    outcome = {}
    for name in ("node-v2", "stand-in", "kube-scheduler", "kube-controller-manager"):
        outcome[name] = processes.stop(name)
    # unshare --fork ignores TERM; its --kill-child takes the whole node with it.
    outcome["node"] = processes.stop("node", first=signal.SIGKILL)
    outcome["kube-apiserver"] = processes.stop("kube-apiserver", patience=3)
    outcome["etcd"] = processes.stop("etcd")
    for name in processes.names():
        outcome[name] = processes.stop(name)
    return {name: how for name, how in outcome.items() if how}


def forget():
    """Removes the cluster's state; logs stay until the next `up`."""
    left = machine.mounts()
    if [where for where in left if where.startswith(str(paths.STATE))]:
        raise Failed(f"not removing {paths.STATE}: still mounted: {', '.join(left)}")
    for name in ("etcd", "pki", "kubeconfig", "node", "guest", "images", "pids", "second", "stripped"):
        shutil.rmtree(paths.STATE / name, ignore_errors=True)
    for name in (*paths.IN_GUEST, "world.json"):
        (paths.STATE / name).unlink(missing_ok=True)
