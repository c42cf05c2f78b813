#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/base/time.h"
#include "crd/conditions.h"

// What the cluster loop says and is told: a VM's size, which changes over hours
// and by a live migration.
namespace whorl::crd {

// Set by people or by `kubectl whorl apply`, on a VirtualMachine: carried out
// once, then taken away by the controller and kept in status.resize.change.
inline constexpr std::string_view kResizeKey = "whorl.dev/resize";
// Written by the controller in the same patch as the new size, so that whoever
// leads next knows what was there before; taken away when the change has ended.
inline constexpr std::string_view kResizingKey = "whorl.dev/resizing";

struct ResizeRequest {
  std::optional<std::int32_t> sockets = {};  // 1..512
  std::optional<std::string> memory = {};    // a quantity of at least a byte, not yet read
  std::string text = {};                     // as written: two that differ are two requests

  bool operator==(const ResizeRequest&) const = default;
};

// The closed grammar: sockets=N, memory=QUANTITY, or both with a comma between,
// and after an @ at most 40 letters, digits, dots, colons and dashes that tell
// one request from the next. kInvalid says what was found and what is allowed.
Result<ResizeRequest> ParseResizeRequest(std::string_view value);
// "sockets=2,memory=4Gi@2026-01-02T03:04:05Z".
std::string ResizeRequestText(const ResizeRequest& request, Time now);

// One line of a recommendation; amounts are whole sockets or quantities of memory.
struct ResizeView {
  std::string name = {};  // "sockets", "memory"
  std::string current = {};
  std::string target = {};
  std::string lower = {};  // enough half of the time
  std::string upper = {};  // enough 99 times of 100
  std::string why = {};

  bool operator==(const ResizeView&) const = default;
};

// The change under way, or the last one.
struct ResizeChange {
  std::string state = {};  // Patched, Migrating, Done, Reverting, Reverted, Failed, Refused
  std::string from = {};   // "2 sockets, 4Gi"
  std::string to = {};
  std::string request = {};  // whorl.dev/resize, when that asked for it
  Time since{};
  std::optional<Time> ended = {};
  std::string message = {};

  bool operator==(const ResizeChange&) const = default;
};

inline constexpr std::string_view kRecommended = "Recommended";  // True: another size is recommended
inline constexpr std::string_view kPossible = "Possible";        // False: which rule stands against it

// status.resize of a BehaviorFingerprint.
struct ResizeStatus {
  std::string mode = {};  // Off, Recommend, Auto
  std::vector<ResizeView> recommendation = {};
  std::int32_t expected_migrations = 0;  // that following it takes
  std::optional<ResizeChange> change = {};
  std::vector<Time> changes = {};     // of the last day, oldest first: what the budget counts
  std::vector<Time> migrations = {};  // likewise, of any cause; KubeVirt itself keeps only the last five
  std::vector<Condition> conditions = {};

  bool operator==(const ResizeStatus&) const = default;
};
inline constexpr std::size_t kMostResizeTimes = 24;

nlohmann::json ToJson(const ResizeStatus& status);
// Of a stored fingerprint; what cannot be read is left out.
ResizeStatus ResizeStatusOf(const nlohmann::json& object);

}  // namespace whorl::crd
