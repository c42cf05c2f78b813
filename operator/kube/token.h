#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "core/base/clock.h"
#include "core/base/result.h"
#include "operator/kube/config.h"

namespace whorl::kube {

// The bearer token of a config. A token file is read again at most every 60 s,
// and at once after Invalidate (a 401): the kubelet rotates projected tokens
// under us. When a later read fails the last good token is kept, because the
// file is briefly absent during rotation. Thread-safe.
class TokenSource {
 public:
  // `clock` must outlive it.
  TokenSource(std::string token, std::string token_file, const Clock& clock);

  // Empty when the config names no token (client certificate only).
  Result<std::string> Get();
  // True when asking again can give another token.
  bool Invalidate();

 private:
  const std::string fixed_;
  const std::string file_;
  const Clock& clock_;
  std::mutex mu_;
  std::string cached_;  // under mu_
  Millis read_at_{0};   // under mu_
  bool fresh_ = false;  // under mu_
};

}  // namespace whorl::kube
