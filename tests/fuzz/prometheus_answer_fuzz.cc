// Bytes of an answer as they may come from anything behind the URL: read
// without a crash, every value finite, every error with words.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "operator/promql/client.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto answer = whorl::promql::ParseRangeAnswer({reinterpret_cast<const char*>(data), size});
  if (!answer) {
    if (answer.error().message.empty()) std::abort();
    return 0;
  }
  for (const auto& sample : answer->samples) {
    if (!std::isfinite(sample.value) || sample.at < whorl::FromUnixMillis(0)) std::abort();
  }
  return 0;
}
