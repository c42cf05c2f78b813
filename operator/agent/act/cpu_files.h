#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "operator/agent/act/knob_tree.h"
#include "operator/agent/sense/cgroup_layout.h"

namespace whorl::agent {

// The CPU knobs of a pod cgroup, on v1's scale. quota_us -1 = no quota.
struct CpuValues {
  std::optional<std::uint32_t> shares;
  std::optional<std::int64_t> quota_us;
  std::optional<std::int64_t> period_us;

  friend bool operator==(const CpuValues&, const CpuValues&) = default;
};

inline constexpr std::uint32_t kLeastShares = 2;
inline constexpr std::uint32_t kMostShares = 262144;
inline constexpr std::int64_t kLeastQuotaMicros = 1000;  // the kernel's own bound

// kubelet's conversion between the scales of v1 and v2.
std::uint32_t WeightFromShares(std::uint32_t shares);
std::uint32_t SharesFromWeight(std::uint32_t weight);

// File names of one cgroup version and how their values are written.
class CpuFiles {
 public:
  explicit CpuFiles(CgroupVersion version) : v2_(version == CgroupVersion::kV2) {}

  std::string shares_file() const { return v2_ ? "cpu.weight" : "cpu.shares"; }
  std::string quota_file() const { return v2_ ? "cpu.max" : "cpu.cfs_quota_us"; }
  std::string SharesText(std::uint32_t shares) const;
  std::string QuotaText(std::int64_t quota_us, std::int64_t period_us) const;

  // Every knob as it stands; a "max" or -1 is a value, an unreadable file an error.
  Result<CpuValues> Read(const KnobTree& tree, const std::string& dir) const;
  // A knob's text back into values; only the field that `file` carries is set.
  Result<CpuValues> Parse(const std::string& file, const std::string& text) const;

 private:
  bool v2_;
};

// Thousandths of a core as quota, and back.
std::int64_t QuotaMicros(std::int64_t millicores, std::int64_t period_us);
std::optional<std::int64_t> QuotaMillicores(const CpuValues& values);

}  // namespace whorl::agent
