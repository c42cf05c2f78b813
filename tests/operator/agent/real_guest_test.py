#!/usr/bin/python3
"""Balloon and disk limits of a real guest, through a real libvirtd of its own.

    real_guest_test.py CLIENT

Starts a session libvirtd in a mount namespace of its own, as launchers run it, with
one QEMU guest (TCG), and drives CLIENT against it. Needs root, libvirtd, QEMU and
the guests' kernel (which e2e/world fetches from Debian once); without one of them
it exits 77 (skipped) and says which.
"""
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3]))
from e2e.world import guest  # noqa: E402
from tests.operator.agent.domain_client import Client  # noqa: E402

NOBODY = 65534
MEMORY_KIB = 262144
FREE = "read_bytes=0 write_bytes=0 read_iops=0 write_iops=0"

INIT = """#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t devtmpfs dev /dev
while read -r module; do $b insmod "/lib/modules/$module.ko"; done < /lib/modules/order
echo "init: up"
while :; do
  $b dd if=/dev/zero of=/dev/vda bs=64k count=8 oflag=direct 2>/dev/null
  echo "init: $($b head -1 /proc/meminfo)"
done
"""

DOMAIN = """<domain type='qemu'>
  <name>default_web-1</name>
  <memory unit='KiB'>{memory}</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>{folder}/vmlinuz</kernel>
    <initrd>{folder}/initrd.gz</initrd>
    <cmdline>console=ttyS0 quiet rdinit=/init panic=-1 mitigations=off nokaslr no_timer_check cryptomgr.notests random.trust_cpu=on</cmdline>
  </os>
  <features><acpi/></features>
  <cpu mode='custom'><model>qemu64</model></cpu>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <controller type='usb' index='0' model='none'/>
    {devices}
    <serial type='file'><source path='{folder}/console.log'/></serial>
  </devices>
</domain>
"""
DISK_AND_BALLOON = """<disk type='file' device='disk' model='virtio-non-transitional'>
      <driver name='qemu' type='raw' cache='none'/><source file='{folder}/disk.img'/><target dev='vda' bus='virtio'/>
    </disk>
    <memballoon model='virtio-non-transitional' freePageReporting='on'><stats period='1'/></memballoon>"""
NEITHER = "<memballoon model='none'/>"


def write_initrd(kernel, folder):
    program = folder / "init"
    program.write_text(INIT)
    target = folder / "initrd.gz"
    before = guest.GUEST
    guest.GUEST = folder  # whose `init` goes in
    try:
        guest.write_initramfs(kernel, [], target)
    finally:
        guest.GUEST = before


class Launcher:
    """libvirtd and, one after the other, its domains; what a launcher's pod runs."""

    def __init__(self, kernel):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="whorl-guest-"))
        shutil.copy(kernel / "vmlinuz", self.folder / "vmlinuz")
        write_initrd(kernel, self.folder)
        with open(self.folder / "disk.img", "wb") as disk:
            disk.truncate(64 << 20)
        self.pod = self.folder / "pod"
        self.pod.mkdir()
        config = self.folder / "config/libvirt"
        config.mkdir(parents=True)
        (config / "qemu.conf").write_text('cgroup_controllers = [ ]\nnamespaces = []\nstdio_handler = "file"\n')
        self.folder.chmod(0o755)
        for path in (self.folder, *self.folder.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "XDG_RUNTIME_DIR": "/run", "XDG_CONFIG_HOME": str(self.folder / "config"),
                       "XDG_CACHE_HOME": str(self.folder / "cache")}
        start = "mount -t tmpfs tmpfs /run && chmod 777 /run && exec setpriv --reuid 65534 --regid 65534 --clear-groups libvirtd -f /dev/null"
        self.log = open(self.folder / "libvirtd.log", "w")
        self.libvirtd = subprocess.Popen(["unshare", "--mount", "--propagation", "private", "sh", "-c", start], env=environment, stdout=self.log, stderr=subprocess.STDOUT)
        self.socket = f"/proc/{self.libvirtd.pid}/root/run/libvirt/libvirt-sock"
        self.qemu = None
        wait(lambda: os.path.exists(self.socket), "libvirtd listens", 20)

    def virsh(self, *words):
        done = subprocess.run(["virsh", "-q", "-c", f"qemu+unix:///session?socket={self.socket}", *words], capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise AssertionError(f"virsh {' '.join(words)}: {done.stderr}")
        return done.stdout

    def run(self, devices, *how):
        text = DOMAIN.format(memory=MEMORY_KIB, folder=self.folder, devices=devices.format(folder=self.folder))
        (self.folder / "domain.xml").write_text(text)
        self.virsh("create", str(self.folder / "domain.xml"), *how)
        children = [int(p.name) for p in pathlib.Path("/proc").iterdir() if p.name.isdigit() and self._is_qemu(p)]
        self.qemu = children[0]
        (self.pod / "cgroup.procs").write_text(f"{self.libvirtd.pid}\n{self.qemu}\n")

    def _is_qemu(self, proc):
        try:
            return str(self.folder).encode() in (proc / "cmdline").read_bytes() and (proc / "comm").read_text().startswith("qemu-system")
        except OSError:
            return False

    def destroy(self):
        self.virsh("destroy", "default_web-1")
        self.qemu = None

    def console(self):
        return (self.folder / "console.log").read_text(errors="replace")

    def end(self):
        os.kill(self.libvirtd.pid, signal.SIGCONT)
        if self.qemu:
            os.kill(self.qemu, signal.SIGKILL)
        self.libvirtd.kill()
        self.libvirtd.wait()
        self.log.close()
        shutil.rmtree(self.folder)


def wait(predicate, what, seconds, every=0.05):
    end = time.monotonic() + seconds
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(every)


class RealGuest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.launcher = Launcher(KERNEL)
        cls.addClassCleanup(cls.launcher.end)
        cls.launcher.run(DISK_AND_BALLOON)
        cls.client = Client(CLIENT, cls.launcher.pod, cls.launcher.folder / "state")
        cls.addClassCleanup(cls.client.end)
        wait(lambda: "init: MemTotal" in cls.launcher.console(), "the guest is up", 90)

    def memory(self):
        most, size, total, unused, updated = self.client.get("memory").split()
        return {"most": int(most), "size": int(size), "total": total, "unused": unused, "updated": int(updated)}

    def guest_total_kib(self):
        lines = [line for line in self.launcher.console().splitlines() if line.startswith("init: MemTotal")]
        return int(lines[-1].split()[2])

    def written_per_second(self, seconds):
        def written():
            return int(next(line.split()[-1] for line in self.launcher.virsh("domblkstat", "default_web-1", "vda").splitlines() if " wr_bytes " in line))

        first, start = written(), time.monotonic()
        time.sleep(seconds)  # the thing measured is the time that passes
        return (written() - first) / (time.monotonic() - start)

    def test_balloon_is_written_followed_by_the_guest_and_put_back_as_found(self):
        found = self.client.get("read", "balloon")
        self.assertEqual(found, str(MEMORY_KIB))
        before = self.guest_total_kib()
        lower = MEMORY_KIB - 64 * 1024
        start = time.monotonic()
        self.client.get("write", "balloon", str(lower))
        took = time.monotonic() - start
        seen = self.client.get("read", "balloon")
        self.assertTrue(lower <= int(seen) <= MEMORY_KIB, f"on its way: {seen}")
        wait(lambda: self.client.get("read", "balloon") == str(lower), "the guest follows", 30)
        arrived = time.monotonic() - start
        wait(lambda: before - self.guest_total_kib() >= 60 * 1024, "the guest sees less", 30)
        print(f"balloon -64 MiB: call {took * 1000:.1f} ms, read right after {seen} KiB, arrived after {arrived * 1000:.0f} ms; MemTotal {before} -> {self.guest_total_kib()} kB")
        self.client.get("write", "balloon", found)
        wait(lambda: self.client.get("read", "balloon") == found, "the guest has it back", 30)
        self.assertLess(took, 1)

    def test_memory_statistics_come_from_the_guest(self):
        memory = wait(lambda: (m := self.memory())["updated"] and m["unused"] != "none" and m, "the balloon's driver speaks", 30)
        self.assertEqual(memory["most"], MEMORY_KIB)
        self.assertTrue(0 < int(memory["unused"]) < int(memory["total"]) < MEMORY_KIB, memory)
        self.assertLess(abs(time.time() - memory["updated"]), 10)

    def test_c_the_mover_keeps_its_rate_and_the_guests_working_set_and_deflates(self):
        wait(lambda: self.memory()["unused"] != "none", "the balloon's driver speaks", 30)
        self.client.get("aim", "16384")  # far below what it uses
        wait(lambda: self.client.get("status").startswith("Moving"), "it sets out", 10)
        first, start = self.memory()["size"], time.monotonic()
        held = wait(lambda: (s := self.client.get("status")).startswith("Held") and s, "it stops", 60)
        took = time.monotonic() - start
        memory = self.memory()
        print(f"mover: {first} -> {memory['size']} KiB in {took:.1f} s ({(first - memory['size']) / 1024 / took:.0f} MiB/s), {memory['unused']} KiB unused; {held}")
        self.assertIn("BelowUse: the guest uses", held)
        self.assertLess(memory["size"], MEMORY_KIB - 32 * 1024)
        self.assertLessEqual((first - memory["size"]) / 1024 / took, 70)
        time.sleep(2.5)  # two of the guest's reports: it must be well
        self.assertGreater(int(self.memory()["unused"]), 20 * 1024)
        self.client.get("deflate")
        wait(lambda: self.client.get("status").startswith("Deflated"), "it is back", 20)
        self.assertEqual(self.client.get("read", "balloon"), str(MEMORY_KIB))

    def test_d_killed_on_the_way_the_journal_alone_brings_it_back(self):
        agent = Client(CLIENT, self.launcher.pod, self.launcher.folder / "state")
        agent.get("aim", str(MEMORY_KIB - 80 * 1024))
        wait(lambda: self.memory()["size"] < MEMORY_KIB - 16 * 1024, "it sets out", 20)
        agent.kill()
        said = self.client.get("restore")
        wait(lambda: self.client.get("read", "balloon") == str(MEMORY_KIB), "the guest has it back", 20)
        print(f"after SIGKILL: {said}")
        self.assertIn("262144", said)
        self.assertEqual(self.client.get("restore"), "", "and nothing is left to do")

    def test_a_disks_limit_is_what_the_guest_gets_and_put_back_as_found(self):
        self.assertEqual(self.client.get("disks").split(), ["vda"])
        found = self.client.get("read", "disk@vda")
        self.assertEqual(found, FREE)
        free = self.written_per_second(2)
        limit = 2_000_000
        wanted = self.client.get("limit", "disk@vda", str(limit))
        self.client.get("write", "disk@vda", wanted)
        self.assertEqual(self.client.get("read", "disk@vda"), wanted, "read back at once")
        self.written_per_second(1)  # what QEMU had taken before
        limited = self.written_per_second(4)
        self.client.get("write", "disk@vda", found)
        self.assertEqual(self.client.get("read", "disk@vda"), found)
        again = self.written_per_second(2)
        print(f"disk: {free / 1e6:.1f} MB/s free, {limited / 1e6:.2f} MB/s at a limit of {limit / 1e6:.2f}, {again / 1e6:.1f} MB/s after")
        self.assertGreater(free, 2 * limit)
        self.assertLess(abs(limited - limit), 0.1 * limit)
        self.assertGreater(again, 2 * limit)

    def test_every_limit_found_is_put_back(self):
        self.launcher.virsh("blkdeviotune", "default_web-1", "vda", "--read-bytes-sec", "50000000", "--read-bytes-sec-max", "80000000", "--read-bytes-sec-max-length", "3",
                            "--write-iops-sec", "900", "--size-iops-sec", "4096", "--group-name", "gold")
        table = self.launcher.virsh("blkdeviotune", "default_web-1", "vda")
        found = self.client.get("read", "disk@vda")
        print(found)
        self.assertIn("group_name=gold", found)
        wanted = self.client.get("limit", "disk@vda", "3000000")
        self.client.get("write", "disk@vda", wanted)
        self.assertEqual(self.client.get("read", "disk@vda"), wanted)
        self.client.get("write", "disk@vda", found)
        self.assertEqual(self.client.get("read", "disk@vda"), found)
        self.assertEqual(self.launcher.virsh("blkdeviotune", "default_web-1", "vda"), table, "byte for byte, as virsh shows it")
        self.client.get("write", "disk@vda", FREE)
        self.assertEqual(self.client.get("read", "disk@vda"), FREE)

    def test_what_is_wrong_changes_nothing(self):
        before = self.launcher.virsh("blkdeviotune", "default_web-1", "vda")
        for knob, text in (("balloon", "-4"), ("balloon", str(MEMORY_KIB + 4)), ("disk@vda", FREE + " colour=1"), ("disk@vda", FREE.replace("read_bytes=0", "read_bytes=-1")),
                           ("disk@vda", FREE + " read_bytes_sec_max=5")):
            code, message = self.client.ask("write", knob, text)
            self.assertNotEqual(code, "ok", (knob, text))
            print(f"{knob} {text[-30:]}: {code}: {message}")
        self.assertEqual(self.launcher.virsh("blkdeviotune", "default_web-1", "vda"), before)
        self.assertEqual(self.client.get("read", "balloon"), str(MEMORY_KIB))
        code, message = self.client.ask("read", "disk@vdz")
        self.assertEqual(code, "NotFound")
        self.assertIn("VM default_web-1", message)
        self.assertIn("domblklist", message)

    def test_x_a_libvirt_that_stops_answering_is_given_up_and_used_again_when_it_is_back(self):
        os.kill(self.launcher.libvirtd.pid, signal.SIGSTOP)
        start = time.monotonic()
        code, message = self.client.ask("read", "balloon")
        first = time.monotonic() - start
        self.assertEqual(code, "Unavailable")
        self.assertIn("VM default_web-1", message)
        start = time.monotonic()
        self.assertEqual(self.client.ask("read", "balloon")[0], "Unavailable")
        second = time.monotonic() - start
        os.kill(self.launcher.libvirtd.pid, signal.SIGCONT)
        wait(lambda: self.client.ask("read", "balloon")[0] == "ok", "libvirt is asked again", 20)
        print(f"stopped libvirtd: first call {first:.2f} s, second {second * 1000:.1f} ms; {message}")
        self.assertLess(first, 3)
        self.assertLess(second, 0.5)

    def test_y_a_domain_without_balloon_and_disk_says_so(self):
        self.launcher.destroy()
        self.assertEqual(self.client.ask("read", "balloon")[0], "NotFound", "no QEMU any more")
        self.launcher.run(NEITHER, "--paused")
        code, message = self.client.ask("read", "balloon")
        self.assertEqual(code, "Unsupported")
        self.assertIn("autoattachMemBalloon", message)
        self.assertEqual(self.client.ask("write", "balloon", "65536")[0], "Unsupported")
        self.assertEqual(self.client.get("disks"), "")
        self.assertEqual(self.client.ask("read", "disk@vda")[0], "NotFound")


def missing():
    if os.geteuid() != 0:
        return "root"
    for program in ("libvirtd", "virsh", "qemu-system-x86_64", "setpriv", "unshare"):
        if shutil.which(program) is None:
            return program
    if not pathlib.Path("/bin/busybox").exists():
        return "/bin/busybox"
    return None


if __name__ == "__main__":
    CLIENT = sys.argv.pop(1)
    why = missing()
    try:
        KERNEL = None if why else guest.kernel()[0]
    except Exception as error:  # noqa: BLE001: no network and nothing cached
        why = f"the guests' kernel ({error})"
    if why:
        print(f"skipped: needs {why}")
        sys.exit(77)
    unittest.main(verbosity=2)
