// Feeds bytes to every reader of text the agent does not control. What they
// return is not looked at: they must end, and touch nothing they do not own.
#include <cstdint>
#include <string_view>

#include "operator/agent/act/cpu_files.h"
#include "operator/agent/journal/journal.h"
#include "operator/agent/sense/cgroup_layout.h"
#include "operator/agent/sense/domain_stats.h"
#include "operator/agent/sense/guest_lines.h"
#include "operator/agent/sense/parse.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace whorl::agent;  // NOLINT(google-build-using-namespace): one function
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  static_cast<void>(ParseCounter(text));
  static_cast<void>(ParseInteger(text));
  static_cast<void>(ParseKeyed(text, "usage_usec"));
  static_cast<void>(ParsePressureTotal(text));
  static_cast<void>(ParseSchedstat(text));
  static_cast<void>(ParseTaps(text));
  static_cast<void>(ParseRefaults(text, false));
  static_cast<void>(ParseRefaults(text, true));
  static_cast<void>(ParseCpuMax(text));
  static_cast<void>(ParseCgroupMounts(text));
  static_cast<void>(IsVcpuThread(text));
  static_cast<void>(IsQemu(text));
  if (const auto pod = FindPod(text); pod && (!text.starts_with(pod->pod) || !text.starts_with(pod->container)))
    __builtin_trap();
  static const auto layout = *CgroupLayout::Detect(
      *ParseCgroupMounts("1 0 0:1 /x /cg rw - cgroup2 cgroup2 rw\n2 0 0:2 / /cg/cpu rw - cgroup cgroup rw,cpu\n"),
      "/cg");
  static_cast<void>(layout.Locate(text));
  // Whatever is read back from a journal must be safe to write to.
  if (const auto parsed = ParseEntry(text)) {
    if (parsed->entry.dir.find("..") != std::string::npos && !ParseEntry(FormatEntry(parsed->entry))) __builtin_trap();
  }
  for (const auto* file : {"cpu.shares", "cpu.weight", "cpu.max", "cpu.cfs_quota_us"}) {
    static_cast<void>(CpuFiles(CgroupVersion::kV2).Parse(file, std::string(text)));
  }
  static_cast<void>(whorl::ParseGuestLine(text));
  GuestLines lines;
  lines.Take(text);
  lines.Take("\n");
  if (const auto* window = lines.Window()) {
    auto line = whorl::FormatGuestLine(*window);
    line.pop_back();
    if (!whorl::ParseGuestLine(line)) __builtin_trap();
  }
  DomainStats stats;
  Fold(text, size, stats);
  return 0;
}
