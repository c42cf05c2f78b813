#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "core/base/result.h"
#include "core/base/time.h"

namespace whorl::controller {

// A baseline on its way to a node and back.
struct SavedBaseline {
  std::string blob;  // the engine's
  Time saved{};
  bool learnt = false;  // learning had ended; else it is a beginning

  // What is learnt is worth more than a beginning, of equals the newer is.
  using Rank = std::pair<bool, Time>;
  Rank rank() const { return {learnt, saved}; }
};

// Seals baselines before a node keeps them, so that whoever owns the node can
// lose or withhold one, or bring back one of the same VM that we wrote earlier,
// but not make one up, change one, or pass one VM's off as another's.
// HMAC-SHA256 (RFC 2104) over version, VM uid, rank and blob. Immutable.
class CheckpointSeal {
 public:
  // The key is what stands in the file, without white space at its end; all
  // replicas share it. kNotFound and kInvalid (below 32 bytes) say what to do.
  static Result<CheckpointSeal> FromFile(const std::string& path);
  explicit CheckpointSeal(std::string key) : key_(std::move(key)) {}

  std::string Seal(std::string_view vm_uid, const SavedBaseline& saved) const;
  // kUnsupported: of another version. kCorrupt: cut short, changed, of another
  // VM, or sealed with another key; which of them cannot be told.
  Result<SavedBaseline> Open(std::string_view vm_uid, std::string_view sealed) const;

 private:
  std::string Mac(std::string_view vm_uid, std::string_view body) const;

  std::string key_;
};

}  // namespace whorl::controller
