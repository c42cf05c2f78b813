"""Commands that look at a running world, and the one that talks to its guests."""

import os
import subprocess
import sys
import time

from . import cluster, guest, paths, processes, product, tools, up
from .steps import Failed

HOST_LOGS = ("kube-apiserver", "etcd", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "containerd", "stand-in", "node",
             "node-v2", "kubelet-v2", "kube-proxy-v2", "containerd-v2")
SHORT = {"apiserver": "kube-apiserver", "kcm": "kube-controller-manager", "controller-manager": "kube-controller-manager", "scheduler": "kube-scheduler", "standin": "stand-in", "proxy": "kube-proxy"}
# Component, container, and the node whose pod is meant.
POD_LOGS = {"controller": ("controller", "controller", None), "agent": ("agent", "agent", paths.NODE_NAME), "restorer": ("agent", "restorer", paths.NODE_NAME),
            "agent-v2": ("agent", "agent", paths.SECOND_NAME), "restorer-v2": ("agent", "restorer", paths.SECOND_NAME)}


def need_running():
    if processes.pid_of("kube-apiserver") is None:
        raise Failed("the world is not up", remedy="./dev up")


def status():
    print(f"state {paths.STATE}   cache {paths.CACHE}   logs {paths.LOGS}")
    for name in (*cluster.CONTROL_PLANE, "node", "stand-in", *(["node-v2"] if processes.pid_of("node-v2") else [])):
        pid = processes.pid_of(name)
        print(f"  {name:<26}{f'running, pid {pid}' if pid else 'not running'}")
    if processes.pid_of("kube-apiserver") is None:
        print("the world is down; ./dev up starts it")
        return 1
    sys.stdout.flush()
    for words in (["get", "nodes"], ["get", "vm,vmi,pod", "-n", "default", "-o", "wide"], ["get", "pod", "-n", product.NAMESPACE, "-o", "wide"]):
        print()
        sys.stdout.flush()
        kubectl(words)
    if cluster.get("crd", "behaviorfingerprints.whorl.dev"):
        print()
        sys.stdout.flush()
        kubectl(["get", "bfp,npart,ppol", "-A"])
    return 0


def kubectl(words):
    need_running()
    # By environment, because kubectl takes no flag before a plugin's name.
    environment = {**os.environ, "KUBECONFIG": str(paths.ADMIN), "PATH": f"{product.plugin_path()}:{os.environ['PATH']}"}
    return subprocess.run([str(tools.path("kubectl")), *words], env=environment).returncode


def kubeconfig(export):
    need_running()
    print(f"export KUBECONFIG={paths.ADMIN} PATH={tools.folder()}:{product.plugin_path()}:$PATH" if export else paths.ADMIN)
    return 0


def logs(what, follow, more):
    if not what:
        print(f"logs of: {', '.join([*POD_LOGS, 'guest NAME', *HOST_LOGS])}\nfiles:   {paths.LOGS}")
        for path in sorted(paths.LOGS.glob("*.log")):
            print(f"  {path.stat().st_size:>10}  {path.name}")
        return 0
    what = SHORT.get(what, what)
    if what in POD_LOGS:
        component, container, node = POD_LOGS[what]
        need_running()
        pod = product.pod_of(component, node)
        if pod is None:
            raise Failed(f"no {component} pod{f' on {node}' if node else ''}", remedy="./dev status" if node != paths.SECOND_NAME else "./dev up --nodes 2")
        return kubectl(["-n", product.NAMESPACE, "logs", pod["metadata"]["name"], "-c", container, *(["-f"] if follow else []), *more])
    if what == "guest":
        if not more:
            raise Failed("which guest?", remedy="./dev logs guest db-1")
        pod = up.launcher_of(more[0])
        if pod is None:
            raise Failed(f"no running launcher pod of VM {more[0]}", remedy="./dev kubectl get vm,pod")
        return kubectl(["logs", pod["metadata"]["name"], "-c", "guest-console-log", *(["-f"] if follow else [])])
    path = processes.log_of(what)
    if not path.is_file():
        raise Failed(f"no log of {what}", remedy="./dev logs lists them")
    return subprocess.run(["tail", "-n", "200", *(["-f"] if follow else []), str(path)]).returncode


def tell_guest(name, words, follow):
    need_running()
    pod = up.launcher_of(name)
    if pod is None:
        raise Failed(f"no running launcher pod of VM {name}", remedy="./dev kubectl get vm,pod")
    with guest.Guest(pod["metadata"]["uid"], name) as line:
        print(text_of(name, line.ask(" ".join(words) or "status", timeout=20)), flush=True)
        end = time.monotonic() + (follow or 0)
        for progress in line.lines(until=end) if follow else ():
            if progress.get("progress"):
                print(text_of(name, progress), flush=True)
    return 0


def text_of(name, line):
    return f"{name}: {line['behaviour']} at {line['level']} %, {line['iterations']} iterations, {line['rate']:.1f}/s, up {line['uptimeMs'] / 1000:.0f} s"
