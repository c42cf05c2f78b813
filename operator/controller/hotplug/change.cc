#include "operator/controller/hotplug/change.h"

#include <fmt/format.h>

#include <algorithm>

#include "crd/json_fields.h"
#include "crd/resize.h"
#include "crd/text.h"
#include "operator/controller/watch/quantity.h"

namespace whorl::controller::hotplug {
namespace {

using nlohmann::json;

constexpr Seconds kTakenUpWithin{600};  // KubeVirt copies the size within seconds, or says why not
constexpr Seconds kGivenUpAfter{3600};
constexpr std::size_t kFailuresGivenUpAfter = 3;  // KubeVirt goes on trying; people should look by then
constexpr Seconds kClearsWithin{60};              // RestartRequired, after the size before is back
constexpr const char* kSocketsPath = "/spec/template/spec/domain/cpu/sockets";
constexpr const char* kGuestPath = "/spec/template/spec/domain/memory/guest";

std::string Size(const std::optional<std::int64_t>& sockets, const std::string& guest) {
  std::string out;
  if (sockets) out = fmt::format("{} socket{}", *sockets, *sockets == 1 ? "" : "s");
  if (!guest.empty()) out += (out.empty() ? "" : ", ") + guest;
  return out;
}

// An annotation's key in a JSON pointer.
std::string Pointer(std::string_view key) {
  std::string out = "/metadata/annotations/";
  for (const char c : key) out += c == '/' ? std::string("~1") : c == '~' ? std::string("~0") : std::string(1, c);
  return out;
}

json Operation(std::string_view op, std::string_view path, json value) {
  return {{"op", op}, {"path", path}, {"value", std::move(value)}};
}
json Removal(std::string_view path) { return {{"op", "remove"}, {"path", path}}; }

bool SameAmount(const std::optional<Bytes>& have, const std::string& text) {
  const auto wanted = ParseBytes(text);
  return have && wanted && *have == *wanted;
}

// The parts of the record, each compared with what stands in one place.
bool TemplateIs(const VmFacts& vm, const std::optional<std::int64_t>& sockets, const std::string& guest) {
  return (!sockets || vm.sockets == sockets) && (guest.empty() || SameAmount(vm.guest, guest));
}

bool TakenUp(const ChangeRecord& record, const InstanceFacts& vmi) {
  return (!record.sockets_to || vmi.sockets == record.sockets_to) &&
         (record.guest_to.empty() || SameAmount(vmi.guest, record.guest_to));
}
bool AnythingTakenUp(const ChangeRecord& record, const InstanceFacts& vmi) {
  return (record.sockets_to && vmi.sockets == record.sockets_to) ||
         (!record.guest_to.empty() && SameAmount(vmi.guest, record.guest_to));
}

// By the values, not by generations, which lag behind.
bool GuestHasIt(const ChangeRecord& record, const InstanceFacts& vmi) {
  return (!record.sockets_to || vmi.current_sockets == record.sockets_to) &&
         (record.guest_to.empty() || SameAmount(vmi.guest_requested, record.guest_to)) &&
         !IsTrue(vmi.conditions, kHotVcpuChange) && !IsTrue(vmi.conditions, kHotMemoryChange);
}

std::string Took(Seconds time) {
  return time < Seconds{120} ? fmt::format("{} s", time.count()) : fmt::format("{} min", time.count() / 60);
}

Judgement JudgeReverted(const ChangeRecord& record, const VmFacts& vm, Time now) {
  if (!TemplateIs(vm, record.sockets_from, record.guest_from) && TemplateIs(vm, record.sockets_to, record.guest_to)) {
    return {ChangePhase::kReverting, ChangeStep::kRevert, record.reverted_for};
  }
  if (!IsTrue(vm.conditions, kRestartRequired))
    return {ChangePhase::kReverted, ChangeStep::kClose, record.reverted_for};
  if (now - record.reverted.value_or(record.since) < kClearsWithin)
    return {ChangePhase::kReverting, ChangeStep::kWait, record.reverted_for};
  // Before KubeVirt 1.8 only a restart cleared it.
  return {ChangePhase::kReverted, ChangeStep::kClose,
          record.reverted_for + "; RestartRequired stays until the VM is restarted"};
}

}  // namespace

std::string ChangeRecord::From() const { return Size(sockets_from, guest_from); }
std::string ChangeRecord::To() const { return Size(sockets_to, guest_to); }

std::string RecordText(const ChangeRecord& record) {
  json out{{"since", crd::TimeText(record.since)}};
  if (record.sockets_to) {
    out["sockets"] = {{"from", record.sockets_from.value_or(0)}, {"to", *record.sockets_to}};
  }
  if (!record.guest_to.empty()) out["memory"] = {{"from", record.guest_from}, {"to", record.guest_to}};
  crd::PutText(out, "request", record.request);
  crd::PutText(out, "revertedFor", record.reverted_for);
  if (record.reverted) out["reverted"] = crd::TimeText(*record.reverted);
  return out.dump(-1, ' ', false, json::error_handler_t::replace);
}

Result<ChangeRecord> ParseRecord(std::string_view text) {
  const auto bad = [] {
    return Fail(Code::kInvalid, fmt::format("{} is not what Whorl wrote there", crd::kResizingKey));
  };
  const auto object = json::parse(text, nullptr, false);
  if (!object.is_object()) return bad();
  ChangeRecord out;
  const auto* since = crd::FindString(object, "since");
  const auto at = since == nullptr ? std::nullopt : crd::ParseTimeText(*since);
  if (!at) return bad();
  out.since = *at;
  if (const auto* sockets = crd::FindMember(object, "sockets")) {
    out.sockets_from = crd::FindInt(*sockets, "from");
    out.sockets_to = crd::FindInt(*sockets, "to");
    if (!out.sockets_from || !out.sockets_to) return bad();
  }
  if (const auto* memory = crd::FindMember(object, "memory")) {
    const auto* from = crd::FindString(*memory, "from");
    const auto* to = crd::FindString(*memory, "to");
    if (from == nullptr || to == nullptr || !ParseBytes(*from) || !ParseBytes(*to)) return bad();
    out.guest_from = *from;
    out.guest_to = *to;
  }
  if (!out.sockets_to && out.guest_to.empty()) return bad();
  if (const auto* request = crd::FindString(object, "request")) out.request = *request;
  if (const auto* why = crd::FindString(object, "revertedFor")) out.reverted_for = *why;
  if (const auto* reverted = crd::FindString(object, "reverted")) out.reverted = crd::ParseTimeText(*reverted);
  return out;
}

ChangeRecord MakeRecord(const Situation& situation, std::string request, Time now) {
  ChangeRecord out;
  if (situation.changes_sockets()) {
    out.sockets_from = situation.vm->sockets;
    out.sockets_to = situation.target.sockets;
  }
  if (situation.changes_guest()) {
    out.guest_from = situation.vm->guest_text;
    out.guest_to = BytesText(*situation.target.guest);
  }
  out.request = std::move(request);
  out.since = std::chrono::floor<Seconds>(now);
  return out;
}

std::string_view ChangePhaseName(ChangePhase phase) {
  switch (phase) {
    case ChangePhase::kPatched: return "Patched";
    case ChangePhase::kMigrating: return "Migrating";
    case ChangePhase::kDone: return "Done";
    case ChangePhase::kReverting: return "Reverting";
    case ChangePhase::kReverted: return "Reverted";
    case ChangePhase::kFailed: return "Failed";
  }
  return "Failed";
}

Judgement Judge(const ChangeRecord& record, const VmFacts& vm, const InstanceFacts* vmi,
                const std::vector<const Migration*>& migrations, Time now) {
  const auto age = std::chrono::duration_cast<Seconds>(now - record.since);
  if (!record.reverted_for.empty()) return JudgeReverted(record, vm, now);
  if (!TemplateIs(vm, record.sockets_to, record.guest_to)) {
    return {ChangePhase::kFailed, ChangeStep::kClose,
            "somebody else has changed the size in the template meanwhile; it is left as it is"};
  }
  if (vmi == nullptr || vmi->deleting || vmi->phase == "Succeeded" || vmi->phase == "Failed") {
    return {ChangePhase::kDone, ChangeStep::kClose,
            "the VM has been stopped meanwhile and has the new size from its next start"};
  }
  // KubeVirt plugs nothing into a VM that says so, and no later change either.
  if (const auto* restart = Find(vm.conditions, kRestartRequired); restart != nullptr && restart->is_true) {
    const bool sockets_stay = record.sockets_to && vmi->sockets == record.sockets_to;
    if (sockets_stay && record.guest_to.empty()) {
      return {ChangePhase::kFailed, ChangeStep::kClose,
              fmt::format("KubeVirt wants a restart ({}) after it had taken the sockets up; they cannot be withdrawn",
                          restart->message)};
    }
    return {ChangePhase::kReverting, ChangeStep::kRevert, restart->message};
  }
  if (GuestHasIt(record, *vmi)) {
    return {ChangePhase::kDone, ChangeStep::kClose, fmt::format("the guest has it after {}", Took(age))};
  }
  if (!TakenUp(record, *vmi)) {
    const auto* failure = Find(vm.conditions, "Failure");
    std::string why = failure != nullptr && failure->is_true ? failure->message : "KubeVirt has not taken it up yet";
    if (age < kTakenUpWithin || AnythingTakenUp(record, *vmi)) return {ChangePhase::kPatched, ChangeStep::kWait, why};
    return {ChangePhase::kReverting, ChangeStep::kRevert, why};
  }
  const auto failed =
      static_cast<std::size_t>(std::count_if(migrations.begin(), migrations.end(), [&](const Migration* m) {
        return m->for_update && m->phase == "Failed" && m->created >= record.since;
      }));
  const auto running = std::find_if(migrations.begin(), migrations.end(),
                                    [&](const Migration* m) { return !m->ended() && m->created >= record.since; });
  std::string message = running != migrations.end() ? fmt::format("migration {} is {}", (*running)->name,
                                                                  (*running)->phase.empty() ? "new" : (*running)->phase)
                                                    : "waiting for KubeVirt to migrate the VM";
  if (failed > 0) message += fmt::format("; {} migration{} failed before", failed, failed == 1 ? "" : "s");
  if (age >= kGivenUpAfter || failed >= kFailuresGivenUpAfter) {
    return {ChangePhase::kFailed, ChangeStep::kClose,
            message + "; what KubeVirt has taken up cannot be withdrawn, it goes on trying"};
  }
  return {ChangePhase::kMigrating, ChangeStep::kWait, message};
}

json StartPatch(std::string_view vm_uid, const VmFacts& vm, const ChangeRecord& record) {
  json out = json::array({Operation("test", "/metadata/uid", vm_uid)});
  if (record.sockets_to) {
    out.push_back(Operation("test", kSocketsPath, *record.sockets_from));
    out.push_back(Operation("replace", kSocketsPath, *record.sockets_to));
  }
  if (!record.guest_to.empty()) {
    out.push_back(Operation("test", kGuestPath, record.guest_from));
    out.push_back(Operation("replace", kGuestPath, record.guest_to));
  }
  if (vm.has_annotations) {
    out.push_back(Operation("add", Pointer(crd::kResizingKey), RecordText(record)));
  } else {
    // Adding the whole map would wipe out one that somebody adds meanwhile.
    out.push_back(Operation("test", "/metadata/resourceVersion", vm.resource_version));
    out.push_back(
        Operation("add", "/metadata/annotations", json{{std::string(crd::kResizingKey), RecordText(record)}}));
  }
  return out;
}

json RevertPatch(std::string_view vm_uid, const VmFacts& vm, const InstanceFacts* vmi, const ChangeRecord& record,
                 const std::string& why, Time now) {
  json out = json::array({Operation("test", "/metadata/uid", vm_uid),
                          Operation("test", Pointer(crd::kResizingKey), vm.resizing.value_or(""))});
  ChangeRecord reverted = record;
  reverted.reverted_for = why.empty() ? "KubeVirt would not do it" : why;
  reverted.reverted = std::chrono::floor<Seconds>(now);
  if (record.sockets_to && vmi != nullptr && vmi->sockets == record.sockets_to) {
    reverted.sockets_from.reset();
    reverted.sockets_to.reset();
  }
  if (reverted.sockets_to) {
    out.push_back(Operation("test", kSocketsPath, *record.sockets_to));
    out.push_back(Operation("replace", kSocketsPath, *record.sockets_from));
  }
  if (!record.guest_to.empty()) {
    out.push_back(Operation("test", kGuestPath, vm.guest_text));
    out.push_back(Operation("replace", kGuestPath, record.guest_from));
  }
  out.push_back(Operation("replace", Pointer(crd::kResizingKey), RecordText(reverted)));
  return out;
}

json ClosePatch(std::string_view vm_uid, const VmFacts& vm, const std::string& request) {
  json out = json::array({Operation("test", "/metadata/uid", vm_uid)});
  const auto take = [&](std::string_view key, const std::optional<std::string>& value) {
    out.push_back(Operation("test", Pointer(key), *value));
    out.push_back(Removal(Pointer(key)));
  };
  if (vm.resizing) take(crd::kResizingKey, vm.resizing);
  // Another request that came meanwhile is left alone.
  if (vm.resize && *vm.resize == request) take(crd::kResizeKey, vm.resize);
  return out;
}

}  // namespace whorl::controller::hotplug
