#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/base/time.h"

namespace whorl::agent {

// One knob that is held: how it was found and what was put there.
struct JournalKnob {
  std::string file;    // name inside the pod's cgroup directory
  std::string found;   // to be written back, byte for byte
  std::string wrote;   // read back after the last write; empty = never completed
  std::string intent;  // about to be written, or written and not yet read back

  friend bool operator==(const JournalKnob&, const JournalKnob&) = default;
};

// Everything held on one pod: enough to undo it without knowing who did it.
struct JournalEntry {
  std::string pod_uid;
  std::string dir;          // of the pod's cgroup, relative to the cgroup root
  std::uint64_t inode = 0;  // of that directory: another life is another inode
  Millis expires{0};        // CLOCK_BOOTTIME, the same for every process of the node
  std::vector<JournalKnob> knobs;

  friend bool operator==(const JournalEntry&, const JournalEntry&) = default;
};

// Text form: one line per fact, each with its own checksum, so that damage to
// one line leaves the others usable.
std::string FormatEntry(const JournalEntry& entry);
struct ParsedEntry {
  JournalEntry entry;               // with the knobs whose lines are whole
  std::vector<std::string> damage;  // one sentence per line that is not
};
// kCorrupt when pod and directory cannot be known: then nothing can be restored.
Result<ParsedEntry> ParseEntry(std::string_view text);

// The inverse of every write, as one file per pod in `state_dir`/journal. On a
// tmpfs: a reboot removes the cgroups too, so no fsync is owed. Shared by agent
// and restorer; every change, of the files or of the cgroups they speak of,
// happens under Lock().
class Journal {
 public:
  // Creates the folder, for root only.
  static Result<Journal> Open(const std::string& state_dir);

  // Held as long as it lives, across processes. Waits for the other.
  class Guard {
   public:
    explicit Guard(int fd) : fd_(fd) {}
    Guard(Guard&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
    Guard& operator=(Guard&&) = delete;
    ~Guard();

   private:
    int fd_;
  };
  Result<Guard> Lock() const;

  // Replaces the pod's entry at once or not at all.
  Status Put(const JournalEntry& entry) const;
  Status Drop(const std::string& pod_uid) const;
  bool Has(const std::string& pod_uid) const;
  std::optional<JournalEntry> Find(const std::string& pod_uid) const;

  struct Contents {
    std::vector<JournalEntry> entries;
    std::vector<std::string> damage;  // what was wrong, and where it lies now
  };
  // Damaged files are set aside as <name>.corrupt-N; what of them is whole is
  // put back under the old name and returned with the rest.
  Result<Contents> Load() const;

 private:
  explicit Journal(std::string dir) : dir_(std::move(dir)) {}
  std::string PathOf(const std::string& pod_uid) const;

  std::string dir_;
};

// Writes `text` to `path` by a new file and a rename, mode 0600.
Status ReplaceFile(const std::string& path, std::string_view text);

// CLOCK_BOOTTIME.
Millis BootTime();

}  // namespace whorl::agent
