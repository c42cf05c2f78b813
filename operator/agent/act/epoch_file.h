#pragma once

#include <cstdint>
#include <string>

#include "core/base/result.h"

namespace whorl::agent {

// The highest epoch this node has seen and the last plan of it, kept across
// restarts of the agent. Not thread-safe: belongs to the Holder.
class EpochFile {
 public:
  // A damaged file is set aside and `trouble` says so; the epoch starts at 0
  // again and the running leases still end by themselves.
  static EpochFile Open(const std::string& state_dir, std::string& trouble);

  std::uint64_t epoch() const { return epoch_; }
  std::uint64_t sequence() const { return sequence_; }
  Status Advance(std::uint64_t epoch, std::uint64_t sequence);

 private:
  explicit EpochFile(std::string path) : path_(std::move(path)) {}
  std::string path_;
  std::uint64_t epoch_ = 0;
  std::uint64_t sequence_ = 0;
};

}  // namespace whorl::agent
