#include "operator/agent/sense/finder.h"

#include <dirent.h>
#include <fcntl.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <memory>
#include <optional>

#include "operator/agent/sense/text_file.h"

namespace whorl::agent {
namespace {

struct CloseDir {
  void operator()(DIR* dir) const { ::closedir(dir); }
};

std::optional<int> PidOf(std::string_view name) {
  int pid = 0;
  const auto [end, code] = std::from_chars(name.data(), name.data() + name.size(), pid);
  if (code != std::errc{} || end != name.data() + name.size() || pid <= 0) return std::nullopt;
  return pid;
}

}  // namespace

VmFinder::VmFinder(std::string proc_root, CgroupLayout layout)
    : proc_root_(std::move(proc_root)), layout_(std::move(layout)) {}

Result<std::vector<VmPlace>> VmFinder::Scan() const {
  const std::unique_ptr<DIR, CloseDir> proc(::opendir(proc_root_.c_str()));
  if (!proc) return Fail(ErrorFromErrno(errno, proc_root_));
  std::vector<VmPlace> places;
  std::array<char, 16384> buffer;
  while (const dirent* entry = ::readdir(proc.get())) {  // NOLINT(concurrency-mt-unsafe): a stream of our own
    const auto pid = PidOf(entry->d_name);
    if (!pid) continue;
    const std::string name = entry->d_name;
    const auto read = [&](const char* file) -> Result<std::string_view> {
      const auto opened = TextFile::OpenAt(::dirfd(proc.get()), name + file);
      if (!opened) return Fail(opened.error());
      return opened->Read(buffer);
    };
    const auto comm = read("/comm");
    if (!comm || !IsQemu(*comm)) continue;
    VmPlace place;
    place.pid = *pid;
    if (const auto stat = read("/stat")) place.start_ticks = ParseStartTicks(*stat).value_or(0);
    const auto cgroup = read("/cgroup");
    if (!cgroup) continue;
    auto dirs = layout_.Locate(*cgroup);
    // A QEMU outside any pod is none of ours; one behind a cgroup namespace is
    // one that nobody could ever see, so that is said instead of hidden.
    if (!dirs && dirs.error().code == Code::kUnsupported) return Fail(dirs.error().In("qemu pid " + name));
    if (!dirs || place.start_ticks == 0) continue;
    place.dirs = std::move(*dirs);
    places.push_back(std::move(place));
  }
  return places;
}

bool VmFinder::Runs(const VmPlace& place) const {
  std::array<char, 4096> buffer;
  const auto file = TextFile::Open(proc_root_ + "/" + std::to_string(place.pid) + "/stat");
  if (!file) return false;
  const auto stat = file->Read(buffer);
  return stat && ParseStartTicks(*stat) == place.start_ticks && stat->find(") Z ") == std::string_view::npos;
}

const VmPlace* FindVm(const std::vector<VmPlace>& places, std::string_view pod_uid) {
  const VmPlace* best = nullptr;
  for (const auto& place : places) {
    if (place.dirs.pod_uid != pod_uid) continue;
    if (best == nullptr || place.start_ticks > best->start_ticks) best = &place;
  }
  return best;
}

}  // namespace whorl::agent
