"""What the API server makes of our definitions, and Helm of our chart. Changes nothing: writes are dry runs."""

import json
import subprocess

import pytest
import scene
import yaml

from e2e.world import tools

CHART = scene.paths.TREE / "charts" / "whorl"


def kubectl(*words, text=None):
    command = [str(tools.path("kubectl")), "--kubeconfig", str(scene.paths.ADMIN), *words]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=60)


def try_policy(spec, name="tried-by-a-test"):
    policy = {"apiVersion": "whorl.dev/v1alpha1", "kind": "PartitionPolicy", "metadata": {"name": name}, "spec": spec}
    return kubectl("create", "--dry-run=server", "--validate=strict", "-o", "json", "-f", "-", text=json.dumps(policy))


def try_status(kind, name, status):
    return kubectl("patch", kind, name, "--subresource=status", "--type=merge", "--dry-run=server", "-p", json.dumps({"status": status}))


def test_a_policy_that_says_nothing_only_observes():
    spec = json.loads(try_policy({}).stdout)["spec"]
    assert spec["maxMode"] == "Observe"
    assert spec["pause"] == "None"
    assert spec["learningSeconds"] == 3600
    assert spec["resources"]["cpu"]["partition"] == "Soft"
    assert "capacity" not in spec


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"maxMode": "enforce"}, 'supported values: "Off", "Observe", "Recommend", "Enforce"'),
        ({"pause": "Yes"}, 'supported values: "None", "Hold", "HoldAndDrain"'),
        ({"leaseSeconds": 301}, "should be less than or equal to 300"),
        ({"learningSeconds": 9}, "should be greater than or equal to 10"),
        ({"learningSeconds": "1h"}, "must be of type integer"),
        ({"resources": {"cpu": {"maxBonusPercent": 301}}}, "must be no more than ceilingPercent minus 100"),
        ({"resources": {"cpu": {"leastLoanMillicores": 1001}}}, "must be no more than stepMillicores"),
        ({"maxmode": "Enforce"}, 'unknown field "spec.maxmode"'),
    ],
)
def test_a_wrong_policy_is_refused_with_what_is_allowed(spec, said):
    tried = try_policy(spec)
    assert tried.returncode != 0
    assert said in tried.stderr


def test_a_policys_name_must_fit_the_annotation():
    assert try_policy({}, name="a" * 63).returncode == 0
    assert "no more than 63 characters" in try_policy({}, name="a" * 64).stderr


def test_a_status_that_contradicts_itself_is_refused():
    scene.eventually("there is a fingerprint", lambda: scene.bfp("db-1"), 60)
    assert "must be absent while state is Learning or Blind" in try_status("bfp", "db-1", {"state": "Blind", "score": 3}).stderr
    when = "2026-01-02T03:04:05Z"
    loan = {"number": 1, "resource": "cpu", "lender": "default/db-1", "borrower": "default/db-1", "amount": "1m", "since": when, "expiryTime": when}
    assert "must be another VM than borrower" in try_status("npart", scene.paths.NODE_NAME, {"openLoans": [loan]}).stderr


def test_one_category_lists_all_kinds():
    listed = kubectl("get", "whorl", "-A", "-o", "name").stdout
    for kind in ("behaviorfingerprint", "nodepartition", "partitionpolicy"):
        assert f"{kind}.whorl.dev/" in listed


def rendered(*settings):
    """The chart's objects by kind and name."""
    done = subprocess.run([str(tools.path("helm")), "template", "whorl", str(CHART), "--namespace", "whorl-system", *settings], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return {(o["kind"], o["metadata"]["name"]): o for o in yaml.safe_load_all(done.stdout) if o}


def test_the_chart_is_clean_and_refuses_values_it_does_not_know():
    lint = subprocess.run([str(tools.path("helm")), "lint", "--strict", str(CHART)], capture_output=True, text=True, timeout=60)
    assert lint.returncode == 0, lint.stdout + lint.stderr
    wrong = subprocess.run([str(tools.path("helm")), "template", "whorl", str(CHART), "--set", "agent.privilege=true"], capture_output=True, text=True, timeout=60)
    assert wrong.returncode != 0
    assert "privilege" in wrong.stderr


def test_the_agent_has_no_credentials_and_is_not_privileged():
    objects = rendered("--set", "nodes={node-a}")
    pod = objects["DaemonSet", "whorl-agent"]["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert objects["ServiceAccount", "whorl-agent"]["automountServiceAccountToken"] is False
    assert not pod.get("hostNetwork")
    for container in pod["containers"]:
        context = container["securityContext"]
        assert not context.get("privileged")
        assert context["capabilities"]["drop"] == ["ALL"]
        assert context["readOnlyRootFilesystem"] is True
    bound = [o for (kind, _), o in objects.items() if kind.endswith("Binding")]
    assert {s["name"] for binding in bound for s in binding["subjects"]} == {"whorl-controller"}
    assert {"ca.crt", "node-a.crt", "node-a.key"} == set(objects["Secret", "whorl-agent-tls"]["data"])


def test_the_controller_may_do_what_it_must_and_no_more():
    objects = rendered()
    rules = objects["ClusterRole", "whorl-controller"]["rules"] + objects["Role", "whorl-controller"]["rules"]
    allowed = {(group, resource, verb) for r in rules for group in r["apiGroups"] for resource in r["resources"] for verb in r["verbs"]}
    assert not any("*" in part for rule in allowed for part in rule)
    assert not {resource for _, resource, _ in allowed} & {"secrets", "configmaps", "pods/exec", "nodes/proxy", "serviceaccounts"}
    written = {(group, resource) for group, resource, verb in allowed if verb not in ("get", "list", "watch")}
    assert written == {
        ("kubevirt.io", "virtualmachines"),
        # The ladder's last rungs: pause and migrate.
        ("kubevirt.io", "virtualmachineinstancemigrations"),
        ("subresources.kubevirt.io", "virtualmachineinstances/pause"),
        ("subresources.kubevirt.io", "virtualmachineinstances/unpause"),
        ("", "events"),
        ("events.k8s.io", "events"),
        ("coordination.k8s.io", "leases"),
        *(("whorl.dev", kind) for kind in ("behaviorfingerprints", "behaviorfingerprints/status", "nodepartitions", "nodepartitions/status", "partitionpolicies/status")),
    }
