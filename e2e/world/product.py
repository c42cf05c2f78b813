"""Whorl itself in the world: built here, packed into an image, installed by the chart."""


from . import cluster, images, paths, tools
from .steps import run, wait_for

NAMESPACE = "whorl-system"
CHART = paths.TREE / "charts" / "whorl"
CRDS = paths.TREE / "crd"
POLICY = paths.E2E / "manifests" / "policy.yaml"
VALUES = paths.E2E / "manifests" / "values.yaml"
ENROLLED = ("db-1", "web-1", "batch-1")
LOG = paths.LOGS / "build-whorl.log"


def build():
    """The release preset's programs. Ninja does nothing when nothing has changed."""
    if not (paths.RELEASE_BUILD / "build.ninja").is_file():
        run("cmake", "--preset", "release", cwd=paths.TREE, log=LOG)
    known = run("ninja", "-C", paths.RELEASE_BUILD, "-t", "targets", "all").stdout
    wanted = [name for name in (*paths.PRODUCT, *paths.IN_GUEST, "kubectl-whorl") if f"\n{name}: phony" in known or known.startswith(f"{name}: phony")]
    run("cmake", "--build", paths.RELEASE_BUILD, "--target", *wanted, cwd=paths.TREE, log=LOG)
    return wanted


def plugin_path():
    """Where kubectl finds kubectl-whorl and its completion; not in the image."""
    return f"{paths.RELEASE_BUILD / 'operator' / 'plugin'}:{paths.TREE / 'operator' / 'plugin'}"


def import_image():
    """Packs and imports; returns the programs in the image, none while there are none. The base layer goes in once per node."""
    base, _ = images.base_layer("whorl")
    mark = paths.NODE / f"imported-{base.name}"
    archive, programs = images.product(with_base=not mark.is_file())
    if archive:
        cluster.import_image(archive)
        mark.touch()
    return programs


def installable():
    """Why Whorl cannot be installed yet, or None."""
    missing = [name for name in paths.PRODUCT if images.find_program(name) is None]
    if missing:
        return f"the build has no {', '.join(missing)}"
    if not (CHART / "Chart.yaml").is_file():
        return "there is no chart in charts/whorl"
    if not list(CRDS.glob("*.yaml")):
        return "there are no CRDs in crd/"
    return None


def apply_crds():
    files = [option for crd in sorted(CRDS.glob("*.yaml")) for option in ("-f", crd)]
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "--validate=false", *files)
    cluster.wait_established("behaviorfingerprints.whorl.dev", "nodepartitions.whorl.dev", "partitionpolicies.whorl.dev")


def install():
    """By the chart, over CRDs that are there already."""
    run(tools.path("helm"), "--kubeconfig", paths.ADMIN, "upgrade", "--install", "whorl", CHART, "--namespace", NAMESPACE, "--create-namespace", "--values", VALUES, log=paths.LOGS / "helm.log")
    cluster.apply(POLICY)


def wait_until_running(timeout=60, nodes=(paths.NODE_NAME,)):
    """The controller, and an agent on each of the nodes."""
    def rolled_out():
        pods = [p for p in cluster.get("pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/name=whorl")["items"] if not p["metadata"].get("deletionTimestamp")]
        with_agent = {p["spec"].get("nodeName") for p in pods if component_of(p) == "agent"}
        return "controller" in map(component_of, pods) and with_agent >= set(nodes) and all(map(is_ready, pods))

    wait_for("Whorl's pods are ready", rolled_out, timeout, every=0.3, remedy="./dev logs controller; ./dev logs agent; ./dev kubectl -n whorl-system describe pods")


def pod_of(component, node=None):
    """A live pod of the component, on `node` where one is named; None when there is none."""
    pods = cluster.get("pods", "-n", NAMESPACE, "-l", f"app.kubernetes.io/component={component}")["items"]
    return next((p for p in pods if not p["metadata"].get("deletionTimestamp") and node in (None, p["spec"].get("nodeName"))), None)


def component_of(pod):
    return pod["metadata"]["labels"].get("app.kubernetes.io/component")


def is_ready(pod):
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))


def enrol():
    cluster.kubectl("annotate", "vm", *ENROLLED, "whorl.dev/mode=enforce", "--overwrite")


def restart_pods():
    """New pods from the image that has just been imported under the same name."""
    cluster.kubectl("-n", NAMESPACE, "rollout", "restart", "deployment/whorl-controller", "daemonset/whorl-agent")
    for workload in ("deployment/whorl-controller", "daemonset/whorl-agent"):
        cluster.kubectl("-n", NAMESPACE, "rollout", "status", workload, "--timeout=120s")
