"""The second node: a virtual machine with cgroup v2 and nothing beside it, on a link of its own to the world's network namespace.

Its disk (Debian, kernel modules, kubelet, and the images' large layers in containerd's store) is built once into the cache. What belongs to one world
only, addresses, certificates and configuration, comes with the initramfs, written anew at each start; the disk itself is never written to.
"""

import hashlib
import os
import shutil
import subprocess
import time

from . import cluster, guest, images, machine, node_disk, paths, pki, processes, product, tools
from .steps import Failed, run, step, wait_for

SOURCE = paths.E2E / "node"
PROCESS = "node-v2"
CPUS = 2
MEMORY_MIB = 2048
WITH_LOGS = ("containerd", "kubelet", "kube-proxy")  # whose logs come out of the machine, by the number of their port


def running():
    return processes.pid_of(PROCESS) is not None


# ---- start and end ----------------------------------------------------------


def up():
    """Starts the node beside a world that is up, and waits until Whorl's agent on it is ready. Harmless when it runs already."""
    if running() and node_ready():
        return
    with step("second node's disk", "" if node_disk.cached() else "two minutes the first time") as done:
        kernel, image, built = node_disk.get()
        done.found("built" if built else "from the cache")
    with step("second node") as done:
        start(kernel, image)
        begun = time.monotonic()
        wait_until_ready()
        took = time.monotonic() - begun
        done.found(f"{paths.SECOND_NAME} is Ready {took:.1f} s after its start ({CPUS} CPUs, {MEMORY_MIB} MiB, cgroup v2)")
    if product.installable() is None:
        with step("Whorl on it") as done:
            import_whorl()
            product.wait_until_running(timeout=180, nodes=(paths.NODE_NAME, paths.SECOND_NAME))
            done.found("its agent is ready")


def start(kernel, image):
    folder = paths.SECOND
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    make_link()
    for name in (PROCESS, *[f"{program}-v2" for program in WITH_LOGS]):
        processes.log_of(name).unlink(missing_ok=True)
    # A Node object of an earlier machine would look Ready for a while.
    cluster.kubectl("delete", "node", paths.SECOND_NAME, "--ignore-not-found")
    guest.write_cpio(kernel, SOURCE / "v2/early-init", what_it_is_told(folder), folder / "initrd.gz")
    with_kvm, _ = guest.kvm_works(paths.GUEST)
    # Its clock goes on while others have the machine, so it goes first.
    command = ["nice", "-n", "-10", "qemu-system-x86_64", "-machine", "q35", *(["-accel", "kvm", "-cpu", "host"] if with_kvm else ["-accel", "tcg,thread=multi,tb-size=512", "-cpu", "max"]),
               "-smp", CPUS, "-m", MEMORY_MIB, "-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio",
               "-kernel", kernel / "vmlinuz", "-initrd", folder / "initrd.gz", "-append", KERNEL_LINE,
               # What the machine writes goes to a file without a name, and with the process.
               "-drive", f"file={image},format=raw,if=virtio,cache=unsafe,snapshot=on", "-netdev", f"tap,id=net,ifname={paths.SECOND_LINK},script=no,downscript=no",
               "-device", "virtio-net-pci,netdev=net,romfile=", "-device", "virtio-rng-pci", "-device", "virtio-serial-pci"]
    for program in WITH_LOGS:
        log = processes.log_of(f"{program}-v2")
        command += ["-chardev", f"file,id={program},path={log}", "-device", f"virtserialport,chardev={program}"]
    processes.start(PROCESS, command, in_netns=True, env={"TMPDIR": str(folder)})


def wait_until_ready():
    def ready():
        if not running():
            raise Failed("the second node's machine has ended", log=processes.log_of(PROCESS))
        return node_ready()

    wait_for(f"{paths.SECOND_NAME} is Ready", ready, 120, every=0.2, log=processes.log_of(PROCESS), remedy="./dev logs kubelet-v2; ./dev logs containerd-v2")


# Its clock is this machine's; nothing here defends against its own users.
KERNEL_LINE = "console=ttyS0 quiet psi=1 mitigations=off nokaslr no_timer_check tsc=reliable cryptomgr.notests random.trust_cpu=on 8250.nr_uarts=1 panic=-1"


def what_it_is_told(folder):
    """{path in the initramfs: (bytes, mode)}: everything of this world that the machine needs."""
    pki.make_user("node-v2", f"/O=system:nodes/CN=system:node:{paths.SECOND_NAME}")
    key = folder / "ssh"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "whorl-world", "-f", key)
    cluster.fill(SOURCE / "containerd.toml", folder / "containerd.toml", BASE_RUNTIME_SPEC="")
    cluster.fill(SOURCE / "kubelet.yaml", folder / "kubelet.yaml", CGROUP="", PKI="/run/world", NODE="/run/world", WORLD_IP=paths.SECOND_IP)
    cluster.fill(SOURCE / "cni.conflist", folder / "cni.conflist", POD_CIDR=paths.SECOND_POD_CIDR)
    told = {
        "init": SOURCE / "v2/init", "containerd.toml": folder / "containerd.toml", "kubelet.yaml": folder / "kubelet.yaml", "cni.conflist": folder / "cni.conflist",
        "ca.crt": paths.PKI / "ca.crt", "kubelet.kubeconfig": paths.KUBECONFIGS / "node-v2", "kube-proxy.kubeconfig": paths.KUBECONFIGS / "kube-proxy", "authorized_keys": folder / "ssh.pub",
    }
    found = {f"world/{name}": (path.read_bytes(), 0o755 if name == "init" else 0o600) for name, path in told.items()}
    found["world/settings"] = (f"name={paths.SECOND_NAME} address={paths.SECOND_IP} gateway={paths.SECOND_GATEWAY}\n".encode(), 0o644)
    found["world/resolv.conf"] = (b"nameserver 127.0.0.1\n", 0o644)
    return found


def make_link():
    """A tap in the world's network namespace: both nodes' pods reach each other, as with any routed pod network."""
    link = paths.SECOND_LINK
    if subprocess.run(machine.in_netns("ip", "link", "show", link), capture_output=True).returncode:
        run(*machine.in_netns("ip", "tuntap", "add", link, "mode", "tap"))
    for words in (f"addr replace {paths.SECOND_GATEWAY}/24 dev {link}", f"link set {link} up", f"route replace {paths.SECOND_POD_CIDR} via {paths.SECOND_IP}"):
        run(*machine.in_netns("ip", *words.split()))
    run(*machine.in_netns("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"))


def node_ready():
    node = cluster.get("node", paths.SECOND_NAME)
    return node and any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"].get("conditions", []))


def down():
    """Ends the node alone; the world goes on without it."""
    processes.stop(PROCESS)
    if processes.pid_of("kube-apiserver"):
        cluster.kubectl("delete", "node", paths.SECOND_NAME, "--ignore-not-found")
        cluster.kubectl("delete", "pods", "-A", "--field-selector", f"spec.nodeName={paths.SECOND_NAME}", "--force", "--grace-period=0")
    subprocess.run(machine.in_netns("ip", "link", "del", paths.SECOND_LINK), capture_output=True)
    shutil.rmtree(paths.SECOND, ignore_errors=True)


# ---- working with it --------------------------------------------------------


def command(*words):
    """A command line that runs `words` through a shell of the node, as root."""
    return machine.in_netns("ssh", "-q", "-i", paths.SECOND / "ssh", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=10",
                            f"root@{paths.SECOND_IP}", *words)


def sh(script):
    """What a bash script prints that runs on the node; fails when it fails."""
    done = subprocess.run(command("bash"), input=f"set -e\n{script}\n", capture_output=True, text=True, env={**os.environ, processes.MARK: str(paths.STATE)})
    if done.returncode:
        raise Failed(f"on {paths.SECOND_NAME}, a script ended with {done.returncode}: {done.stderr.strip()[-600:]}", log=processes.log_of(PROCESS))
    return done.stdout


def import_whorl():
    """Whorl's image: its programs only, for the layer below them is on the disk."""
    archive, _ = images.product(with_base=False)
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    mark = paths.SECOND / "imported-whorl"
    if mark.is_file() and mark.read_text() == digest:
        return
    with open(archive, "rb") as file:
        done = subprocess.run(command("ctr", "-n", "k8s.io", "images", "import", "-"), stdin=file, capture_output=True, text=True, env={**os.environ, processes.MARK: str(paths.STATE)})
    if done.returncode:
        raise Failed(f"the second node does not take in Whorl's image: {(done.stderr or done.stdout).strip()[-300:]}", log=processes.log_of(PROCESS))
    mark.write_text(digest)
