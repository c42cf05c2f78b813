#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/result.h"

namespace whorl::agent {

// The knobs of cgroups, as files in directories. Directories are absolute
// paths of this node. Implementations are thread-safe.
class CgroupTree {
 public:
  virtual ~CgroupTree() = default;
  // The file's text without its final newline. kNotFound, kGone.
  virtual Result<std::string> Read(const std::string& dir, std::string_view file) const = 0;
  virtual Status Write(const std::string& dir, std::string_view file, std::string_view text) = 0;
  // Names one life of a directory. kNotFound when there is none.
  virtual Result<std::uint64_t> Inode(const std::string& dir) const = 0;
};

// The kernel's.
class KernelCgroupTree : public CgroupTree {
 public:
  Result<std::string> Read(const std::string& dir, std::string_view file) const override;
  Status Write(const std::string& dir, std::string_view file, std::string_view text) override;
  Result<std::uint64_t> Inode(const std::string& dir) const override;
};

}  // namespace whorl::agent
