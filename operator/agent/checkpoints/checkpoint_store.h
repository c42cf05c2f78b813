#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/clock.h"
#include "core/base/result.h"

namespace whorl::agent {

// The largest checkpoint taken: 64 KiB of baseline and the controller's seal.
inline constexpr std::size_t kMostCheckpointBytes = 64 * 1024 + 256;

// Checkpoints of baselines in a folder of the host's disk, one file per VM,
// named after the VM's uid. The bytes are the controller's; nothing here reads
// them. Bounded by a quota and by age: a file that was neither written nor read
// for `keep_unused` goes, and over the quota the one unused for longest goes
// first. Thread-safe.
class CheckpointStore {
 public:
  struct Options {
    std::string dir;
    std::uint64_t quota_bytes = 64ull << 20;
    std::uint64_t most_files = 4096;
    Seconds keep_unused{14 * 24 * 3600};
  };
  // Creates the folder, for root only, and drops what is too old. `clock` gives
  // the wall time and must outlive the store.
  static Result<std::unique_ptr<CheckpointStore>> Open(Options options, const Clock& clock);

  // Replaces the VM's checkpoint at once or not at all. kInvalid: the uid is no
  // uid or the blob is too large; else what the disk said.
  Status Put(const std::string& vm_uid, std::string_view blob);
  // nullopt: none, or it cannot be read.
  std::optional<std::string> Get(const std::string& vm_uid);
  Status Drop(const std::string& vm_uid);
  // Renames it to <uid>.corrupt, for an administrator to look at.
  Status SetAside(const std::string& vm_uid);
  // Every VM with a checkpoint, ordered.
  std::vector<std::string> Stored() const;

 private:
  CheckpointStore(Options options, const Clock& clock) : options_(std::move(options)), clock_(clock) {}
  std::string PathOf(const std::string& vm_uid) const;
  void Prune();

  const Options options_;
  const Clock& clock_;
  mutable std::mutex mu_;  // the folder
};

}  // namespace whorl::agent
