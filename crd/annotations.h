#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/engine/policy.h"

namespace whorl::crd {

// Set by people, on a VirtualMachine; the mode also on a Namespace.
inline constexpr std::string_view kModeKey = "whorl.dev/mode";
inline constexpr std::string_view kPolicyKey = "whorl.dev/policy";
// A person's answer to a proposal of the remediation ladder, by its id; removed
// once it has been heard.
inline constexpr std::string_view kApproveKey = "whorl.dev/approve";
inline constexpr std::string_view kRejectKey = "whorl.dev/reject";
// Written by the controller on the VirtualMachine, on change of bucket only.
inline constexpr std::string_view kScoreKey = "whorl.dev/score";
inline constexpr std::string_view kStateKey = "whorl.dev/state";
inline constexpr std::string_view kSummaryKey = "whorl.dev/summary";

inline constexpr std::string_view kDefaultPolicy = "default";

// The closed grammar: off, observe, recommend or enforce, nothing else, no
// spaces, lower case. kInvalid says what was found and what is allowed.
Result<Mode> ParseMode(std::string_view value);

// A DNS-1123 subdomain of at most 63 characters.
Result<std::string> ParsePolicyName(std::string_view value);

// What stands on the objects; nullopt: no such annotation.
struct ModeRequest {
  std::optional<std::string> vm_mode = {};
  std::optional<std::string> vm_policy = {};
  std::optional<std::string> namespace_mode = {};
};

// What the named policy says. kMissing and kInvalid allow no more than Observe,
// under built-in numbers, so that nothing on a node rests on a policy that is gone.
enum class PolicyState : std::uint8_t { kFound, kMissing, kInvalid };
struct PolicyLimit {
  PolicyState state = PolicyState::kMissing;
  Mode max_mode = Mode::kObserve;
  Pause pause = Pause::kNone;
  std::string trouble = {};  // kInvalid: why
};

// What made the mode smaller than asked for; the name is the reason of the
// ModeCapped condition.
enum class Cap : std::uint8_t {
  kNotCapped,
  kInvalidMode,    // an annotation outside the grammar: Off
  kInvalidPolicy,  // no policy name, no such policy, or one that cannot be read
  kNamespaceMode,
  kPolicyMaxMode,
  kPaused,  // HoldAndDrain: no more than Observe
};
std::string_view CapName(Cap cap);

struct EffectiveMode {
  Mode mode = Mode::kOff;       // after narrowing; kOff: no fingerprint, nothing held
  Mode requested = Mode::kOff;  // by the VM, else by its namespace
  std::string policy{kDefaultPolicy};
  Pause pause = Pause::kNone;  // kHold leaves the mode and asks the engine to start nothing new
  Cap cap = Cap::kNotCapped;   // the one that binds; of equals the one with more authority
  std::string message = {};    // why, and what to do; empty when not capped
  // Annotations outside the grammar, each a sentence for a Warning Event.
  std::vector<std::string> invalid_modes = {};
  std::vector<std::string> invalid_policies = {};
};

// The policy a VM follows, before anything is known about it. nullopt: the
// annotation is no name at all.
std::optional<std::string> PolicyNameOf(const ModeRequest& request);

// The order of authority: pause, then the policy's maxMode, then the namespace,
// then the VM; the lower may only narrow.
EffectiveMode DecideMode(const ModeRequest& request, const PolicyLimit& policy);

}  // namespace whorl::crd
