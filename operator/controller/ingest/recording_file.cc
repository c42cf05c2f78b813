#include "operator/controller/ingest/recording_file.h"

#include <spdlog/spdlog.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace whorl::controller {

Result<std::unique_ptr<RecordingFile>> RecordingFile::Begin(const Options& options, const std::string& node, Time now) {
  const std::string path = options.folder + "/" + node + "-" + std::to_string(ToUnixMillis(now)) + ".whorlrec";
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  if (!out) return Fail(Code::kUnavailable, "recording " + path + ": " + std::strerror(errno));
  return std::unique_ptr<RecordingFile>(new RecordingFile(path, std::move(out), options.most_bytes));
}

RecordingFile::RecordingFile(std::string path, std::ofstream out, std::uint64_t most_bytes)
    : path_(std::move(path)),
      out_(std::move(out)),
      most_bytes_(most_bytes),
      recorder_([this](std::string_view record) { Write(record); }) {}

// Whole records only, so that a recording that ended here is whole.
void RecordingFile::Write(std::string_view record) {
  if (ended_) return;
  if (bytes_ + record.size() > most_bytes_) {
    ended_ = true;
    spdlog::warn("recording {} ends: it holds the {} MiB it may; restart with another folder to go on", path_,
                 most_bytes_ >> 20);
    return;
  }
  out_.write(record.data(), static_cast<std::streamsize>(record.size()));
  out_.flush();
  if (!out_) {
    ended_ = true;
    spdlog::warn("recording {} ends: {}", path_, std::strerror(errno));
    return;
  }
  bytes_ += record.size();
}

}  // namespace whorl::controller
