"""The guests' kernel and initramfs, whether KVM really works here, and talking to a guest."""

import gzip
import io
import json
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from . import images, paths
from .steps import Failed, run

GUEST = paths.E2E / "guest"
KERNEL_PACKAGE = "linux-image-cloud-amd64"
# In the order in which they load.
MODULES = ("virtio_ring", "virtio", "virtio_pci_modern_dev", "virtio_pci_legacy_dev", "virtio_pci", "failover", "net_failover", "virtio_net", "virtio_console", "virtio_blk",
           "virtio_balloon")


def kernel(whole=False):
    """vmlinuz and the modules out of Debian's cloud kernel package. Returns (folder, was it fetched now). A kernel once fetched stays until the cache goes.

    `whole`: with lib/modules as it is in the package, for a machine that loads more than the guests do.
    """
    cached = sorted((paths.CACHE / "kernel").glob("linux-image-*/vmlinuz"), key=lambda path: path.stat().st_mtime)
    if whole:
        cached = [path for path in cached if (path.parent / "lib/modules").is_dir()]
    if cached:
        return cached[-1].parent, False
    depends = run("apt-cache", "show", "--no-all-versions", KERNEL_PACKAGE).stdout
    package = next(line.split()[1] for line in depends.splitlines() if line.startswith("Depends: "))
    version = next(line.split("=")[1].strip(" )") for line in depends.splitlines() if line.startswith("Depends: "))
    target = paths.CACHE / "kernel" / f"{package}_{version}"
    work = paths.CACHE / "kernel" / "partial"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    log = paths.LOGS / "build-kernel.log"
    os.chmod(work, 0o777)  # apt downloads as its own user
    run("apt-get", "-o", "DPkg::Lock::Timeout=300", "download", f"{package}={version}", cwd=work, log=log)
    run("dpkg-deb", "-x", next(work.glob("*.deb")), work / "x", log=log)
    out = work / "out"
    out.mkdir()
    shutil.copy(next((work / "x/boot").glob("vmlinuz-*")), out / "vmlinuz")
    for name in MODULES:
        found = list((work / "x").rglob(f"{name}.ko"))
        if not found:
            raise Failed(f"the kernel package {package} has no module {name}", remedy="adapt MODULES in e2e/world/guest.py to what it has")
        shutil.copy(found[0], out / f"{name}.ko")
    shutil.copytree(work / "x/lib/modules", out / "lib/modules", symlinks=True)
    shutil.rmtree(target, ignore_errors=True)  # one of the same version, but without all modules
    out.rename(target)
    shutil.rmtree(work)
    return target, True


def write_initramfs(kernel_folder, programs, target):
    """What a guest boots from: our programs and its init."""
    write_cpio(kernel_folder, GUEST / "init", {f"bin/{program.name}": (program.read_bytes(), 0o755) for program in programs}, target)


def write_cpio(kernel_folder, init, files, target):
    """busybox, `init`, the drivers and {path: (bytes, mode)} as a compressed cpio in `target`."""
    folders = ["bin", "dev", "proc", "root", "sys", "lib", "lib/modules", *sorted({str(Path(name).parent) for name in files} - {"bin"})]
    entries = [(folder, 0o40755, b"") for folder in folders]
    entries += [("init", 0o100755, init.read_bytes()), ("bin/busybox", 0o100755, Path("/bin/busybox").read_bytes()),
                ("lib/modules/order", 0o100644, "".join(f"{name}\n" for name in MODULES).encode())]
    entries += [(name, 0o100000 | mode, data) for name, (data, mode) in files.items()]
    entries += [(f"lib/modules/{name}.ko", 0o100644, (kernel_folder / f"{name}.ko").read_bytes()) for name in MODULES]
    archive = io.BytesIO()
    for number, (name, mode, data) in enumerate([*entries, ("TRAILER!!!", 0, b"")], start=1):
        _cpio_entry(archive, number, name, mode, data)
    target.write_bytes(gzip.compress(archive.getvalue(), compresslevel=6, mtime=0))


def _cpio_entry(out, inode, name, mode, data):
    fields = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
    out.write(b"070701" + "".join(f"{field:08x}" for field in fields).encode() + name.encode() + b"\0")
    out.write(b"\0" * (-out.tell() % 4))
    out.write(data)
    out.write(b"\0" * (-out.tell() % 4))


def stripped_programs():
    """What runs inside the guests."""
    found = []
    for name in paths.IN_GUEST:
        program = images.find_program(name)
        if program is None:
            raise Failed(f"build/release has no {name}", remedy="./dev build")
        found.append(paths.STATE / name)
        run("strip", "-o", found[-1], program)
    return found


def kvm_works(folder):
    """Whether a guest of ours really starts under KVM: /dev/kvm alone says little. The answer holds until the next boot of this machine."""
    if not Path("/dev/kvm").exists():
        return False, "no /dev/kvm"
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    memo = paths.CACHE / "kvm-probe.json"
    try:
        known = json.loads(memo.read_text())
        if known["boot"] == boot:
            return known["works"], known["why"]
    except (OSError, ValueError, KeyError):
        pass
    works, why = _probe_kvm(folder)
    memo.write_text(json.dumps({"boot": boot, "works": works, "why": why}))
    return works, why


def _probe_kvm(folder, patience=10.0):
    command = ["qemu-system-x86_64", "-machine", "q35", "-accel", "kvm", "-cpu", "qemu64", "-m", "128", "-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio",
               "-kernel", str(folder / "vmlinuz"), "-initrd", str(folder / "initrd.gz"), "-append", "console=ttyS0 quiet rdinit=/init panic=-1"]
    log = paths.LOGS / "probe-kvm.log"
    with open(log, "w") as out:
        guest = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        end = time.monotonic() + patience
        try:
            while time.monotonic() < end and guest.poll() is None:
                if "init: up" in log.read_text(errors="replace"):
                    return True, "a guest started"
                time.sleep(0.2)
        finally:
            guest.kill()
            guest.wait()
    last = log.read_text(errors="replace").strip().splitlines()[-1:]
    return False, f"a guest did not start ({last[0][:120] if last else 'it said nothing'})"


class Guest:
    """A line to one guest's workload. QEMU's end takes one caller at a time, so use it in a `with` and be brief."""

    def __init__(self, pod_uid, name="guest"):
        self.name = name
        self.socket_folder = paths.NODE / "kubelet/pods" / pod_uid / "volumes/kubernetes.io~empty-dir/private"
        self.buffer = b""
        self.next_id = int(time.time() * 1000) % 1_000_000_000

    def __enter__(self):
        folder = os.open(self.socket_folder, os.O_PATH)
        try:
            self.line = socket.socket(socket.AF_UNIX)
            self.line.settimeout(5)
            self.line.connect(f"/proc/self/fd/{folder}/whorl-guest.sock")  # the real path is longer than a unix address may be
        except OSError as error:
            raise Failed(f"{self.name}: no connection to the guest's command line ({error})", remedy="./dev status; another caller may hold it") from error
        finally:
            os.close(folder)
        return self

    def __exit__(self, *_):
        self.line.close()

    def ask(self, words, timeout=10.0):
        """Sends one command and returns the guest's answer. Asks again now and then: before the guest has booted nobody listens."""
        end = time.monotonic() + timeout
        self.next_id += 1
        while True:
            self.line.sendall(f"id={self.next_id} {words}\n".encode())
            for line in self.lines(until=min(end, time.monotonic() + 2.5)):
                if line.get("reply") == self.next_id:
                    if not line["ok"]:
                        raise Failed(f"{self.name} refused `{words}`: {line['error']}")
                    return line
            if time.monotonic() >= end:
                raise Failed(f"{self.name} does not answer `{words}` within {timeout:.0f} s", remedy=f"the guest's console: ./dev logs guest {self.name}")

    def lines(self, until):
        """JSON lines as they come, until a moment of time.monotonic()."""
        while (left := until - time.monotonic()) > 0:
            self.line.settimeout(left)
            try:
                got = self.line.recv(65536)
            except socket.timeout:
                return
            if not got:
                raise Failed(f"{self.name}: the guest's command line was closed; its QEMU has ended")
            self.buffer += got
            *complete, self.buffer = self.buffer.split(b"\n")
            for text in complete:
                try:
                    yield json.loads(text)
                except ValueError:
                    continue  # the first line after connecting may be a fragment
