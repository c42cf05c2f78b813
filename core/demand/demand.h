#pragma once

#include <cstdint>
#include <optional>

namespace whorl {

// What one tick tells about a VM's need for CPU, in millicores unless said.
struct DemandSample {
  float used = 0;
  std::optional<float> waited;     // run-queue delay of the vCPUs, ms/s
  std::optional<float> throttled;  // by the quota, ms/s
  std::optional<float> limit;      // quota in force, as read back
  float most = 0;                  // the VM cannot use more than this (its vCPUs)
};

// How much CPU one VM will want, from what it used: last value or moving mean,
// whichever is larger, plus an online quantile of how far the next second
// exceeded that. A VM that is held back shows only what it was given: then the
// estimate grows until the limit no longer binds. Plain data.
class CpuDemand {
 public:
  void Observe(const DemandSample& sample, double quantile);
  void Forget() { *this = CpuDemand{}; }

  // nullopt until enough has been seen.
  std::optional<float> predicted() const;
  // The same without the quantile of the error: about what the next second takes.
  std::optional<float> expected() const;
  float last() const { return last_; }
  bool any() const { return seen_ > 0; }
  bool censored() const { return pressed_ > 0; }

 private:
  float Forecast() const { return last_ > mean_ ? last_ : mean_; }

  float last_ = 0;     // demand of the last second, waiting included
  float mean_ = 0;     // moving mean
  float scale_ = 0;    // typical error of the forecast
  float offset_ = 0;   // tracked quantile of the error, >= 0
  float pressed_ = 0;  // grown estimate while held back, else 0
  float most_ = 0;
  std::uint32_t seen_ = 0;
};

}  // namespace whorl
