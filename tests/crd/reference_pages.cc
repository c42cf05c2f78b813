#include "tests/crd/reference_pages.h"

#include <fmt/format.h>

#include "crd/events.h"
#include "tests/crd/schema.h"

namespace whorl::crd::testing {
namespace {

using nlohmann::json;

constexpr std::string_view kMade =
    "<!-- Made by whorl-reference-pages from {}; change that, then run the program. -->\n";

// For a table cell.
std::string Cell(std::string text) {
  std::string out;
  for (const char c : text) out += c == '|' ? std::string("\\|") : std::string(1, c);
  return out;
}

std::string Values(const json& schema) {
  if (schema.contains("enum")) {
    std::string words;
    for (const auto& word : schema["enum"]) words += (words.empty() ? "" : ", ") + word.get<std::string>();
    return words;
  }
  const std::string type = schema.value("type", "");
  if (type == "integer" && schema.contains("maximum")) {
    const bool open = schema["maximum"].get<std::int64_t>() > 1'000'000'000;
    return fmt::format("{} to {}", schema["minimum"].dump(), open ? "2^53 - 1" : schema["maximum"].dump());
  }
  if (type == "integer") return fmt::format("from {}", schema["minimum"].dump());
  if (type == "array") return fmt::format("list, at most {}", schema["maxItems"].dump());
  if (schema.value("format", "") == "date-time") return "time";
  if (type == "string") return fmt::format("text, at most {} characters", schema["maxLength"].dump());
  return "";
}

std::string Default(const json& schema) {
  if (!schema.contains("default") || schema["default"].is_object()) return "";
  return schema["default"].is_string() ? schema["default"].get<std::string>() : schema["default"].dump();
}

std::string FieldTable(const json& schema, const std::string& path, bool defaults) {
  std::string out = defaults ? "| field | values | default | meaning |\n|---|---|---|---|\n"
                             : "| field | values | meaning |\n|---|---|---|\n";
  ForEachProperty(schema, path, [&](const std::string& at, const json& field) {
    if (at.ends_with("[]") || at.find("conditions[]") != std::string::npos) return;
    out += fmt::format("| `{}` | {} |{} {} |\n", at, Cell(Values(field)), defaults ? " " + Default(field) + " |" : "",
                       Cell(field.value("description", "")));
  });
  return out;
}

std::string Rules(const json& schema) {
  std::string out;
  const auto add = [&](const json& at) {
    for (const auto& rule : at.value("x-kubernetes-validations", json::array())) {
      out += fmt::format("- {}\n", rule["message"].get<std::string>());
    }
  };
  add(schema);
  ForEachProperty(schema, "", [&](const std::string&, const json& at) { add(at); });
  return out.empty() ? out : "Besides these bounds:\n\n" + out + "\n";
}

std::string CrdSection(const Definition& crd) {
  const auto& names = crd.document["spec"]["names"];
  std::string out =
      fmt::format("## {}\n\n{}\n\n{}, short name `{}`. ", crd.kind(), crd.schema().value("description", ""),
                  crd.document["spec"]["scope"] == "Cluster" ? "Cluster-scoped" : "Namespaced",
                  names["shortNames"].at(0).get<std::string>());
  std::string columns;
  std::string wide;
  for (const auto& column : crd.version()["additionalPrinterColumns"]) {
    auto& list = column.value("priority", 0) == 0 ? columns : wide;
    list += (list.empty() ? "" : ", ") + column["name"].get<std::string>();
  }
  out += fmt::format("`kubectl get {}` shows {}; with `-o wide` also {}.\n\n",
                     names["shortNames"].at(0).get<std::string>(), columns, wide);
  if (crd.version().contains("selectableFields")) {
    std::string fields;
    for (const auto& field : crd.version()["selectableFields"]) {
      fields += fmt::format("{}`{}`", fields.empty() ? "" : ", ", field["jsonPath"].get<std::string>().substr(1));
    }
    out += fmt::format("Field selectors: {}.\n\n", fields);
  }
  const auto& properties = crd.schema()["properties"];
  if (properties.contains("spec")) out += "### spec\n\n" + FieldTable(properties["spec"], "spec", true) + "\n";
  if (properties.contains("status")) out += "### status\n\n" + FieldTable(properties["status"], "status", false) + "\n";
  return out + Rules(crd.schema());
}

std::string CrdsPage() {
  std::string out = fmt::format(fmt::runtime(kMade), "crd/*.yaml");
  out +=
      "# Custom resources\n\n"
      "Group `whorl.dev`, version `v1alpha1`. `kubectl get whorl -A` lists all of them. Everything the administrator "
      "sets is in\n"
      "PartitionPolicy; the other two are written by the controller and are there to be read.\n\n"
      "    kubectl apply -f crd/                               # the definitions\n"
      "    kubectl apply -f crd/examples/default-policy.yaml   # the policy \"default\", which only observes\n\n"
      "The chart does both. Amounts of CPU are in millicores, 1000m being one core used fully; times are UTC. A field "
      "that is not\n"
      "there is not known, which is never the same as 0.\n\n";
  for (const auto& crd : Definitions()) out += CrdSection(crd);
  out +=
      "## Conditions\n\n"
      "| kind | type | True when | reasons when it is not |\n|---|---|---|---|\n"
      "| BehaviorFingerprint | Ready | the VM is seen, known, and treated as its mode says | that of Sensed, Learned "
      "or Partitioned, "
      "the first that is not True |\n"
      "| BehaviorFingerprint | Sensed | samples arrive each second | NoFreshSamples, NotRunning, NoLauncherPod |\n"
      "| BehaviorFingerprint | Learned | what is usual is known | Learning |\n"
      "| BehaviorFingerprint | Partitioned | the node holds what was planned and read it back | NotEnforced, "
      "NothingHeld, "
      "DedicatedCPUs, the name of the guard's check, or the agent's refusal ([events](events.md)) |\n"
      "| PartitionPolicy | Accepted | the policy is followed | Invalid; the message names the field and what it must "
      "be |\n"
      "| NodePartition | Ready | the node is watched and its books are in order | that of the others |\n"
      "| NodePartition | AgentConnected | a frame arrives each second | NotConnected; the message says why |\n"
      "| NodePartition | FloorsFit | the floors of all VMs in enforce mode fit the capacity | FloorsAboveCapacity; "
      "the message names those that were lowered |\n"
      "\nBehaviorFingerprint's ModeCapped is the other way round: True is worth a look. It says that the VM gets less "
      "than its owner "
      "asked\nfor, with the reason InvalidMode, InvalidPolicy, NamespaceMode, PolicyMaxMode or Paused "
      "([annotations](annotations.md)).\n";
  out +=
      "\nThe guard's checks, in their order; the first that speaks is the reason of Partitioned:\n\n"
      "| reason | what it saw | what it did |\n|---|---|---|\n"
      "| DedicatedCpus | the VM has dedicated CPUs | left it as found |\n"
      "| SampleTooOld | no sample for 5 s | closed its loans; it holds its entitlement |\n"
      "| AboveLimit | more was wanted than the limit the VM's owner set | set the limit |\n"
      "| StepTooLarge | the rise was larger than the policy's stepMillicores | rises in steps |\n"
      "| Flapping | the allocation changed direction too often in the last minute | does not rise for now |\n"
      "| AboveCapacity | the node's capacity is held by others | gave what is left |\n"
      "| BelowRequest | what is left is below the pod's request | left it as found |\n"
      "| FloorsExceedCapacity | the floors of this node's VMs do not fit its capacity | lowered this floor |\n";
  return out;
}

std::string EventsPage() {
  std::string out = fmt::format(fmt::runtime(kMade), "crd/events.h");
  out +=
      "# Events\n\n"
      "Whorl writes Events on the VirtualMachine, so that `kubectl describe vm` shows them, in its namespace, as\n"
      "`whorl.dev/controller`; what concerns a whole node is on its NodePartition. A message says what was seen, "
      "against which threshold, what was done from which value "
      "to which, until\n"
      "when, and how to stop it. It never names another tenant's VM.\n\n"
      "An Event stands for a change. What goes on is in the object's status; `kubectl describe bfp` tells the present. "
      "Repeats within\n"
      "six minutes become one series; at most 25 Events in a burst and one per five minutes are written for one VM, "
      "more are\n"
      "counted in `whorl_events_total`.\n\n"
      "| reason | type | action | when | what to do |\n|---|---|---|---|---|\n";
  for (const auto& event : kEvents) {
    out += fmt::format("| {} | {} | {} | {} | {} |\n", event.name, event.warning ? "Warning" : "Normal", event.action,
                       Cell(std::string(event.when)), Cell(std::string(event.what_to_do)));
  }
  out +=
      "\nReasons an agent gives in PlanRefused:\n\n"
      "| reason | meaning | what to do |\n|---|---|---|\n"
      "| OldEpoch, OldSequence | the plan is older than one the node has obeyed | nothing: another controller leads, "
      "or the plan was late |\n"
      "| SecondController | two controllers send plans of the same epoch | look for a second installation |\n"
      "| AboveCapacity | the plan's sum is above the node's capacity | report it: the engine must never do this |\n"
      "| LeaseOutOfRange | the lease is not between 1 and 300 seconds | correct leaseSeconds in the policy |\n"
      "| NotEnrolled, NotEnforced | the pod is not enrolled, or not in enforce mode | nothing: the VM has just opted "
      "out or moved |\n"
      "| BelowRequest | the limit would be below the pod's requests | report it |\n"
      "| AboveLimit | the limit would be above the one the VM's owner set | report it |\n"
      "| NoQemu, PodGone | the pod's cgroup holds no QEMU, or is gone | nothing: the VM stopped or moved |\n"
      "| ForeignWriter | somebody else changed the limit | see the Event ForeignWriter |\n"
      "| WriteFailed, ReadBackDiffers | the kernel refused the value, or reports another one | look at the agent's log "
      "on that node |\n";
  return out;
}

}  // namespace

std::vector<Page> ReferencePages() {
  return {{"docs/reference/crds.md", CrdsPage()}, {"docs/reference/events.md", EventsPage()}};
}

}  // namespace whorl::crd::testing
