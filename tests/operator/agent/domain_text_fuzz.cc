// Feeds bytes to the readers of a domain's texts. What they accept must come out as
// it went in: the journal puts it back byte for byte.
#include <cstdint>
#include <string>
#include <string_view>

#include "operator/agent/act/domain_text.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace whorl::agent;  // NOLINT(google-build-using-namespace): one function
  const std::string text(reinterpret_cast<const char*>(data), size);
  if (const auto kib = ParseBalloonKib(text); kib && std::to_string(*kib) != text) __builtin_trap();
  if (const auto disk = ParseDisk(text)) {
    const auto again = ParseDisk(FormatDisk(*disk));
    if (!again || *again != *disk) __builtin_trap();
    DiskLimits limits;
    limits.read_bytes = 1000;
    if (const auto limited = LimitDisk(text, limits); limited && !ParseDisk(*limited)) __builtin_trap();
  }
  static_cast<void>(ParseDomainXml(text));
  static_cast<void>(ParseDomainXml("<domain><devices>" + text + "</devices></domain>"));
  return 0;
}
