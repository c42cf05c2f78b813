#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/time.h"
#include "operator/agent/act/holder.h"
#include "operator/agent/sense/cpu_gauge.h"

namespace whorl::agent {

// Judges one loan's rule over a series of readings of its lender.
class RecallMeter {
 public:
  RecallMeter(std::int64_t use_above_millicores, std::int32_t delay_above_ms_per_s, Millis for_at_least);

  // Counters in microseconds. The reason, once the rule has been met for long
  // enough. A counter that goes backwards starts the measurement anew.
  std::optional<std::string> Update(Millis now, std::uint64_t usage_us, std::optional<std::uint64_t> delay_us);
  // The lender could not be read: a loan on a lender nobody can see is given
  // back after kBlind.
  std::optional<std::string> Blind(Millis now, const std::string& why);

  static constexpr Millis kBlind{2000};

 private:
  const std::int64_t use_above_;
  const std::int32_t delay_above_;
  const Millis for_at_least_;
  struct Before {
    Millis at{0};
    std::uint64_t usage_us = 0;
    std::optional<std::uint64_t> delay_us;
  };
  std::optional<Before> before_;
  std::optional<Millis> met_since_;
  std::optional<Millis> blind_since_;
};

// Reads the lenders of all loans in force and recalls those whose rule is met.
// Belongs to the keeper thread.
class RecallWatch {
 public:
  RecallWatch(Holder& holder, const Clock& clock, std::string proc_root);

  // Call every kPeriod while there are loans.
  void Check();
  bool idle() const { return meters_.empty(); }

  static constexpr Millis kPeriod{150};

 private:
  struct Watched {
    std::string lender;
    RecallMeter meter;
  };
  void Refresh();

  Holder& holder_;
  const Clock& clock_;
  const std::string proc_root_;
  std::uint64_t version_ = ~std::uint64_t{0};
  std::map<std::uint64_t, Watched> meters_;
  std::map<std::string, std::unique_ptr<CpuGauge>> gauges_;
};

}  // namespace whorl::agent
