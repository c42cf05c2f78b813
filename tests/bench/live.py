#!/usr/bin/env python3
"""Figures of the running world, each beside what it must reach.

    live.py latency      kernel sample -> limit in force, and compute + I/O of it
    live.py agent        CPU and memory of the agent with the world's guests
    live.py controller   memory of the controller with 1,000 more idle VirtualMachines
    live.py up           ./dev up of a built tree, until the first learning progress
    live.py all          the first three, in one go

Needs `./dev up` (`up` brings the world down and up itself). Exits 1 when a
figure is missed; prints it either way. docs/reference/benchmarks.md says how
the recorded figures were made.
"""

import argparse
import contextlib
import json
import os
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
import scene  # noqa: E402

LINE = re.compile(r'^(\w+)(?:\{([^}]*)\})? (\S+)')
missed = []


def report(what, reached, unit, limit, note=""):
    ok = reached is not None and reached <= limit
    if not ok:
        missed.append(what)
    shown = "not measured" if reached is None else f"{reached:.4g} {unit}"
    print(f"{'ok    ' if ok else 'MISSED'}  {what}: {shown} (must be at most {limit:g} {unit}){'; ' + note if note else ''}", flush=True)


def metrics(component):
    pod = scene.whorl_pod(component)["metadata"]["name"]
    text = scene.cluster.kubectl("get", "--raw", f"/api/v1/namespaces/{scene.product.NAMESPACE}/pods/{pod}:9095/proxy/metrics").stdout
    values = {}
    for line in text.splitlines():
        match = LINE.match(line)
        if match and not line.startswith("#"):
            values[match[1], match[2] or ""] = float(match[3])
    return values


def histogram(values, name):
    """Cumulative counts by upper bound, over all label sets."""
    buckets = {}
    for (metric, labels), value in values.items():
        if metric == f"{name}_bucket":
            bound = float(re.search(r'le="([^"]+)"', labels)[1].replace("+Inf", "inf"))
            buckets[bound] = buckets.get(bound, 0) + value
    return buckets


def quantile(before, after, q):
    """Upper bound of the bucket in which the quantile lies, interpolated as Prometheus does."""
    counts = sorted((bound, after[bound] - before.get(bound, 0)) for bound in after)
    total = counts[-1][1] if counts else 0
    if total <= 0:
        return None, 0
    rank, lower, below = q * total, 0.0, 0.0
    for bound, count in counts:
        if count >= rank:
            if bound == float("inf"):
                return lower, total
            return lower + (bound - lower) * (rank - below) / max(count - below, 1e-9), total
        lower, below = bound, count
    return None, total


# Whose time passes between a frame in hand and its receipt: the controller's link and the agent's servers of calls.
THREADS = (("controller", "whorl-controller", "link-"), ("agent", "whorl-agent", "grpcpp_sync"))


def ran_and_waited():
    """Milliseconds that those threads have run, and have been ready to run without a processor, since they began."""
    ran = waited = 0
    for component, program, name in THREADS:
        for task in pathlib.Path(f"/proc/{scene.pid_in(component, program)}/task").iterdir():
            with contextlib.suppress(OSError):
                if (task / "comm").read_text().startswith(name):
                    run_ns, wait_ns, _ = map(int, (task / "schedstat").read_text().split())
                    ran, waited = ran + run_ns / 1e6, waited + wait_ns / 1e6
    return ran, waited


def latency(seconds):
    print(f"latency: {len(scene.ALL_VMS)} guests, {seconds} s, db-1 busy and idle in turn so that limits move")
    before, ran_before = metrics("controller"), ran_and_waited()
    end = time.monotonic() + seconds
    busy = False
    while time.monotonic() < end:
        busy = not busy
        scene.tell("db-1", "busy" if busy else "idle")
        time.sleep(min(20, max(0.0, end - time.monotonic())))
        print(f"  {max(0, end - time.monotonic()):.0f} s left", flush=True)
    scene.tell("db-1", "idle")
    after, ran_after = metrics("controller"), ran_and_waited()
    for name, limit, what in (("whorl_sample_to_limit_seconds", 1.2, "kernel sample to limit in force, p99"), ("whorl_plan_seconds", 0.005, "of which compute and I/O, p99")):
        value, n = quantile(histogram(before, name), histogram(after, name), 0.99)
        median, _ = quantile(histogram(before, name), histogram(after, name), 0.5)
        few = "; of so few the p99 is the slowest" if n < 200 else ""
        report(what, value, "s", limit, f"p50 {median:.4g} s, {n:.0f} plans{few}" if median is not None else "no plan was applied")
    ran, waited = (b - a for a, b in zip(ran_before, ran_after))
    print(f"        per plan the threads it passes through ran {ran / max(n, 1):.2f} ms and waited {waited / max(n, 1):.2f} ms for a processor; load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


def ticks(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def status_kib(pid, field):
    return int(re.search(rf"^{field}:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M)[1])


def agent(seconds):
    pid = scene.pid_in("agent", "whorl-agent")
    print(f"agent: pid {pid}, {seconds} s, {len(scene.ALL_VMS)} guests")
    start, first = time.monotonic(), ticks(pid)
    time.sleep(seconds)
    percent = (ticks(pid) - first) / os.sysconf("SC_CLK_TCK") / (time.monotonic() - start) * 100
    values = metrics("agent")
    vms = next((v for (name, _), v in values.items() if name == "whorl_agent_vms"), None)
    report("agent CPU", percent, "% of a core", 1.0, f"{percent / vms:.3f} % per VM, {vms:.0f} VMs sampled" if vms else "")
    rss = status_kib(pid, "VmRSS")
    report("agent resident memory", rss / 1024, "MiB", 40, f"of which anonymous {status_kib(pid, 'RssAnon') / 1024:.1f} MiB, the rest is program text shared between processes")
    restorer = scene.pid_in("agent", "whorl-restorer")
    print(f"        restorer resident memory: {status_kib(restorer, 'VmRSS') / 1024:.1f} MiB")


def controller(count):
    print(f"controller: {count} more VirtualMachines that do not run")
    namespace = "whorl-bench"
    pid = scene.pid_in("controller", "whorl-controller")
    before = status_kib(pid, "VmRSS") / 1024
    vm = scene.cluster.get("vm", "db-1")
    try:
        scene.cluster.kubectl("create", "namespace", namespace)
        items = [{"apiVersion": vm["apiVersion"], "kind": vm["kind"], "metadata": {"name": f"idle-{i}", "namespace": namespace}, "spec": {**vm["spec"], "runStrategy": "Halted"}} for i in range(count)]
        for at in range(0, count, 100):
            subprocess.run([str(scene.cluster.tools.path("kubectl")), "--kubeconfig", str(scene.paths.ADMIN), "create", "-f", "-"],
                           input=json.dumps({"apiVersion": "v1", "kind": "List", "items": items[at:at + 100]}), text=True, check=True, stdout=subprocess.DEVNULL)
            print(f"  {at + 100} created", flush=True)
        time.sleep(10)
        after = status_kib(pid, "VmRSS") / 1024
        report("controller resident memory", after, "MiB", 80, f"{before:.1f} MiB before they came")
    finally:
        scene.cluster.kubectl("delete", "namespace", namespace, "--wait=false")


def bring_up():
    dev = str(ROOT / "dev")
    subprocess.run([dev, "down"], check=True)
    start = time.monotonic()
    subprocess.run([dev, "up"], check=True)
    up = time.monotonic() - start
    scene.eventually("learning progress of every guest", lambda: all((scene.bfp(n).get("baseline") or {}).get("samples", 0) > 0 for n in scene.ENROLLED), 120)
    report("./dev up of a built tree until learning progress is visible", time.monotonic() - start, "s", 60, f"./dev up itself {up:.1f} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["latency", "agent", "controller", "up", "all"])
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--vms", type=int, default=1000)
    options = parser.parse_args()
    if options.what in ("latency", "all"):
        latency(options.seconds)
    if options.what in ("agent", "all"):
        agent(min(options.seconds, 60))
    if options.what in ("controller", "all"):
        controller(options.vms)
    if options.what == "up":
        bring_up()
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
