#pragma once

#include <cstdint>
#include <fstream>
#include <memory>
#include <string>

#include "core/base/result.h"
#include "core/base/time.h"
#include "core/replay/recording.h"

namespace whorl::controller {

// A node's recording on disk: one file from the first call to the engine to the
// last, written as it happens. What cannot be written ends the recording and
// nothing else. Belongs to the node's link.
class RecordingFile {
 public:
  struct Options {
    std::string folder;
    std::uint64_t most_bytes = std::uint64_t{256} << 20;  // then the recording ends
  };
  // Makes FOLDER/NODE-TIME.whorlrec; kUnavailable with path and reason when it cannot.
  static Result<std::unique_ptr<RecordingFile>> Begin(const Options& options, const std::string& node, Time now);

  Recorder& recorder() { return recorder_; }
  const std::string& path() const { return path_; }

 private:
  RecordingFile(std::string path, std::ofstream out, std::uint64_t most_bytes);
  void Write(std::string_view record);

  const std::string path_;
  std::ofstream out_;
  const std::uint64_t most_bytes_;
  std::uint64_t bytes_ = 0;
  bool ended_ = false;
  Recorder recorder_;  // last: it writes its head at once
};

}  // namespace whorl::controller
