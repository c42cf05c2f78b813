#include "operator/agent/checkpoints/checkpoint_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <memory>
#include <utility>

#include "operator/agent/journal/journal.h"
#include "operator/agent/sense/text_file.h"

namespace whorl::agent {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kEnding = ".checkpoint";
constexpr std::string_view kCorruptEnding = ".corrupt";
constexpr std::size_t kLongestUid = 64;

// Letters, digits and dashes: what a uid is made of, and nothing a path could be.
bool IsUid(std::string_view text) {
  return !text.empty() && text.size() <= kLongestUid && text.front() != '-' &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
         });
}

Error NoUid(const std::string& vm_uid) {
  return {Code::kInvalid,
          "\"" + vm_uid.substr(0, kLongestUid) + "\" is not the uid of a VM: up to 64 letters, digits and dashes"};
}

struct Kept {
  std::string path;
  std::int64_t used_seconds = 0;  // wall time of the last write or read
  std::uint64_t bytes = 0;
};

// Everything of ours in the folder, also what was set aside.
std::vector<Kept> KeptIn(const std::string& dir) {
  std::vector<Kept> out;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(dir, failed)) {
    const auto name = entry.path().filename().string();
    if (!name.ends_with(kEnding) && !name.ends_with(kCorruptEnding)) continue;
    struct stat info{};
    if (::lstat(entry.path().c_str(), &info) != 0 || !S_ISREG(info.st_mode)) continue;
    out.push_back({entry.path().string(), info.st_mtim.tv_sec, static_cast<std::uint64_t>(info.st_size)});
  }
  return out;
}

void Touch(const std::string& path, Time now) {
  const std::int64_t millis = ToUnixMillis(now);
  timespec when{};
  when.tv_sec = millis / 1000;
  const timespec both[2] = {when, when};
  ::utimensat(AT_FDCWD, path.c_str(), both, AT_SYMLINK_NOFOLLOW);
}

}  // namespace

Result<std::unique_ptr<CheckpointStore>> CheckpointStore::Open(Options options, const Clock& clock) {
  std::error_code failed;
  fs::create_directories(fs::path(options.dir).parent_path(), failed);
  if (::mkdir(options.dir.c_str(), 0700) != 0 && errno != EEXIST) {
    return Fail(ErrorFromErrno(errno, options.dir));
  }
  if (::access(options.dir.c_str(), W_OK | X_OK) != 0) return Fail(ErrorFromErrno(errno, options.dir));
  std::unique_ptr<CheckpointStore> store(new CheckpointStore(std::move(options), clock));
  // A write that a crash cut short left this behind.
  for (const auto& entry : fs::directory_iterator(store->options_.dir, failed)) {
    if (entry.path().extension() == ".new") fs::remove(entry.path(), failed);
  }
  store->Prune();
  return store;
}

std::string CheckpointStore::PathOf(const std::string& vm_uid) const {
  return options_.dir + "/" + vm_uid + std::string(kEnding);
}

Status CheckpointStore::Put(const std::string& vm_uid, std::string_view blob) {
  if (!IsUid(vm_uid)) return Fail(NoUid(vm_uid));
  if (blob.empty() || blob.size() > kMostCheckpointBytes) {
    return Fail(Code::kInvalid, "a checkpoint of " + std::to_string(blob.size()) + " bytes; it must be 1 to " +
                                    std::to_string(kMostCheckpointBytes));
  }
  std::scoped_lock lock(mu_);
  const auto path = PathOf(vm_uid);
  if (auto written = ReplaceFile(path, blob); !written) return written;
  Touch(path, clock_.Now());
  Prune();
  return {};
}

std::optional<std::string> CheckpointStore::Get(const std::string& vm_uid) {
  if (!IsUid(vm_uid)) return std::nullopt;
  std::scoped_lock lock(mu_);
  const auto path = PathOf(vm_uid);
  std::ifstream in(path, std::ios::binary);
  if (!in) return std::nullopt;
  std::string blob(kMostCheckpointBytes + 1, '\0');
  in.read(blob.data(), static_cast<std::streamsize>(blob.size()));
  blob.resize(static_cast<std::size_t>(in.gcount()));
  // Longer than anything we write: not ours, and the controller would refuse it.
  if (blob.empty() || blob.size() > kMostCheckpointBytes) return std::nullopt;
  Touch(path, clock_.Now());
  return blob;
}

Status CheckpointStore::Drop(const std::string& vm_uid) {
  if (!IsUid(vm_uid)) return Fail(NoUid(vm_uid));
  std::scoped_lock lock(mu_);
  const auto path = PathOf(vm_uid);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return Fail(ErrorFromErrno(errno, path));
  return {};
}

Status CheckpointStore::SetAside(const std::string& vm_uid) {
  if (!IsUid(vm_uid)) return Fail(NoUid(vm_uid));
  std::scoped_lock lock(mu_);
  const auto path = PathOf(vm_uid);
  const auto aside = options_.dir + "/" + vm_uid + std::string(kCorruptEnding);
  if (::rename(path.c_str(), aside.c_str()) != 0 && errno != ENOENT) return Fail(ErrorFromErrno(errno, path));
  return {};
}

std::vector<std::string> CheckpointStore::Stored() const {
  std::scoped_lock lock(mu_);
  std::vector<std::string> out;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(options_.dir, failed)) {
    auto name = entry.path().filename().string();
    if (!name.ends_with(kEnding)) continue;
    name.resize(name.size() - kEnding.size());
    if (IsUid(name)) out.push_back(std::move(name));
  }
  std::sort(out.begin(), out.end());
  return out;
}

void CheckpointStore::Prune() {
  auto kept = KeptIn(options_.dir);
  std::sort(kept.begin(), kept.end(), [](const Kept& a, const Kept& b) { return a.used_seconds > b.used_seconds; });
  const std::int64_t oldest = ToUnixMillis(clock_.Now()) / 1000 - options_.keep_unused.count();
  std::uint64_t bytes = 0;
  std::uint64_t files = 0;
  for (const auto& file : kept) {
    bytes += file.bytes;
    ++files;
    if (file.used_seconds >= oldest && bytes <= options_.quota_bytes && files <= options_.most_files) continue;
    ::unlink(file.path.c_str());
    bytes -= file.bytes;
    --files;
  }
}

}  // namespace whorl::agent
