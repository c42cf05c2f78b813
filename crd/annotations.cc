#include "crd/annotations.h"

#include <fmt/format.h>

#include <algorithm>

#include "crd/text.h"

namespace whorl::crd {
namespace {

constexpr std::size_t kMaxNameLength = 63;
constexpr std::size_t kShownLength = 64;  // of a user's text in a message

// A user's text for a message: bounded, valid, on one line.
std::string Quoted(std::string_view value) {
  std::string shown = Clip(value, kShownLength);
  for (char& c : shown) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F || c == '"') c = '?';
  }
  return '"' + shown + '"';
}

bool IsNameCharacter(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

// DNS-1123 subdomain: labels of letters, digits and inner dashes, dots between.
bool IsSubdomain(std::string_view name) {
  if (name.empty() || name.size() > kMaxNameLength) return false;
  char before = '.';
  for (const char c : name) {
    const bool edge = before == '.' || before == '-';
    if (c == '.' && edge) return false;
    if (c == '-' && before == '.') return false;
    if (c != '.' && c != '-' && !IsNameCharacter(c)) return false;
    before = c;
  }
  return IsNameCharacter(before);
}

// A cap that may bind: everything below has said `so_far`.
struct Narrowing {
  Cap cap;
  Mode at_most;
  std::string message;
};

}  // namespace

Result<Mode> ParseMode(std::string_view value) {
  for (const Mode mode : {Mode::kOff, Mode::kObserve, Mode::kRecommend, Mode::kEnforce}) {
    if (value == ModeAnnotation(mode)) return mode;
  }
  return Fail(Code::kInvalid, fmt::format("{} is {}; it must be off, observe, recommend or enforce, in lower case",
                                          kModeKey, Quoted(value)));
}

Result<std::string> ParsePolicyName(std::string_view value) {
  if (IsSubdomain(value)) return std::string(value);
  return Fail(
      Code::kInvalid,
      fmt::format("{} is {}; it must be the name of a PartitionPolicy: lower-case letters, digits, dashes and dots, "
                  "beginning and ending with a letter or digit, no more than {} characters",
                  kPolicyKey, Quoted(value), kMaxNameLength));
}

std::string_view CapName(Cap cap) {
  switch (cap) {
    case Cap::kNotCapped: return "NotCapped";
    case Cap::kInvalidMode: return "InvalidMode";
    case Cap::kInvalidPolicy: return "InvalidPolicy";
    case Cap::kNamespaceMode: return "NamespaceMode";
    case Cap::kPolicyMaxMode: return "PolicyMaxMode";
    case Cap::kPaused: return "Paused";
  }
  return "NotCapped";
}

std::optional<std::string> PolicyNameOf(const ModeRequest& request) {
  if (!request.vm_policy) return std::string(kDefaultPolicy);
  auto name = ParsePolicyName(*request.vm_policy);
  if (!name) return std::nullopt;
  return std::move(*name);
}

EffectiveMode DecideMode(const ModeRequest& request, const PolicyLimit& policy) {
  EffectiveMode out;
  out.pause = policy.pause;

  // What is asked for. A word outside the grammar counts as off.
  const auto read = [&](const std::optional<std::string>& text, std::string_view where) -> std::optional<Mode> {
    if (!text) return std::nullopt;
    const auto mode = ParseMode(*text);
    if (mode) return *mode;
    out.invalid_modes.push_back(fmt::format("{}: {}. It is treated as off.", where, mode.error().message));
    return Mode::kOff;
  };
  const auto on_vm = read(request.vm_mode, "VirtualMachine");
  // A VM that says off itself has no quarrel with what its Namespace says.
  const auto on_namespace = on_vm == Mode::kOff ? std::nullopt : read(request.namespace_mode, "Namespace");
  out.requested = on_vm ? *on_vm : on_namespace.value_or(Mode::kOff);
  const auto name = PolicyNameOf(request);
  out.policy = name.value_or("");
  if (!out.invalid_modes.empty()) {
    out.cap = Cap::kInvalidMode;
    out.message = out.invalid_modes.front();
    return out;
  }
  if (out.requested == Mode::kOff) return out;
  if (!name) {
    out.invalid_policies.push_back(fmt::format("VirtualMachine: {}. The VM is treated as off.",
                                               ParsePolicyName(*request.vm_policy).error().message));
    out.cap = Cap::kInvalidPolicy;
    out.message = out.invalid_policies.front();
    return out;
  }
  if (policy.state == PolicyState::kMissing) {
    out.invalid_policies.push_back(fmt::format(
        "PartitionPolicy {0} does not exist. The VM is observed at most, until `kubectl get ppol {0}` shows it.",
        out.policy));
  } else if (policy.state == PolicyState::kInvalid) {
    out.invalid_policies.push_back(fmt::format("PartitionPolicy {} cannot be used: {}. The VM is observed at most.",
                                               out.policy, Clip(policy.trouble, 400)));
  }

  // From the least authority to the most; each may only narrow, and of equals
  // the one with more authority is named, because lifting the lesser alone
  // would change nothing.
  std::vector<Narrowing> narrowings;
  if (on_vm && on_namespace) {
    narrowings.push_back({Cap::kNamespaceMode, *on_namespace,
                          fmt::format("the Namespace allows no more than {}: change {} on the Namespace",
                                      ModeAnnotation(*on_namespace), kModeKey)});
  }
  if (policy.state != PolicyState::kFound) {
    narrowings.push_back({Cap::kInvalidPolicy, Mode::kObserve, out.invalid_policies.front()});
  } else {
    narrowings.push_back(
        {Cap::kPolicyMaxMode, policy.max_mode,
         fmt::format("PartitionPolicy {} allows no more than {}: its administrator may raise spec.maxMode", out.policy,
                     ModeName(policy.max_mode))});
  }
  if (policy.pause == Pause::kHoldAndDrain) {
    narrowings.push_back(
        {Cap::kPaused, Mode::kObserve,
         fmt::format(
             "PartitionPolicy {} is paused with HoldAndDrain and everything held is given back: set spec.pause to None",
             out.policy)});
  }

  out.mode = out.requested;
  for (const Narrowing& n : narrowings) out.mode = std::min(out.mode, n.at_most);
  if (out.mode == out.requested) return out;
  for (const Narrowing& n : narrowings) {
    if (n.at_most != out.mode) continue;
    out.cap = n.cap;
    out.message =
        fmt::format("asked for {}, gets {}; {}", ModeAnnotation(out.requested), ModeAnnotation(out.mode), n.message);
  }
  return out;
}

}  // namespace whorl::crd
