#include "operator/agent/journal/journal.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>

namespace whorl::agent {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMagic = "whorl-journal-1";
constexpr std::string_view kSuffix = ".pod";
constexpr std::size_t kLongestFile = 16384;

Error FromErrno(const std::string& what) {
  const int error = errno;
  return Error{error == ENOENT ? Code::kNotFound : Code::kUnavailable,
               what + ": " + std::generic_category().message(error)};
}

std::string Checksum(std::string_view text) {
  const auto sum = ::crc32(0, reinterpret_cast<const Bytef*>(text.data()), static_cast<uInt>(text.size()));
  std::array<char, 16> digits{};
  const auto [end, code] = std::to_chars(digits.data(), digits.data() + digits.size(), sum, 16);
  return std::string(digits.data(), end);
}

std::string Line(std::initializer_list<std::string_view> fields) {
  std::string line;
  for (const auto field : fields) line.append(field).push_back('\t');
  return line + Checksum(line) + "\n";
}

// The fields of a line without its checksum; empty when that does not fit.
std::vector<std::string> Fields(std::string_view line) {
  const auto tab = line.rfind('\t');
  if (tab == std::string_view::npos || Checksum(line.substr(0, tab + 1)) != line.substr(tab + 1)) return {};
  std::vector<std::string> fields;
  for (std::size_t start = 0; start <= tab;) {
    const auto end = line.find('\t', start);
    fields.emplace_back(line.substr(start, end - start));
    start = end + 1;
  }
  return fields;
}

template <typename T>
bool Number(const std::string& text, T& value) {
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  return code == std::errc{} && end == text.data() + text.size();
}

bool SafeName(std::string_view name) {
  return !name.empty() && name.size() <= 128 && !name.starts_with('.') &&
         std::all_of(name.begin(), name.end(),
                     [](unsigned char c) { return std::isalnum(c) || c == '-' || c == '.' || c == '_'; });
}

// The journal is trusted to name a place to write to: never outside the tree.
bool SafeDir(const std::string& dir) {
  if (dir.empty() || dir.starts_with('/')) return false;
  const fs::path path(dir);
  return std::none_of(path.begin(), path.end(), [](const fs::path& part) { return part == ".." || part == "."; });
}

// A device as the kernel names it: 8:0.
bool DeviceName(std::string_view name) {
  const auto colon = name.find(':');
  const auto digits = [](std::string_view part) {
    return !part.empty() && part.size() <= 10 &&
           std::all_of(part.begin(), part.end(), [](char c) { return '0' <= c && c <= '9'; });
  };
  return colon != std::string_view::npos && digits(name.substr(0, colon)) && digits(name.substr(colon + 1));
}

// The journal names no file but these: above all not memory.max, nor cgroup.procs.
bool KnownKnob(const std::string& file) {
  for (const std::string_view name :
       {"cpu.shares", "cpu.cfs_quota_us", "cpu.cfs_burst_us", "cpu.weight", "cpu.max", "cpu.max.burst", "cpuset.cpus",
        "memory.min", "memory.low", "memory.high", "memory.soft_limit_in_bytes", "io.weight"}) {
    if (file == name) return true;
  }
  for (const std::string_view prefix :
       {"io.max@", "io.weight@", "blkio.throttle.read_bps_device@", "blkio.throttle.write_bps_device@",
        "blkio.throttle.read_iops_device@", "blkio.throttle.write_iops_device@"}) {
    if (file.starts_with(prefix)) return DeviceName(std::string_view(file).substr(prefix.size()));
  }
  for (const std::string_view prefix : {"disk@", "net.out@", "net.in@"}) {
    if (file.starts_with(prefix)) return SafeName(std::string_view(file).substr(prefix.size()));
  }
  return file == "balloon";
}

}  // namespace

std::string FormatEntry(const JournalEntry& entry) {
  const auto inode = std::to_string(entry.inode);
  const auto expires = std::to_string(entry.expires.count());
  std::string text = Line({kMagic, entry.pod_uid, entry.dir, inode, expires});
  for (const auto& knob : entry.knobs) text += Line({"knob", knob.file, knob.found, knob.wrote, knob.intent});
  return text + Line({"end", std::to_string(entry.knobs.size())});
}

Result<ParsedEntry> ParseEntry(std::string_view text) {
  ParsedEntry parsed;
  bool head = false;
  bool end = false;
  int number = 0;
  while (!text.empty()) {
    const auto newline = text.find('\n');
    const auto fields = Fields(text.substr(0, newline));
    text.remove_prefix(newline == std::string_view::npos ? text.size() : newline + 1);
    const auto place = "line " + std::to_string(++number);
    if (fields.size() == 5 && fields[0] == kMagic) {
      std::int64_t expires = 0;
      auto& entry = parsed.entry;
      entry.pod_uid = fields[1];
      entry.dir = fields[2];
      if (!SafeName(entry.pod_uid) || !SafeDir(entry.dir) || !Number(fields[3], entry.inode) ||
          !Number(fields[4], expires)) {
        return Fail(Code::kCorrupt, place + " names no pod cgroup");
      }
      entry.expires = Millis{expires};
      head = true;
    } else if (fields.size() == 5 && fields[0] == "knob" && KnownKnob(fields[1])) {
      parsed.entry.knobs.push_back({fields[1], fields[2], fields[3], fields[4]});
    } else if (fields.size() == 2 && fields[0] == "end") {
      end = true;
      if (fields[1] != std::to_string(parsed.entry.knobs.size())) parsed.damage.push_back("knobs are missing");
    } else {
      parsed.damage.push_back(place + " failed its checksum or is not understood");
    }
  }
  if (!head) return Fail(Code::kCorrupt, "no line says which pod it belongs to");
  if (!end) parsed.damage.push_back("the last line is missing");
  return parsed;
}

Status ReplaceFile(const std::string& path, std::string_view text) {
  const std::string next = path + ".new";
  const int fd = ::open(next.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return Fail(FromErrno(next));
  const auto size = ::write(fd, text.data(), text.size());
  const bool whole = size >= 0 && static_cast<std::size_t>(size) == text.size();
  const auto failed = whole ? Error{} : FromErrno(next);
  ::close(fd);
  if (!whole) return Fail(failed);
  if (::rename(next.c_str(), path.c_str()) != 0) return Fail(FromErrno(path));
  return {};
}

Millis BootTime() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return Millis{static_cast<std::int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1'000'000};
}

Result<Journal> Journal::Open(const std::string& state_dir) {
  std::error_code failed;
  fs::create_directories(state_dir, failed);
  const std::string dir = state_dir + "/journal";
  if (::mkdir(dir.c_str(), 0700) != 0 && errno != EEXIST) return Fail(FromErrno(dir));
  return Journal(dir);
}

Journal::Guard::~Guard() {
  if (fd_ >= 0) ::close(fd_);
}

Result<Journal::Guard> Journal::Lock() const {
  const auto path = dir_ + "/lock";
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return Fail(FromErrno(path));
  while (::flock(fd, LOCK_EX) != 0) {
    if (errno == EINTR) continue;
    const auto error = FromErrno(path);
    ::close(fd);
    return Fail(error);
  }
  return Guard(fd);
}

std::string Journal::PathOf(const std::string& pod_uid) const { return dir_ + "/" + pod_uid + std::string(kSuffix); }

Status Journal::Put(const JournalEntry& entry) const {
  if (!SafeName(entry.pod_uid) || !SafeDir(entry.dir))
    return Fail(Code::kInvalid, "not a journal entry: " + entry.pod_uid);
  for (const auto& knob : entry.knobs) {
    for (const auto* text : {&knob.found, &knob.wrote, &knob.intent}) {
      if (text->find_first_of("\t\n") != std::string::npos) return Fail(Code::kInvalid, knob.file + " is not one line");
    }
  }
  return ReplaceFile(PathOf(entry.pod_uid), FormatEntry(entry));
}

Status Journal::Drop(const std::string& pod_uid) const {
  const auto path = PathOf(pod_uid);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return Fail(FromErrno(path));
  return {};
}

bool Journal::Has(const std::string& pod_uid) const { return ::access(PathOf(pod_uid).c_str(), F_OK) == 0; }

namespace {

Result<std::string> ReadFile(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return Fail(errno == ENOENT ? Code::kNotFound : Code::kUnavailable, path.string() + ": cannot be opened");
  std::string text(kLongestFile + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  // Not to be taken for a file that is short: that would be set aside and forgotten.
  if (in.bad()) return Fail(Code::kUnavailable, path.string() + ": cannot be read");
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (text.size() > kLongestFile) return Fail(Code::kCorrupt, path.string() + ": too long for a journal entry");
  return text;
}

}  // namespace

std::optional<JournalEntry> Journal::Find(const std::string& pod_uid) const {
  const auto text = ReadFile(PathOf(pod_uid));
  if (!text) return std::nullopt;
  auto parsed = ParseEntry(*text);
  if (!parsed || !parsed->damage.empty() || parsed->entry.pod_uid != pod_uid) return std::nullopt;
  return std::move(parsed->entry);
}

Result<Journal::Contents> Journal::Load() const {
  Contents contents;
  std::error_code failed;
  std::vector<fs::path> files;
  for (fs::directory_iterator it(dir_, failed), end; !failed && it != end; it.increment(failed)) {
    if (it->path().extension() == kSuffix) files.push_back(it->path());
  }
  if (failed) return Fail(Code::kUnavailable, dir_ + ": " + failed.message());
  std::sort(files.begin(), files.end());
  for (const auto& file : files) {
    const auto text = ReadFile(file);
    if (!text && text.error().code == Code::kNotFound) continue;  // dropped meanwhile
    if (!text && text.error().code == Code::kUnavailable) {
      contents.damage.push_back(text.error().message + "; it stays, and is tried again");
      continue;
    }
    auto parsed = text ? ParseEntry(*text) : Fail(text.error());
    if (parsed && parsed->damage.empty() && parsed->entry.pod_uid == file.stem()) {
      contents.entries.push_back(std::move(parsed->entry));
      continue;
    }
    std::string aside;
    for (int n = 1;; ++n) {
      aside = file.string() + ".corrupt-" + std::to_string(n);
      if (::access(aside.c_str(), F_OK) != 0) break;
    }
    std::string why = "journal entry " + file.filename().string() + " is damaged (";
    if (!parsed) {
      why += parsed.error().message;
    } else {
      why += parsed->damage.empty() ? "it belongs to another pod" : parsed->damage.front();
    }
    why += ")";
    if (::rename(file.c_str(), aside.c_str()) != 0) return Fail(FromErrno(aside));
    why += "; set aside as " + aside;
    if (parsed && !parsed->entry.knobs.empty() && parsed->entry.pod_uid == file.stem()) {
      if (auto kept = Put(parsed->entry); !kept) return Fail(kept.error());
      why += "; " + std::to_string(parsed->entry.knobs.size()) + " of its knobs can still be restored";
      contents.entries.push_back(std::move(parsed->entry));
    } else {
      why += "; compare the pod's cpu knobs by hand";
    }
    contents.damage.push_back(std::move(why));
  }
  return contents;
}

}  // namespace whorl::agent
