#pragma once

#include <string_view>

namespace whorl::crd {

inline constexpr std::string_view kGroup = "whorl.dev";
inline constexpr std::string_view kVersion = "v1alpha1";
inline constexpr std::string_view kApiVersion = "whorl.dev/v1alpha1";

// A kind as the API server names it in objects and in paths.
struct KindName {
  std::string_view kind;
  std::string_view plural;
  bool namespaced;
};
inline constexpr KindName kBehaviorFingerprint{"BehaviorFingerprint", "behaviorfingerprints", true};
inline constexpr KindName kPartitionPolicy{"PartitionPolicy", "partitionpolicies", false};
inline constexpr KindName kNodePartition{"NodePartition", "nodepartitions", false};

// Who owns the fields we apply; one manager for objects and one for statuses,
// because server-side apply removes what a manager no longer names.
inline constexpr std::string_view kFieldManager = "whorl-controller";
inline constexpr std::string_view kStatusFieldManager = "whorl-controller-status";
// status.resize of a BehaviorFingerprint has a writer of its own, the cluster loop.
inline constexpr std::string_view kResizeFieldManager = "whorl-controller-resize";

}  // namespace whorl::crd
