// Bytes of a watch as they may come from a broken server: split into lines and
// read as events without a crash, and the same however the chunks break.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "operator/kube/line_splitter.h"
#include "operator/kube/watch_event.h"

namespace {

std::vector<std::string> Lines(std::string_view text, std::size_t chunk) {
  whorl::kube::LineSplitter splitter;
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < text.size(); at += chunk) {
    const auto more = splitter.Push(text.substr(at, chunk), [&](std::string_view line) {
      lines.emplace_back(line);
      return true;
    });
    if (!more || !*more) std::abort();
  }
  return lines;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto lines = Lines(text, text.size());
  if (lines != Lines(text, 1u + data[0] % 64)) std::abort();
  for (const auto& line : lines) {
    const auto event = whorl::kube::ParseWatchEvent(line);
    if (!event) {
      if (event.error().message.empty()) std::abort();
      continue;
    }
    const auto object = event->object();
    if (!object.is_object()) std::abort();
    (void)object.FindString({"metadata", "name"});
    (void)object.FindInt({"spec", "size"});
    if (object.ToText().empty()) std::abort();
  }
  return 0;
}
