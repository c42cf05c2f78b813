#!/usr/bin/python3
"""The agent and the restorer as programs, on real cgroups of this machine.

    real_node_test.py AGENT RESTORER CLIENT

Makes a kubepods-like tree of its own in every hierarchy, starts processes that
look like QEMU in it, and removes everything again. Needs root and writable
cgroups; without them it exits 77 (skipped) and says why.
"""
import ctypes
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

PODS = {"db-1": "11111111-aaaa-4000-8000-000000000001", "web-1": "11111111-aaaa-4000-8000-000000000002",
        "bystander": "11111111-aaaa-4000-8000-000000000003"}
CGROUPS = pathlib.Path("/sys/fs/cgroup")
TREE = f"whorl-test-{os.getpid()}"


# --- a process that looks like a QEMU ---------------------------------------

def pretend_qemu(root):
    """Named qemu-system-x86, with one vCPU thread that burns while told to on stdin.

    Its root is a folder of its own, where a libvirt socket accepts connections
    and never answers, and where the guest's own whorl-guest is heard ten times a second.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    prctl = libc.prctl
    os.chroot(root)
    os.chdir("/")
    os.makedirs("/var/run/libvirt")
    silent = socket.socket(socket.AF_UNIX)
    silent.bind("/var/run/libvirt/virtqemud-sock")
    silent.listen(1)
    os.makedirs("/var/run/kubevirt-private")
    telemetry = socket.socket(socket.AF_UNIX)
    telemetry.bind("/var/run/kubevirt-private/whorl-guest-telemetry.sock")
    telemetry.listen(1)
    prctl(15, b"qemu-system-x86", 0, 0, 0)
    burning = threading.Event()

    def guest():
        sequence = 0
        while True:
            line = telemetry.accept()[0]
            line.sendall(b"half a line, as when somebody was here before\nnot ours\n")
            try:
                while True:
                    sequence += 1
                    line.sendall(f"whorl1 {sequence} 1000 {' '.join(map(str, range(8)))} {' '.join(map(str, range(256)))}\n".encode())
                    time.sleep(0.1)
            except OSError:
                pass

    threading.Thread(target=guest, daemon=True).start()

    def vcpu():
        prctl(15, b"CPU 0/TCG", 0, 0, 0)
        while True:
            if burning.is_set():
                end = time.monotonic() + 0.02
                while time.monotonic() < end:
                    pass
            else:
                burning.wait()

    threading.Thread(target=vcpu, daemon=True).start()
    print("ready", flush=True)
    for line in sys.stdin:
        if line.startswith("call"):
            for _ in range(int(line.split()[1])):
                libc.getppid()
        else:
            burning.set() if line.strip() == "burn" else burning.clear()


# --- the node ----------------------------------------------------------------

def hierarchies():
    v1 = [CGROUPS / name for name in ("cpu", "cpuacct", "memory", "unified") if (CGROUPS / name).is_dir()]
    return v1 if (CGROUPS / "cpu").is_dir() else [CGROUPS]


def limits_dir(pod):
    top = CGROUPS / "cpu" if (CGROUPS / "cpu").is_dir() else CGROUPS
    return top / TREE / "kubepods/burstable" / f"pod{PODS[pod]}"


def knobs(pod):
    """Every CPU knob's bytes, of the pod and of its container."""
    found = {}
    for directory in (limits_dir(pod), limits_dir(pod) / "c1"):
        for name in ("cpu.shares", "cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.weight", "cpu.max"):
            if (directory / name).exists():
                found[f"{directory.name}/{name}"] = (directory / name).read_bytes()
    return found


class Guest:
    def __init__(self, pod):
        self.dirs = [h / TREE / "kubepods/burstable" / f"pod{PODS[pod]}" / "c1" for h in hierarchies()]
        for directory in self.dirs:
            directory.mkdir(parents=True, exist_ok=True)
        self.root = tempfile.mkdtemp(prefix="whorl-qemu-root-")
        self.process = subprocess.Popen([sys.executable, __file__, "--pretend-qemu", self.root], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()
        for directory in self.dirs:
            (directory / "cgroup.procs").write_text(str(self.process.pid))

    def tell(self, what):
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        shutil.rmtree(self.root)


def remove_tree():
    for top in hierarchies():
        for directory in sorted((top / TREE).glob("**/"), key=lambda d: -len(str(d))):
            for _ in range(50):
                try:
                    directory.rmdir()
                    break
                except OSError:
                    time.sleep(0.02)


def issue(folder, ca, name):
    """A key pair for a DNS name, signed by the CA in folder `ca`."""
    folder.mkdir()

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)

    new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    if name is None:
        openssl("req", "-x509", *new_key, "-keyout", f"{folder}/ca.key", "-out", f"{folder}/ca.crt", "-days", "2", "-subj", "/CN=test-ca")
        return
    (folder / "ext").write_text(f"subjectAltName=DNS:{name}\nextendedKeyUsage=serverAuth,clientAuth\n")
    openssl("req", *new_key, "-keyout", f"{folder}/tls.key", "-out", f"{folder}/csr", "-subj", f"/CN={name}")
    openssl("x509", "-req", "-in", f"{folder}/csr", "-CA", f"{ca}/ca.crt", "-CAkey", f"{ca}/ca.key", "-CAcreateserial",
            "-days", "2", "-extfile", f"{folder}/ext", "-out", f"{folder}/tls.crt")
    shutil.copy(ca / "ca.crt", folder)


def until(what, seconds, message):
    """Waits for `what` to be true; returns how long it took."""
    start = time.monotonic()
    while time.monotonic() - start < seconds:
        if what():
            return time.monotonic() - start
        time.sleep(0.01)
    raise AssertionError(f"{message}: not within {seconds} s")


class RealNode(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.home = pathlib.Path(tempfile.mkdtemp(prefix="whorl-agent-test-"))
        for name, san in (("ca", None), ("agent", "agent.node-1.whorl"), ("controller", "controller.whorl"), ("other", "agent.node-2.whorl")):
            issue(cls.home / name, cls.home / "ca", san)
        issue(cls.home / "stranger-ca", None, None)
        issue(cls.home / "stranger", cls.home / "stranger-ca", "controller.whorl")
        cls.guests = {pod: Guest(pod) for pod in PODS}
        if (limits_dir("db-1") / "cpu.shares").exists():
            for pod in PODS:
                (limits_dir(pod) / "cpu.shares").write_text("109")

    @classmethod
    def tearDownClass(cls):
        for guest in cls.guests.values():
            guest.end()
        remove_tree()
        shutil.rmtree(cls.home)

    def setUp(self):
        self.found = {pod: knobs(pod) for pod in PODS}
        self.state = pathlib.Path(tempfile.mkdtemp(prefix="state-", dir=self.home))
        self.running = []
        self.epoch = 1
        self.sequence = 0

    def tearDown(self):
        for process in self.running:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()
            process.stdout.close()
        for pod, before in self.found.items():
            self.assertEqual(knobs(pod), before, f"knobs of {pod} after the test")

    # -- programs

    def start(self, *command):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.running.append(process)
        return process

    def agent(self, *flags, tls="agent", listen=None, state=None, wait=True):
        # Ports of the kernel's choice, asked for first.
        with socket.socket() as s, socket.socket() as m:
            s.bind(("127.0.0.1", 0))
            m.bind(("127.0.0.1", 0))
            self.metrics_port = m.getsockname()[1]
            if listen is None:
                self.address = f"127.0.0.1:{s.getsockname()[1]}"
        process = self.start(AGENT, "--node-name", "node-1", "--listen", listen or self.address, "--tls-dir", str(self.home / tls),
                             "--metrics-listen", f"127.0.0.1:{self.metrics_port}", "--state-dir", str(state or self.state), *flags)
        if wait:
            until(lambda: self.ready() or process.poll() is not None, 10, "agent ready")
            self.assertIsNone(process.poll(), process.stdout.read() if process.poll() is not None else "")
        return process

    def ready(self):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.metrics_port, timeout=1)
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except OSError:
            return False

    def metric(self, name):
        connection = http.client.HTTPConnection("127.0.0.1", self.metrics_port, timeout=1)
        connection.request("GET", "/metrics")
        for line in connection.getresponse().read().decode().splitlines():
            if line.startswith(name + " "):
                return float(line.split()[1])
        raise AssertionError("no metric " + name)

    def restorer(self):
        process = self.start(RESTORER, "--state-dir", str(self.state))
        self.assertIn("watching", process.stdout.readline())
        return process

    def call(self, *command, stdin=None, identity="controller"):
        done = subprocess.run([CLIENT, self.address, str(self.home / identity), "node-1", *command], input=stdin, text=True, capture_output=True, timeout=30)
        return done

    def enrol(self, *pods, **extra):
        request = {"epoch": self.epoch, "pods": [dict({"pod_uid": PODS[p], "mode": "MODE_ENFORCE", "cpu_request_millicores": 100}, **extra) for p in pods]}
        done = self.call("enrol", stdin=json.dumps(request))
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def apply(self, allocations, lease=3000, loans=(), capacity=1500):
        self.sequence += 1
        plan = {"epoch": self.epoch, "sequence": self.sequence, "lease_millis": lease, "capacity_millicores": capacity,
                "directives": [{"pod_uid": PODS[p], "allocation_millicores": m, "quota_millicores": m, "shares": m} for p, m in allocations.items()],
                "loans": list(loans)}
        done = self.call("apply", stdin=json.dumps(plan) + "\n")
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def quota(self, pod):
        directory = limits_dir(pod)
        if (directory / "cpu.max").exists():
            return (directory / "cpu.max").read_text().split()[0].replace("max", "-1")
        return (directory / "cpu.cfs_quota_us").read_text().strip()

    def as_found(self, *pods):
        return all(knobs(p) == self.found[p] for p in pods or PODS)

    # -- what it does

    def test_a_plan_reaches_the_kernel_and_its_lease_ends(self):
        self.agent()
        reply = self.enrol("db-1", "web-1")
        self.assertTrue(all(p["found"] for p in reply["pods"]), reply)
        receipt = self.apply({"db-1": 800, "web-1": 300}, lease=1000)
        self.assertTrue(receipt["accepted"] and all(o["applied"] for o in receipt["outcomes"]), receipt)
        self.assertEqual(self.quota("db-1"), "80000")
        self.assertEqual(self.metric("whorl_agent_holdings"), 2)
        until(self.as_found, 1.6, "lease ended")

    def test_killed_mid_loan_the_restorer_puts_everything_back(self):
        self.restorer()
        agent = self.agent()
        self.enrol("db-1", "web-1")
        self.apply({"db-1": 1000, "web-1": 300}, lease=60000)
        self.assertEqual(self.quota("db-1"), "100000")
        agent.send_signal(signal.SIGKILL)
        agent.wait()
        until(self.as_found, 2, "restored after SIGKILL")

    def test_a_hanging_agent_is_restored_when_its_lease_ends(self):
        self.restorer()
        agent = self.agent()
        self.enrol("db-1")
        self.apply({"db-1": 800}, lease=1500)
        agent.send_signal(signal.SIGSTOP)
        time.sleep(0.7)
        self.assertEqual(self.quota("db-1"), "80000", "the lease still runs")
        until(self.as_found, 2.5, "restored while the agent hangs")
        agent.send_signal(signal.SIGCONT)
        until(lambda: self.metric("whorl_agent_holdings") == 0, 3, "the agent noticed")
        receipt = self.apply({"db-1": 800}, lease=1000)
        self.assertTrue(receipt["outcomes"][0]["applied"], receipt)
        until(self.as_found, 2, "and the next lease ends too")

    def test_the_restorer_leaves_a_living_agent_its_leases(self):
        restorer = self.restorer()
        self.agent()
        self.enrol("db-1")
        self.apply({"db-1": 800}, lease=60000)
        time.sleep(1)
        self.assertEqual(self.quota("db-1"), "80000")
        self.apply({}, lease=1000)
        self.assertTrue(self.as_found())

    def test_sigterm_restores_before_it_ends(self):
        agent = self.agent()
        self.enrol("db-1", "web-1")
        self.apply({"db-1": 1000, "web-1": 300}, lease=60000)
        agent.terminate()
        self.assertEqual(agent.wait(timeout=5), 0)
        self.assertTrue(self.as_found())

    def test_when_both_containers_end_everything_is_restored(self):
        restorer, agent = self.restorer(), self.agent()
        self.enrol("db-1", "web-1")
        self.apply({"db-1": 1000, "web-1": 300}, lease=60000)
        restorer.terminate()
        agent.kill()
        self.assertEqual(restorer.wait(timeout=10), 0)
        self.assertTrue(self.as_found())

    def test_the_next_agent_reverts_what_a_killed_one_left(self):
        agent = self.agent()
        self.enrol("db-1")
        self.apply({"db-1": 800}, lease=60000)
        agent.kill()
        agent.wait()
        self.assertEqual(self.quota("db-1"), "80000")
        self.agent()
        self.assertTrue(self.as_found())

    def test_a_damaged_journal_is_set_aside_and_the_rest_restored(self):
        agent = self.agent()
        self.enrol("db-1", "web-1")
        self.apply({"db-1": 800, "web-1": 300}, lease=60000)
        agent.kill()
        agent.wait()
        entry = self.state / "journal" / f"{PODS['web-1']}.pod"
        whole = entry.read_bytes()
        entry.write_bytes(whole[:20] + b"\xff" + whole[21:])
        self.agent()
        self.assertTrue(self.as_found("db-1"))
        aside = entry.with_name(entry.name + ".corrupt-1")
        self.assertTrue(aside.exists())
        entry.write_bytes(whole)  # mended by hand, as the message asks
        restorer = self.restorer()
        restorer.terminate()
        for process in self.running:
            process.terminate()
        until(self.as_found, 10, "mended entry restored")

    def test_a_lender_that_wakes_has_its_own_back_within_a_second(self):
        self.agent()
        self.enrol("db-1", "web-1")
        loan = {"id": 9, "lender_pod_uid": PODS["web-1"], "borrower_pod_uid": PODS["db-1"], "amount_millicores": 400,
                "recall_use_above_millicores": 120, "recall_delay_above_ms_per_s": 100, "recall_for_millis": 150}
        self.apply({"db-1": 1000, "web-1": 200}, lease=20000, loans=[loan])
        self.assertEqual(self.quota("web-1"), "20000")
        time.sleep(0.5)
        self.assertEqual(self.quota("web-1"), "20000", "an idle lender lends")
        frames = subprocess.Popen([CLIENT, self.address, str(self.home / "controller"), "node-1", "frames", "1", "4"], stdout=subprocess.PIPE, text=True)
        self.guests["web-1"].tell("burn")
        took = until(lambda: self.quota("web-1") == "60000", 1.0, "recalled")
        self.guests["web-1"].tell("rest")
        self.assertEqual(self.quota("db-1"), "60000")
        notes = [r for line in frames.communicate(timeout=10)[0].splitlines() for r in json.loads(line)["recalls"]]
        self.assertEqual([n["loan"] for n in notes], ["9"])
        self.assertLess(notes[0]["took_millis"], 50)
        print(f"recall after {took * 1000:.0f} ms of load, {notes[0]['took_millis']} ms of it from reading to write", file=sys.stderr)
        self.apply({}, lease=1000)

    def test_a_foreign_value_is_left_and_told(self):
        self.agent()
        self.enrol("db-1")
        self.apply({"db-1": 800}, lease=20000)
        file = limits_dir("db-1") / ("cpu.max" if (limits_dir("db-1") / "cpu.max").exists() else "cpu.cfs_quota_us")
        before = self.found["db-1"][f"{limits_dir('db-1').name}/{file.name}"]
        file.write_text("70000")
        until(lambda: self.metric("whorl_agent_holdings") == 0, 2, "let go")
        self.assertEqual(self.quota("db-1"), "70000")
        done = self.call("frames", "1", "2")
        foreign = json.loads(done.stdout.splitlines()[-1])["vms"][0]["foreign"]
        self.assertEqual(foreign["seen"].split()[0], "70000")
        file.write_bytes(before)

    def test_a_pod_that_is_not_enrolled_keeps_every_byte(self):
        self.agent()
        self.enrol("db-1", "web-1")
        for turn in range(10):
            self.apply({"db-1": 500 + turn * 50, "web-1": 300}, lease=1000)
            self.assertEqual(knobs("bystander"), self.found["bystander"])
        receipt = self.apply({"bystander": 500}, lease=1000)
        self.assertEqual(receipt["outcomes"][0]["refusal_reason"], "NotEnrolled")

    def test_it_measures_what_a_guest_does(self):
        self.agent()
        self.enrol("web-1", mode="MODE_OBSERVE")
        self.guests["web-1"].tell("burn")
        try:
            lines = self.call("frames", "1", "4").stdout.splitlines()
        finally:
            self.guests["web-1"].tell("rest")
        first, last = (json.loads(lines[i])["vms"][0] for i in (1, 3))
        seconds = (int(last["sampled_unix_millis"]) - int(first["sampled_unix_millis"])) / 1000
        use = (last["raw"][0] - first["raw"][0]) / seconds / 1000
        run = (last["raw"][3] - first["raw"][3]) / seconds / 1000
        self.assertTrue(last["valid"] & 1 and last["valid"] & 8, hex(last["valid"]))
        self.assertGreater(use, 50, "it burns, whatever share of a busy machine it gets")
        self.assertLessEqual(run, use + 50)
        self.assertFalse(last["valid"] & (1 << 12), "this pod has no tap")

    def test_it_counts_the_system_calls_of_qemu(self):
        self.agent("--syscalls", "always")
        self.enrol("web-1", mode="MODE_OBSERVE")
        frames = subprocess.Popen([CLIENT, self.address, str(self.home / "controller"), "node-1", "frames", "1", "7"], stdout=subprocess.PIPE, text=True)
        until(lambda: self.metric("whorl_agent_vms") == 1, 3, "found")
        time.sleep(2)  # past the first window, so that a reading stands before the calls
        self.guests["web-1"].tell("call 20000")
        samples = [vm for line in frames.communicate(timeout=10)[0].splitlines() for vm in json.loads(line)["vms"]]
        other = [s["raw"][23] for s in samples if s["valid"] >> 23 & 1]
        self.assertGreaterEqual(len(other), 3, samples)
        counted = other[-1] - other[0]
        self.assertGreaterEqual(counted, 20000)
        self.assertLess(counted, 21000)
        # One call after the other, so nearly all 3-grams are three of it; a window forgets two of each thread's calls.
        sketches = [s["syscall_sketch"] for s in samples if s["syscall_sketch"]]
        self.assertGreaterEqual(len(sketches), 3)
        self.assertTrue(all(len(sketch) == 256 for sketch in sketches))
        getppid = 110
        bucket = ((getppid << 18 | getppid << 9 | getppid) * 0x9e3779b97f4a7c15 & (1 << 64) - 1) >> 56
        thrice = sum(sketch[bucket] for sketch in sketches)
        self.assertGreaterEqual(thrice, 19900)
        self.assertLess(thrice, 21000)
        # Nothing here runs under KVM: its exits are not measured, which is not the same as none.
        self.assertFalse(any(int(s["valid_features"]) >> 31 & 0x3f for s in samples))

    def test_it_hears_the_guest_and_keeps_it_apart(self):
        self.agent()
        self.enrol("web-1", mode="MODE_OBSERVE")
        samples = [json.loads(line)["vms"] for line in self.call("frames", "1", "4").stdout.splitlines()]
        heard = [vms[0]["guest"] for vms in samples if vms and vms[0].get("guest")]
        self.assertGreaterEqual(len(heard), 2)
        self.assertEqual(heard[-1]["calls"], list(range(8)))
        self.assertEqual(heard[-1]["sketch"], list(range(256)))
        self.assertGreater(heard[-1]["sequence"], heard[0]["sequence"])

    def test_the_probe_says_what_counting_costs(self):
        done = subprocess.run([AGENT, "probe", "--state-dir", str(self.state)], capture_output=True, text=True, timeout=60)
        self.assertIn("of a watched QEMU, with its sketch", done.stdout, done.stderr)
        self.assertRegex(done.stdout, r"calls/s: +[0-9.]+ % of one core")

    def test_a_libvirt_that_never_answers_stops_nobody(self):
        agent = self.agent()
        self.enrol("db-1", "web-1")
        start = time.monotonic()
        lines = self.call("frames", "1", "8").stdout.splitlines()
        self.assertLess(time.monotonic() - start, 9.5)
        self.assertEqual(len(json.loads(lines[-1])["vms"]), 2)
        self.assertFalse(json.loads(lines[-1])["vms"][0]["valid"] >> 10 & 1, "no balloon was measured")
        start = time.monotonic()
        agent.terminate()
        self.assertEqual(agent.wait(timeout=10), 0)
        self.assertLess(time.monotonic() - start, 3)
        self.assertIn("libvirt", agent.stdout.read())

    # -- bad input

    def test_two_agents_on_one_node(self):
        self.agent()
        second = self.agent(wait=False)
        self.assertEqual(second.wait(timeout=5), 1)
        self.assertIn("another whorl-agent", second.stdout.read())

    def test_a_port_that_is_taken(self):
        self.agent()
        taken = self.address
        other = pathlib.Path(tempfile.mkdtemp(prefix="state-", dir=self.home))
        second = self.agent(wait=False, listen=taken, state=other)
        self.assertEqual(second.wait(timeout=5), 1)
        self.assertIn("the port is taken", second.stdout.read())

    def test_the_certificate_of_another_node(self):
        agent = self.agent(tls="other", wait=False)
        self.assertEqual(agent.wait(timeout=5), 1)
        self.assertIn("is for agent.node-2.whorl, not for agent.node-1.whorl", agent.stdout.read())

    def test_a_client_of_the_wrong_role(self):
        self.agent()
        done = self.call("describe", identity="other")
        self.assertEqual(done.returncode, 1)
        self.assertIn("code 16", done.stderr)
        self.assertIn("not for controller.whorl", done.stderr)

    def test_a_client_of_another_authority(self):
        self.agent()
        self.assertIn("code 14", self.call("describe", identity="stranger").stderr)

    def test_certificates_are_read_anew_without_a_restart(self):
        tls = self.home / "rotating"
        shutil.copytree(self.home / "agent", tls)
        self.agent(tls="rotating")
        self.assertEqual(self.call("describe").returncode, 0)
        issue(self.home / "ca-2", None, None)
        issue(self.home / "agent-2", self.home / "ca-2", "agent.node-1.whorl")
        issue(self.home / "controller-2", self.home / "ca-2", "controller.whorl")
        for name in ("ca.crt", "tls.key", "tls.crt"):
            shutil.copy(self.home / "agent-2" / name, tls / name)
        until(lambda: self.call("describe", identity="controller-2").returncode == 0, 25, "the new pair is served")
        self.assertNotEqual(self.call("describe").returncode, 0, "and the old authority is believed no more")

    def test_describe_says_what_the_node_can_do(self):
        self.agent()
        node = json.loads(self.call("describe").stdout)
        self.assertEqual((node["api_version"], node["node_name"]), (1, "node-1"))
        self.assertTrue(node["boot_id"])
        able = {c["name"]: c["available"] for c in node["capabilities"]}
        self.assertTrue(able["cpu.shares"] and able["cpu.quota"] and able["find-vms"], able)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--pretend-qemu"]:
        pretend_qemu(sys.argv[2])
        sys.exit()
    AGENT, RESTORER, CLIENT = sys.argv[1:4]
    del sys.argv[1:4]
    try:
        (hierarchies()[0] / TREE).mkdir()
        (hierarchies()[0] / TREE).rmdir()
    except OSError as error:
        print(f"skipped: needs root and writable cgroups ({error})")
        sys.exit(77)
    unittest.main(verbosity=2)
