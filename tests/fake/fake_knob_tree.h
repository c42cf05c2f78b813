#pragma once

#include <cerrno>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "operator/agent/act/knob_tree.h"

namespace whorl::fake {

// Cgroup directories in memory. Can fail: writes that are refused, writes that
// have no effect, directories that vanish or are made anew. Not thread-safe.
class FakeKnobTree : public agent::KnobTree {
 public:
  using Files = std::map<std::string, std::string>;
  explicit FakeKnobTree(std::map<std::string, Files> dirs) {
    for (auto& [dir, files] : dirs) Add(dir, std::move(files));
  }

  void Add(const std::string& dir, Files files) { dirs_[dir] = {next_inode_++, std::move(files)}; }
  void Remove(const std::string& dir) { dirs_.erase(dir); }
  // The same directory in another life.
  void Recreate(const std::string& dir) { dirs_.at(dir).inode = next_inode_++; }
  // Somebody else writes.
  void Set(const std::string& dir, const std::string& file, const std::string& text) {
    dirs_.at(dir).files.at(file) = text;
  }

  // `path` is dir/file. The next write to it is refused with this error.
  void FailNextWrite(const std::string& path, int error) { failing_[path] = error; }
  // From the next write to it on, nothing of it comes back any more: neither the
  // write, which takes effect, nor any read.
  void HangFromNextWrite(const std::string& path) { hanging_[path] = false; }
  // The next write to it succeeds and changes nothing.
  void IgnoreNextWrite(const std::string& path) { ignoring_[path] = true; }
  // Called after each write that took effect.
  void OnWrite(std::function<void()> look) { look_ = std::move(look); }

  std::string Text(const std::string& path) const {
    const auto slash = path.rfind('/');
    return dirs_.at(path.substr(0, slash)).files.at(path.substr(slash + 1));
  }
  const std::vector<std::string>& writes() const { return writes_; }

  Result<std::string> Read(const std::string& dir, std::string_view file) const override {
    const auto found = dirs_.find(dir);
    if (found == dirs_.end()) return Fail(Code::kNotFound, dir + ": no such directory");
    const auto text = found->second.files.find(std::string(file));
    if (text == found->second.files.end())
      return Fail(Code::kNotFound, dir + "/" + std::string(file) + ": no such file");
    if (const auto hangs = hanging_.find(dir + "/" + std::string(file)); hangs != hanging_.end() && hangs->second)
      return Fail(Code::kUnavailable, hangs->first + ": no answer");
    return text->second;
  }

  Status Write(const std::string& dir, std::string_view file, std::string_view text) override {
    const std::string path = dir + "/" + std::string(file);
    if (auto failing = failing_.find(path); failing != failing_.end()) {
      const int error = failing->second;
      failing_.erase(failing);
      if (error == ENODEV) return Fail(Code::kGone, path + ": no such device");
      return Fail(error == EINVAL ? Code::kInvalid : Code::kUnavailable, path + ": refused by the test");
    }
    if (auto seen = Read(dir, file); !seen) return Fail(seen.error());
    writes_.push_back(path + "=" + std::string(text));
    if (ignoring_.erase(path) == 0) dirs_.at(dir).files.at(std::string(file)) = text;
    if (auto hangs = hanging_.find(path); hangs != hanging_.end()) {
      hangs->second = true;
      return Fail(Code::kUnavailable, path + ": no answer");
    }
    if (look_) look_();
    return {};
  }

  Result<std::uint64_t> Inode(const std::string& dir) const override {
    const auto found = dirs_.find(dir);
    if (found == dirs_.end()) return Fail(Code::kNotFound, dir + ": no such directory");
    return found->second.inode;
  }

 private:
  struct Dir {
    std::uint64_t inode = 0;
    Files files;
  };
  std::uint64_t next_inode_ = 100;
  std::map<std::string, Dir> dirs_;
  std::map<std::string, int> failing_;
  std::map<std::string, bool> ignoring_;
  std::map<std::string, bool> hanging_;  // true once it does
  std::function<void()> look_;
  std::vector<std::string> writes_;
};

}  // namespace whorl::fake
