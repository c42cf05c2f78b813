#include "operator/kube/token.h"

#include <fstream>
#include <sstream>
#include <utility>

namespace whorl::kube {

namespace {

constexpr Millis kReadAgainAfter{60'000};

}  // namespace

TokenSource::TokenSource(std::string token, std::string token_file, const Clock& clock)
    : fixed_(std::move(token)), file_(std::move(token_file)), clock_(clock) {}

Result<std::string> TokenSource::Get() {
  if (file_.empty()) return fixed_;
  std::scoped_lock lock(mu_);
  const auto now = clock_.Monotonic();
  if (fresh_ && now - read_at_ < kReadAgainAfter) return cached_;
  std::ifstream in(file_);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) text.pop_back();
  if (in.fail() || text.empty()) {
    if (!cached_.empty()) return cached_;
    return Fail(Code::kUnauthorized, "token file " + file_ + (in.fail() ? ": cannot be read" : ": is empty") +
                                         "; mount a service-account token there or correct tokenFile");
  }
  // A line break or another control character inside would forge a header.
  for (const char c : text) {
    if (c < 0x21 || c > 0x7e) {
      return Fail(Code::kUnauthorized, "token file " + file_ +
                                           ": holds something that is not a token; it must be one "
                                           "line without spaces");
    }
  }
  cached_ = std::move(text);
  read_at_ = now;
  fresh_ = true;
  return cached_;
}

bool TokenSource::Invalidate() {
  if (file_.empty()) return false;
  std::scoped_lock lock(mu_);
  fresh_ = false;
  return true;
}

}  // namespace whorl::kube
