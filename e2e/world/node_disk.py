"""The second node's disk: Debian, the kernel's modules, kubelet, and the images' large layers in containerd's store. Built into the cache, keyed by what it is made from."""

import shutil
from pathlib import Path

from . import guest, images, paths, tools
from .steps import run

LOG = paths.LOGS / "build-node-v2.log"
SIZE = "8G"  # sparse
CACHE = paths.CACHE / "node-v2"


def cached():
    return bool(list(CACHE.glob("*.ext4")))


def get():
    """Kernel folder and disk image; builds what is missing. Returns (kernel folder, disk image, was it built now)."""
    kernel, _ = guest.kernel(whole=True)
    base, _ = images.base_layer("node-v2")
    layers = {"launcher": images.launcher()[0], "pause": images.pause()}
    whorl, _ = images.base_layer("whorl")
    recipe = images.key(Path(__file__), kernel.name, base.name, whorl.name, tools.folder().name, *[archive.name for archive in layers.values()])
    target = CACHE / f"{recipe}.ext4"
    if target.is_file():
        return kernel, target, False
    work = CACHE / "partial"
    shutil.rmtree(work, ignore_errors=True)
    root = work / "root"
    root.mkdir(parents=True)
    run("tar", "-xpf", base, "-C", root, log=LOG)
    run("cp", "-a", kernel / "lib/modules", root / "usr/lib/", log=LOG)
    version = next((root / "usr/lib/modules").iterdir()).name
    run("depmod", "-b", root, version, log=LOG)
    for program in ("kubelet", "kube-proxy"):
        run("cp", tools.path(program), root / "usr/local/bin" / program, log=LOG)
    # The base layer of Whorl's image under a name of its own: a thin layer on top is all that is ever brought in.
    layers["whorl-base"] = images.write_archive("localhost/whorl-base:whorl", work / "whorl-base.tar", whorl, images.tar_of({}))
    bake_images(work, root, layers.values())
    run("mke2fs", "-q", "-F", "-t", "ext4", "-O", "^has_journal", "-E", "lazy_itable_init=1", "-d", root, work / "disk", SIZE, log=LOG)
    for older in CACHE.glob("*.ext4"):
        older.unlink()
    (work / "disk").rename(target)
    shutil.rmtree(work)
    return kernel, target, True


def bake_images(work, root, archives):
    """Imports and unpacks images into the containerd store below `root`, by this machine's containerd in a mount namespace of its own."""
    socket = work / "containerd.sock"
    (work / "containerd.toml").write_text(f'version = 2\nroot = "{root}/var/lib/containerd"\nstate = "{work}/state"\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
                                          f'[grpc]\n  address = "{socket}"\n')
    imports = "\n".join(f"ctr -a {socket} -n k8s.io images import {archive}" for archive in archives)
    script = f"""
containerd --config {work}/containerd.toml &
daemon=$!
for _ in $(seq 100); do ctr -a {socket} version > /dev/null 2>&1 && break; sleep 0.1; done
set -e
trap 'kill $daemon; wait $daemon' EXIT
{imports}
"""
    run("unshare", "--mount", "--propagation", "private", "bash", "-c", script, log=LOG)
