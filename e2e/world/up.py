"""`./dev up`: everything from nothing; harmless when it is there already."""

import fcntl
import json
import shutil
import sys
import time

from . import cluster, crds, guest, images, machine, paths, pki, processes, product, second, tools
from .steps import Background, Failed, elapsed, say, step, wait_for


class Lock:
    """One up, down or reload at a time."""

    def __enter__(self):
        paths.STATE.mkdir(parents=True, exist_ok=True)
        self.file = open(paths.STATE / "lock", "w")
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Failed("another ./dev is at work on this world", remedy="wait for it to end") from error
        return self

    def __exit__(self, *_):
        self.file.close()


def up(nodes=1):
    paths.LOGS.mkdir(parents=True, exist_ok=True)
    running = [name for name in (*cluster.CONTROL_PLANE, "node", "stand-in") if processes.pid_of(name)]
    if not running:
        begin_afresh()
    elif len(running) == len(cluster.CONTROL_PLANE) + 2:
        say("the world is up already; looking at each part again")

    missing = tools.missing()
    built_tools = Background(tools.build)
    built_product = Background(product.build)
    with step("images' base layers", "" if images.cached("launcher", "whorl") else "two minutes the first time") as done:
        pause = images.pause()
        launcher, built = images.launcher()
        _, built_whorl = images.base_layer("whorl")
        done.found("built" if built or built_whorl else "from the cache")
    with step("guest kernel") as done:
        kernel, fetched = guest.kernel()
        done.found(f"{kernel.name}{', fetched' if fetched else ''}")
    with step("Kubernetes programs", f"building {len(missing)} of them, up to 10 minutes the first time" if missing else "") as done:
        built_names = built_tools.result()
        done.found(f"{tools.KUBERNETES}, {'built ' + ', '.join(built_names) if built_names else 'from the cache'}")
    with step("KubeVirt's CRDs") as done:
        crd_file, made = crds.generate()
        done.found("generated from kubevirt.io/api" if made else "from the cache")

    with step("network and cgroups") as done:
        machine.make_network()
        machine.make_cgroups()
        if not (paths.PKI / "standin.crt").is_file():
            pki.make_all()
        done.found(f"namespace {paths.NETNS_FILE}, link {paths.HOST_LINK}, cgroup {paths.CGROUP}")
    # The node takes in its images while the control plane starts.
    control_plane = Background(cluster.start_control_plane)
    kubevirt_api = Background(lambda: control_plane.result() or cluster.apply_kubevirt(crd_file))
    with step("programs of this tree", "compiling, minutes the first time; log: " + str(product.LOG) if built_product.is_alive() else "") as done:
        done.found(", ".join(built_product.result()))
    with step("guests can run under") as done:
        prepare_guest(kernel)
        with_kvm, why = guest.kvm_works(paths.GUEST)
        done.found("KVM" if with_kvm else f"TCG ({why})")
    reason = product.installable()
    with step("containerd") as done:
        cluster.start_node(with_kvm)
        cluster.wait_for_containerd()
        import_once(pause)
        launcher_in = Background(lambda: import_once(launcher))
        product_in = Background(product.import_image) if not reason else None
        done.found("takes in the images meanwhile")
    with step("control plane") as done:
        control_plane.result()
        done.found(f"{paths.API_URL}")
    with step("node") as done:
        wait_for("the node is Ready", cluster.node_ready, 60, every=0.2, log=processes.log_of("kubelet"))
        done.found(f"{paths.NODE_NAME} is Ready")
    with step("stand-in for KubeVirt") as done:
        kubevirt_api.result()
        start_standin(with_kvm)
    with step("launcher image") as done:
        launcher_in.result()
        cluster.apply(paths.E2E / "manifests" / "vms.yaml")
        done.found("imported; the guests boot from now on")
    if reason:
        say(f"{'Whorl':<22} skipped: {reason}")
    else:
        install_whorl(product_in)
    with step("guests") as done:
        done.found(f"{', '.join(wait_for_guests())} run and answer")
    if not reason:
        with step("opting in") as done:
            product.enrol()
            done.found(", ".join(product.ENROLLED) + ": whorl.dev/mode=enforce")
    if nodes > 1:
        second.up()
    (paths.STATE / "world.json").write_text(json.dumps({"up": time.time(), "took": elapsed(), "kvm": with_kvm}))
    tell_what_to_type()


def begin_afresh():
    """What an earlier world has left (a reboot, a kill) goes first."""
    for log in paths.LOGS.glob("*.log"):
        if not log.name.startswith("build-"):
            log.unlink()
    shutil.rmtree(paths.LOGS / "pods", ignore_errors=True)
    machine.remove_network()
    machine.remove_cgroups(patience=2)
    cluster.forget()


def prepare_guest(kernel):
    paths.GUEST.mkdir(parents=True, exist_ok=True)
    shutil.copy(kernel / "vmlinuz", paths.GUEST / "vmlinuz")
    # A running guest has read its initramfs long ago; the next one gets the new programs.
    guest.write_initramfs(kernel, guest.stripped_programs(), paths.GUEST / "initrd.gz")


def import_once(archive):
    mark = paths.NODE / f"imported-{archive.name}"
    if not mark.is_file():
        cluster.import_image(archive)
        mark.touch()


def start_standin(with_kvm):
    if processes.pid_of("stand-in") is None:
        processes.start("stand-in", ["/usr/bin/python3", "-m", "standin", "--kubeconfig", paths.KUBECONFIGS / "standin", "--guest", paths.GUEST, "--cgroup", paths.CGROUP,
                                     "--node", paths.NODE_NAME, "--domain-type", "kvm" if with_kvm else "qemu"], env={"PYTHONPATH": str(paths.E2E), "PYTHONDONTWRITEBYTECODE": "1"})


def vms():
    return cluster.get("vm", "-n", "default")["items"]


_last_launchers = {}


def launcher_of(name):
    """The live launcher pod of a VM, or None. While the API server is away: the one known last, as long as its folder is there."""
    try:
        pods = cluster.get("pods", "-n", "default", "-l", f"vm.kubevirt.io/name={name}")["items"]
    except Failed:
        known = _last_launchers.get(name)
        if known and processes.pid_of("kube-apiserver") is None and (paths.NODE / "kubelet/pods" / known["metadata"]["uid"]).is_dir():
            return known
        raise
    found = next((pod for pod in pods if pod["status"].get("phase") == "Running" and not pod["metadata"].get("deletionTimestamp")), None)
    _last_launchers[name] = found
    return found


def wait_for_guests(timeout=120):
    def all_running():
        if processes.pid_of("stand-in") is None:
            raise Failed("the stand-in has ended", log=processes.log_of("stand-in"))
        found = vms()
        return found if found and all(vm.get("status", {}).get("printableStatus") == "Running" for vm in found) else None

    found = wait_for("every VM is Running", all_running, timeout, every=0.3, log=processes.log_of("stand-in"), remedy="./dev kubectl get vm,vmi,pod; ./dev logs guest NAME")
    for vm in found:
        name = vm["metadata"]["name"]
        with guest.Guest(launcher_of(name)["metadata"]["uid"], name) as line:
            line.ask("status", timeout=60)
    return [vm["metadata"]["name"] for vm in found]


def install_whorl(image_in):
    with step("Whorl's image") as done:
        product.apply_crds()
        done.found(", ".join(image_in.result()))
    with step("Whorl") as done:
        product.install()
        product.wait_until_running()
        done.found("installed by charts/whorl, its pods are ready")


def tell_what_to_type():
    print(f"""
The world is up ({elapsed():.0f} s). Try:
  ./dev kubectl get vm,vmi,pod            or: eval "$(./dev kubeconfig --export)"; kubectl get vm
  ./dev kubectl get bfp,npart -A
  ./dev kubectl describe vm db-1
  ./dev guest db-1 busy                   makes a guest do something (./dev guest --help)
  ./dev demo runaway                      makes db-1 misbehave and tells what Whorl sees and does
  ./dev status ; ./dev logs ; ./dev down
Logs: {paths.LOGS}""", flush=True)
    sys.stdout.flush()
