#include "operator/agent/sense/parse.h"

#include <algorithm>
#include <charconv>
#include <limits>

namespace whorl::agent {
namespace {

constexpr std::string_view kSpace = " \t";

std::string_view TrimEnd(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Takes the next line off `text`, without its newline.
std::string_view TakeLine(std::string_view& text) {
  const auto end = text.find('\n');
  const auto line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return line;
}

// Takes the next word off `line`; empty at its end.
std::string_view TakeWord(std::string_view& line) {
  const auto start = line.find_first_not_of(kSpace);
  if (start == std::string_view::npos) {
    line = {};
    return {};
  }
  line.remove_prefix(start);
  const auto end = line.find_first_of(kSpace);
  const auto word = line.substr(0, end);
  line.remove_prefix(end == std::string_view::npos ? line.size() : end);
  return word;
}

// Kernel text quoted in an error, cut so that a bad file does not fill a log.
std::string Quote(std::string_view text) {
  constexpr std::size_t kLongest = 60;
  std::string quoted = "\"";
  for (const char c : text.substr(0, kLongest)) quoted += (c >= ' ' && c < 127) ? c : '?';
  return quoted + (text.size() > kLongest ? "…\"" : "\"");
}

template <typename T>
Result<T> Number(std::string_view word) {
  T value{};
  const auto [end, code] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (code == std::errc::result_out_of_range) return Fail(Code::kInvalid, Quote(word) + " is too large for 64 bits");
  if (code != std::errc{} || end != word.data() + word.size()) {
    return Fail(Code::kInvalid, Quote(word) + " is not a whole number");
  }
  return value;
}

// A sum of 64-bit counters that says when it would wrap.
Status Add(std::uint64_t& sum, std::uint64_t value) {
  if (value > std::numeric_limits<std::uint64_t>::max() - sum) return Fail(Code::kInvalid, "the sum exceeds 64 bits");
  sum += value;
  return {};
}

bool LooksLikeUid(std::string_view text) {
  if (text.size() < 16 || text.size() > 64) return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == '-';
  });
}

// The pod UID that one component of a cgroup path names; empty when none.
std::string PodUidOf(std::string_view component) {
  constexpr std::string_view kSlice = ".slice";
  constexpr std::string_view kPod = "pod";
  std::string_view name = component;
  bool systemd = false;
  if (name.ends_with(kSlice)) {
    systemd = true;
    name.remove_suffix(kSlice.size());
    // kubepods-burstable-pod<uid_>: the UID follows the last dash, its own
    // dashes are written as underscores.
    if (const auto dash = name.rfind('-'); dash != std::string_view::npos) name.remove_prefix(dash + 1);
  }
  if (!name.starts_with(kPod)) return {};
  std::string uid(name.substr(kPod.size()));
  if (systemd) std::replace(uid.begin(), uid.end(), '_', '-');
  return LooksLikeUid(uid) ? uid : std::string{};
}

// mountinfo writes space, tab, newline and backslash as octal escapes.
std::string Unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      int value = 0;
      const auto [end, code] = std::from_chars(text.data() + i + 1, text.data() + i + 4, value, 8);
      if (code == std::errc{} && end == text.data() + i + 4 && value < 256) {
        out += static_cast<char>(value);
        i += 3;
        continue;
      }
    }
    out += text[i];
  }
  return out;
}

}  // namespace

Result<std::uint64_t> ParseCounter(std::string_view text) { return Number<std::uint64_t>(TrimEnd(text)); }

Result<std::int64_t> ParseInteger(std::string_view text) { return Number<std::int64_t>(TrimEnd(text)); }

Result<std::uint64_t> ParseKeyed(std::string_view text, std::string_view key) {
  while (!text.empty()) {
    auto line = TakeLine(text);
    if (TakeWord(line) != key) continue;
    const auto value = TakeWord(line);
    auto number = Number<std::uint64_t>(value);
    if (!number) return Fail(number.error().In(key));
    return number;
  }
  return Fail(Code::kNotFound, "no line " + Quote(key));
}

Result<std::uint64_t> ParseRefaults(std::string_view text, bool totals) {
  constexpr std::string_view kTotal = "total_";
  constexpr std::string_view kRefault = "workingset_refault";
  std::uint64_t sum = 0;
  bool found = false;
  while (!text.empty()) {
    auto line = TakeLine(text);
    auto key = TakeWord(line);
    if (totals != key.starts_with(kTotal)) continue;
    if (totals) key.remove_prefix(kTotal.size());
    if (!key.starts_with(kRefault)) continue;
    key.remove_prefix(kRefault.size());
    if (!key.empty() && key != "_anon" && key != "_file") continue;
    const auto number = Number<std::uint64_t>(TakeWord(line));
    if (!number) return Fail(number.error().In(kRefault));
    if (auto added = Add(sum, *number); !added) return Fail(added.error().In(kRefault));
    found = true;
  }
  if (!found) return Fail(Code::kNotFound, "no refaults are counted");
  return sum;
}

Result<std::uint64_t> ParsePressureTotal(std::string_view text) {
  constexpr std::string_view kTotal = "total=";
  while (!text.empty()) {
    auto line = TakeLine(text);
    if (TakeWord(line) != "some") continue;
    for (auto word = TakeWord(line); !word.empty(); word = TakeWord(line)) {
      if (word.starts_with(kTotal)) return Number<std::uint64_t>(word.substr(kTotal.size()));
    }
    return Fail(Code::kInvalid, "the \"some\" line has no total");
  }
  return Fail(Code::kNotFound, "no \"some\" line");
}

Result<Schedstat> ParseSchedstat(std::string_view text) {
  auto line = TrimEnd(text);
  const auto run = Number<std::uint64_t>(TakeWord(line));
  if (!run) return Fail(run.error().In("run time"));
  const auto delay = Number<std::uint64_t>(TakeWord(line));
  if (!delay) return Fail(delay.error().In("run-queue delay"));
  const auto slices = Number<std::uint64_t>(TakeWord(line));
  if (!slices) return Fail(slices.error().In("timeslices"));
  return Schedstat{*run, *delay};
}

Result<TapCounters> ParseTaps(std::string_view text) {
  TapCounters sum;
  while (!text.empty()) {
    auto line = TakeLine(text);
    const auto colon = line.find(':');
    if (colon == std::string_view::npos) continue;  // the two header lines
    auto name = line.substr(0, colon);
    name = TakeWord(name);
    if (!name.starts_with("tap")) continue;
    line.remove_prefix(colon + 1);
    // bytes packets errs drop fifo frame compressed multicast, received then sent.
    std::uint64_t column[16];
    for (auto& value : column) {
      const auto number = Number<std::uint64_t>(TakeWord(line));
      if (!number) return Fail(number.error().In(name));
      value = *number;
    }
    const std::pair<std::uint64_t*, std::uint64_t> parts[] = {{&sum.guest_sent_bytes, column[0]},
                                                              {&sum.guest_received_bytes, column[8]},
                                                              {&sum.packets, column[1]},
                                                              {&sum.packets, column[9]},
                                                              {&sum.drops, column[3]},
                                                              {&sum.drops, column[11]},
                                                              {&sum.errors, column[2]},
                                                              {&sum.errors, column[10]}};
    for (const auto& [into, value] : parts) {
      if (auto added = Add(*into, value); !added) return Fail(added.error().In(name));
    }
    ++sum.taps;
  }
  if (sum.taps == 0) return Fail(Code::kNotFound, "no tap device in the pod's network namespace");
  return sum;
}

Result<CpuMax> ParseCpuMax(std::string_view text) {
  auto line = TrimEnd(text);
  const auto quota = TakeWord(line);
  const auto period = Number<std::int64_t>(TakeWord(line));
  if (!period) return Fail(period.error().In("period"));
  if (*period <= 0) return Fail(Code::kInvalid, "the period is not positive");
  if (quota == "max") return CpuMax{std::nullopt, *period};
  const auto number = Number<std::int64_t>(quota);
  if (!number) return Fail(number.error().In("quota"));
  if (*number <= 0) return Fail(Code::kInvalid, "the quota is not positive");
  return CpuMax{*number, *period};
}

Result<std::vector<CgroupMembership>> ParseProcCgroup(std::string_view text) {
  std::vector<CgroupMembership> lines;
  while (!text.empty()) {
    const auto line = TakeLine(text);
    if (line.empty()) continue;
    const auto first = line.find(':');
    const auto second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) return Fail(Code::kInvalid, "no path in " + Quote(line));
    const auto id = Number<std::uint64_t>(line.substr(0, first));
    if (!id) return Fail(id.error().In("hierarchy"));
    const auto path = line.substr(second + 1);
    if (!path.starts_with('/')) return Fail(Code::kInvalid, "not an absolute path: " + Quote(path));
    lines.push_back({std::string(line.substr(first + 1, second - first - 1)), std::string(path)});
  }
  if (lines.empty()) return Fail(Code::kInvalid, "the file is empty");
  return lines;
}

Result<PodPath> FindPod(std::string_view path) {
  // The innermost pod wins: a node may itself run inside a pod.
  PodPath found;
  for (std::size_t start = 1; start < path.size();) {
    const auto slash = path.find('/', start);
    const auto end = slash == std::string_view::npos ? path.size() : slash;
    const auto component = path.substr(start, end - start);
    if (component == "..") {
      return Fail(Code::kUnsupported, "the path " + Quote(path) +
                                          " leads out of this cgroup namespace; run the agent privileged with hostPID");
    }
    if (auto uid = PodUidOf(component); !uid.empty() && end < path.size()) {
      const auto next = path.find('/', end + 1);
      found = {std::move(uid), std::string(path.substr(0, end)), std::string(path.substr(0, next))};
    }
    start = end + 1;
  }
  if (found.pod_uid.empty()) return Fail(Code::kNotFound, Quote(path) + " is not inside a pod's container");
  return found;
}

Result<std::vector<CgroupMount>> ParseCgroupMounts(std::string_view text) {
  std::vector<CgroupMount> mounts;
  while (!text.empty()) {
    auto line = TakeLine(text);
    if (line.empty()) continue;
    const auto separator = line.find(" - ");
    if (separator == std::string_view::npos) return Fail(Code::kInvalid, "no separator in " + Quote(line));
    auto tail = line.substr(separator + 3);
    const auto type = TakeWord(tail);
    if (type != "cgroup" && type != "cgroup2") continue;
    TakeWord(tail);  // source
    auto options = TakeWord(tail);
    auto head = line.substr(0, separator);
    for (int skip = 0; skip < 3; ++skip) TakeWord(head);  // id, parent, device
    CgroupMount mount;
    mount.root = Unescape(TakeWord(head));
    mount.mount_point = Unescape(TakeWord(head));
    if (mount.mount_point.empty()) return Fail(Code::kInvalid, "no mount point in " + Quote(line));
    mount.v2 = type == "cgroup2";
    while (!mount.v2 && !options.empty()) {
      const auto comma = options.find(',');
      mount.controllers.emplace_back(options.substr(0, comma));
      options.remove_prefix(comma == std::string_view::npos ? options.size() : comma + 1);
    }
    mounts.push_back(std::move(mount));
  }
  return mounts;
}

bool IsVcpuThread(std::string_view comm) {
  comm = TrimEnd(comm);
  if (!comm.ends_with("/KVM") && !comm.ends_with("/TCG")) return false;
  return comm.starts_with("CPU ") || comm.starts_with("ALL CPUs");
}

Result<std::uint64_t> ParseStartTicks(std::string_view stat) {
  constexpr int kField = 22;
  // The name in field 2 may hold spaces and brackets: count from the last one.
  const auto bracket = stat.rfind(')');
  if (bracket == std::string_view::npos) return Fail(Code::kInvalid, "no process name in " + Quote(stat));
  stat.remove_prefix(bracket + 1);
  for (int skip = 3; skip < kField; ++skip) TakeWord(stat);
  return Number<std::uint64_t>(TakeWord(stat));
}

bool IsQemu(std::string_view comm) {
  comm = TrimEnd(comm);
  return comm.starts_with("qemu-system") || comm == "qemu-kvm";
}

}  // namespace whorl::agent
