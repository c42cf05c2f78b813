"""The world's second node as the scenarios use it: launcher-shaped pods on it, its agent's own API, and its cgroup files.

A launcher here is a real QEMU, emulating a machine inside an emulated machine:
its guest is a boot sector of two bytes that jumps to itself, so that the vCPU
thread is busy from the first second on. There is no libvirt beside it, hence no
balloon, and no tap.

The agent's API is called by build/release's agent_client with the controller's
own certificate, from the world's network namespace, the way the controller calls it.
"""

import base64
import contextlib
import json
import subprocess

from scene import cluster, machine, paths, product  # and with it the way to e2e.world
from e2e.world import second

CLIENT = paths.TREE / "build/release/tests/operator/agent/agent_client"
START = r"""
printf '\353\376' > /private/disk; truncate -s 510 /private/disk; printf '\125\252' >> /private/disk; truncate -s 1M /private/disk
exec qemu-system-x86_64 -name guest=$0,debug-threads=on -machine q35 -accel tcg -m 32 -nodefaults -display none -drive file=/private/disk,format=raw,if=ide \
  -chardev file,id=said,path=/private/firmware -device isa-debugcon,iobase=0x402,chardev=said
"""
BOOTED = "Booting from 0000:7c00"  # the firmware's last words


def launcher(name):
    return {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": f"virt-launcher-{name}", "namespace": "default", "labels": {"kubevirt.io": "virt-launcher"}},
        "spec": {
            "nodeName": paths.SECOND_NAME, "restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "automountServiceAccountToken": False,
            "containers": [{"name": "compute", "image": "localhost/launcher:whorl", "imagePullPolicy": "Never", "command": ["sh", "-c", START, name],
                            "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}, "volumeMounts": [{"name": "private", "mountPath": "/private"}]}],
            "volumes": [{"name": "private", "emptyDir": {}}],
        },
    }


class Launcher:
    """One such pod; made by start()."""

    def __init__(self, name):
        self.name, self.pod = name, f"virt-launcher-{name}"
        self.uid = cluster.get("pod", self.pod, "-n", "default")["metadata"]["uid"]
        self.folder = f"/sys/fs/cgroup/kubepods/burstable/pod{self.uid}"

    def read(self, file):
        return second.sh(f"cat {self.folder}/{file}").strip()

    def cores_of_vcpus(self, times):
        """Where the vCPU threads last ran, looked at ten times a second."""
        return [int(core) for core in second.sh(f"""
for pid in $(cat {self.folder}/*/cgroup.procs); do
  for task in /proc/$pid/task/*; do read -r name < $task/comm; case $name in CPU*) vcpus="$vcpus $task";; esac; done
done
for _ in $(seq {times}); do
  sleep 0.1
  for task in $vcpus; do read -r line < $task/stat; set -- ${{line##*) }}; echo ${{37}}; done
done""").split()]

    def written(self, seconds=0):
        """Bytes written to disks, and the seconds of the node's own time over which: all so far, or those of the next `seconds`."""
        said = second.sh(f"""
look() {{
  wbytes=0
  while read -r _ fields; do for field in $fields; do case $field in wbytes=*) wbytes=$((wbytes + ${{field#*=}}));; esac; done; done < {self.folder}/io.stat
  echo "${{EPOCHREALTIME/./}} $wbytes"
}}
echo 0 0; {f'look; sleep {seconds}; ' if seconds else ''}look""")
        before, after = [tuple(map(int, line.split())) for line in said.splitlines()][-2:]
        return after[1] - before[1], (after[0] - before[0]) / 1e6

    def run(self, script):
        """What a shell script prints that runs inside the pod."""
        return cluster.kubectl("exec", "-n", "default", self.pod, "--", "sh", "-c", script).stdout

    def signal(self, name):
        second.sh(f"kill -{name} $(cat {self.folder}/*/cgroup.procs)")

    def begin(self, script):
        """The same in the background. The caller waits for it."""
        return subprocess.Popen([str(cluster.tools.path("kubectl")), "--kubeconfig", str(paths.ADMIN), "exec", "-n", "default", self.pod, "--", "sh", "-c", script],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def start(*names):
    """Launchers whose guests are stopped, or two of them would leave an emulated node little; busy() lets them go on."""
    for name in names:
        subprocess.run([str(cluster.tools.path("kubectl")), "--kubeconfig", str(paths.ADMIN), "apply", "-f", "-"], input=json.dumps(launcher(name)), text=True, check=True, capture_output=True)
    cluster.kubectl("wait", "-n", "default", "--for=condition=Ready", "--timeout=120s", *[f"pod/virt-launcher-{name}" for name in names])
    found = [Launcher(name) for name in names]
    for one in found:
        second.sh(f"until grep -qs '{BOOTED}' /var/lib/kubelet/pods/{one.uid}/volumes/kubernetes.io~empty-dir/private/firmware; do sleep 0.5; done")
        one.signal("STOP")
    return found


@contextlib.contextmanager
def busy(*launchers):
    for one in launchers:
        one.signal("CONT")
    second.sh("sleep 1")  # they look at their clocks first, and make up for what they have missed
    try:
        yield
    finally:
        for one in launchers:
            one.signal("STOP")


def end(*names):
    cluster.kubectl("delete", "pod", "-n", "default", "--ignore-not-found", "--grace-period=1", *[f"virt-launcher-{name}" for name in names])


def shares(seconds, *launchers):
    """How many cores each has used over so many seconds of the node's own time."""
    folders = " ".join(one.folder for one in launchers)
    # Nothing but the shell's own words: programs are slow to start where they are emulated.
    said = second.sh(f"""
look() {{
  for folder in {folders}; do
    while read -r name value; do if [ "$name" = usage_usec ]; then echo "${{EPOCHREALTIME/./}} $value"; fi; done < $folder/cpu.stat
  done
}}
look; sleep {seconds}; look""")
    rows = [tuple(map(int, line.split())) for line in said.splitlines()]
    before, after = rows[:len(launchers)], rows[len(launchers):]
    return [(b[1] - a[1]) / (b[0] - a[0]) for a, b in zip(before, after)]


DISK = "254:0"  # the node's only one
NO_LIMITS = f"{DISK} rbps=max wbps=max riops=max wiops=max"
KNOBS = ("cpu.max", "cpu.max.burst", "cpu.weight", "cpu.idle", "cpuset.cpus", "cpuset.cpus.partition", "memory.min", "memory.low", "memory.high", "memory.max", "io.max", "io.weight",
         "pids.max", "cgroup.type", "cgroup.subtree_control")


def knobs(*launchers):
    """Every limit of the pods, their containers and their ancestors as lines of text."""
    return second.sh(f"""
for folder in $(find {' '.join(one.folder for one in launchers)} -type d) /sys/fs/cgroup/kubepods /sys/fs/cgroup/kubepods/burstable; do
  for knob in {' '.join(KNOBS)}; do
    [ ! -f "$folder/$knob" ] || while read -r line; do echo "$folder/$knob $line"; done < "$folder/$knob"
  done
done""").splitlines()


@contextlib.contextmanager
def written(files):
    """{path: text} as long as it lasts, then what was there."""
    before = {path: second.sh(f"cat {path}").strip() for path in files}
    second.sh("\n".join(f"echo '{text}' > {path}" for path, text in files.items()))
    try:
        yield
    finally:
        # A device without limits has no line.
        second.sh("\n".join(f"echo '{text or NO_LIMITS}' > {path}" for path, text in before.items()))


@contextlib.contextmanager
def bound(pod, core):
    """The pod's vCPU threads on one core, by a threaded child of their container's cgroup.

    Not by cpuset.cpus of the pod: once it names a core the kernel lets nobody empty it
    again while anything runs there, so it could not be put back as found. A child can go.
    """
    container, threads = second.sh(f"""
for container in {pod.folder}/*/; do
  container=${{container%/}}
  for pid in $(cat $container/cgroup.procs); do
    for task in /proc/$pid/task/*; do
      read -r name < $task/comm
      case $name in CPU*) found=$container; vcpus="$vcpus ${{task##*/}}";; esac
    done
  done
done
[ -n "$found" ]
echo "$found"; echo $vcpus""").splitlines()
    try:
        second.sh(f"""
mkdir {container}/vcpus
echo threaded > {container}/vcpus/cgroup.type
echo +cpuset > {container}/cgroup.subtree_control
echo {core} > {container}/vcpus/cpuset.cpus
for thread in {threads}; do echo $thread > {container}/vcpus/cgroup.threads; done""")
        yield
    finally:
        second.sh(f"""
for thread in {threads}; do echo $thread > {container}/cgroup.threads; done
echo -cpuset > {container}/cgroup.subtree_control
rmdir {container}/vcpus""")


class Agent:
    """The node's agent, held by its API in the controller's place."""

    def __init__(self, folder):
        self.folder, self.sequence = folder, 0
        secret = cluster.get("secret", "whorl-controller-tls", "-n", product.NAMESPACE)["data"]
        for name, data in secret.items():
            (folder / name).write_bytes(base64.b64decode(data))
        self.address = f"{product.pod_of('agent', paths.SECOND_NAME)['status']['podIP']}:7443"
        self.epoch = int(self.call("describe")["highest_epoch"]) + 1

    def call(self, what, request=None):
        done = subprocess.run(machine.in_netns(CLIENT, self.address, self.folder, paths.SECOND_NAME, what), input=json.dumps(request or {}) + "\n", capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{what}: {done.stderr}"
        return json.loads(done.stdout)

    def enrol(self, *launchers):
        pods = [{"pod_uid": one.uid, "vm_namespace": "default", "vm_name": one.name, "mode": "MODE_ENFORCE", "cpu_request_millicores": 100, "memory_request_bytes": 64 << 20} for one in launchers]
        return self.call("enrol", {"epoch": self.epoch, "pods": pods})["pods"]

    def apply(self, directives, lease_seconds=120):
        """`directives`: {launcher: fields of the Directive}. What they do not name is as found again. Returns the outcomes; every one must have been applied."""
        self.sequence += 1
        receipt = self.call("apply", {"epoch": self.epoch, "sequence": self.sequence, "lease_millis": lease_seconds * 1000, "capacity_millicores": 1900,
                                      "directives": [{"pod_uid": one.uid, "allocation_millicores": 300, **fields} for one, fields in directives.items()]})
        assert receipt["accepted"], receipt
        for outcome in receipt["outcomes"]:
            assert outcome["applied"], outcome
            assert not [knob for knob in outcome["knobs"] if knob["refusal_reason"]], outcome
        return receipt["outcomes"]

    @contextlib.contextmanager
    def holding(self, directives):
        try:
            yield self.apply(directives)
        finally:
            self.apply({})
