#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/base/time.h"
#include "operator/controller/hotplug/facts.h"
#include "operator/controller/hotplug/rules.h"

// One change of one VM's size, from the patch to its end. Where it stands
// follows from the objects alone, so that whoever leads next goes on from there.
// Pure.
namespace whorl::controller::hotplug {

// What stands in whorl.dev/resizing while a change is under way: what was there
// before, what was put there, and that it is ours.
struct ChangeRecord {
  std::optional<std::int64_t> sockets_from = {}, sockets_to = {};  // both or neither
  std::string guest_from = {}, guest_to = {};                      // quantities as written; both or neither
  std::string request = {};                                        // whorl.dev/resize that asked for it
  Time since{};
  std::string reverted_for = {};      // why the size before was put back; empty: it was not
  std::optional<Time> reverted = {};  // when

  std::string From() const;  // "1 socket, 1Gi"
  std::string To() const;
  bool operator==(const ChangeRecord&) const = default;
};
std::string RecordText(const ChangeRecord& record);
// kInvalid: somebody else wrote there.
Result<ChangeRecord> ParseRecord(std::string_view text);
// Of the parts of `target` that differ from the template.
ChangeRecord MakeRecord(const Situation& situation, std::string request, Time now);

enum class ChangePhase : std::uint8_t { kPatched, kMigrating, kDone, kReverting, kReverted, kFailed };
std::string_view ChangePhaseName(ChangePhase phase);

// What is to be done about it now.
enum class ChangeStep : std::uint8_t {
  kWait,
  kRevert,  // put the size before back
  kClose,   // it has ended: say so, then take the record away
};

struct Judgement {
  ChangePhase phase = ChangePhase::kPatched;
  ChangeStep step = ChangeStep::kWait;
  std::string message;
};

// `vmi` null: the VM has stopped. `migrations` of this VM only.
Judgement Judge(const ChangeRecord& record, const VmFacts& vm, const InstanceFacts* vmi,
                const std::vector<const Migration*>& migrations, Time now);

// JSON patches of a VirtualMachine. Each tests the uid and what it replaces, so
// that it does nothing to a VM that somebody else has changed meanwhile.
nlohmann::json StartPatch(std::string_view vm_uid, const VmFacts& vm, const ChangeRecord& record);
// What KubeVirt has already taken up is left: sockets cannot be withdrawn.
nlohmann::json RevertPatch(std::string_view vm_uid, const VmFacts& vm, const InstanceFacts* vmi,
                           const ChangeRecord& record, const std::string& why, Time now);
// Takes our record away, and the request it answers.
nlohmann::json ClosePatch(std::string_view vm_uid, const VmFacts& vm, const std::string& request);

}  // namespace whorl::controller::hotplug
