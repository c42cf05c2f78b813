#pragma once

#include <sys/types.h>

#include <string>

#include "tests/fake/temp_dir.h"

namespace whorl::fake {

// Debian's Prometheus on loopback, with a past backfilled from OpenMetrics
// text. Throws when it does not come up; the processes go with the test.
class RealPrometheus {
 public:
  static bool Installed();

  explicit RealPrometheus(const std::string& openmetrics);
  ~RealPrometheus();
  RealPrometheus(const RealPrometheus&) = delete;
  RealPrometheus& operator=(const RealPrometheus&) = delete;

  std::string url() const;
  void Kill();

 private:
  void WaitReady();

  TempDir dir_;
  int port_ = 0;
  pid_t server_ = -1;
};

}  // namespace whorl::fake
