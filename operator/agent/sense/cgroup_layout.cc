#include "operator/agent/sense/cgroup_layout.h"

#include <algorithm>
#include <optional>

namespace whorl::agent {
namespace {

bool Below(std::string_view path, std::string_view root) {
  while (root.size() > 1 && root.ends_with('/')) root.remove_suffix(1);
  return root == "/" || path == root || (path.starts_with(root) && path[root.size()] == '/');
}

bool Has(const CgroupMount& mount, std::string_view controller) {
  return std::find(mount.controllers.begin(), mount.controllers.end(), controller) != mount.controllers.end();
}

bool Names(std::string_view controllers, std::string_view wanted) {
  while (!controllers.empty()) {
    const auto comma = controllers.find(',');
    if (controllers.substr(0, comma) == wanted) return true;
    controllers.remove_prefix(comma == std::string_view::npos ? controllers.size() : comma + 1);
  }
  return false;
}

// The directory of a cgroup under a mount; empty when the mount does not show it.
std::string Under(const CgroupMount& mount, const std::string& path) {
  if (mount.mount_point.empty() || !Below(path, mount.root)) return {};
  return mount.mount_point + (mount.root == "/" ? path : path.substr(mount.root.size()));
}

const std::string* PathOf(const std::vector<CgroupMembership>& lines, std::string_view controller) {
  for (const auto& line : lines) {
    if (controller.empty() ? line.controllers.empty() : Names(line.controllers, controller)) return &line.path;
  }
  return nullptr;
}

// Without a "housekeeping" level that virt-handler adds for isolated emulator
// threads: vCPU threads stay one level above it.
std::string Leaf(std::string path) {
  constexpr std::string_view kHousekeeping = "/housekeeping";
  if (path.ends_with(kHousekeeping)) path.resize(path.size() - kHousekeeping.size());
  return path;
}

}  // namespace

Result<CgroupLayout> CgroupLayout::Detect(const std::vector<CgroupMount>& mounts, std::string_view root) {
  CgroupLayout layout;
  for (const auto& mount : mounts) {
    if (!Below(mount.mount_point, root)) continue;
    // A later mount on the same hierarchy lies over the earlier one.
    if (mount.v2) layout.v2_ = mount;
    if (Has(mount, "cpu")) layout.cpu_ = mount;
    if (Has(mount, "cpuacct")) layout.cpuacct_ = mount;
    if (Has(mount, "memory")) layout.memory_ = mount;
  }
  if (!layout.cpu_.mount_point.empty()) {
    layout.version_ = CgroupVersion::kV1;
  } else if (!layout.v2_.mount_point.empty()) {
    layout.version_ = CgroupVersion::kV2;
  } else {
    return Fail(Code::kUnsupported, "no cgroup file system with a cpu controller is mounted below " +
                                        std::string(root) +
                                        "; mount the host's /sys/fs/cgroup there or pass --cgroup-root");
  }
  return layout;
}

Result<VmDirs> CgroupLayout::Locate(std::string_view proc_cgroup) const {
  const auto lines = ParseProcCgroup(proc_cgroup);
  if (!lines) return Fail(lines.error());
  const auto* decisive = PathOf(*lines, version_ == CgroupVersion::kV1 ? "cpu" : "");
  if (decisive == nullptr) return Fail(Code::kNotFound, "the process is in no cpu hierarchy");
  const auto pod = FindPod(*decisive);
  if (!pod) return Fail(pod.error());

  VmDirs dirs;
  dirs.pod_uid = pod->pod_uid;
  // Each hierarchy by its own path: they agree on real nodes, but nothing demands it.
  const auto place = [&](std::string_view controller) -> std::optional<PodPath> {
    const auto* path = PathOf(*lines, controller);
    if (path == nullptr) return std::nullopt;
    auto found = FindPod(*path);
    if (!found || found->pod_uid != pod->pod_uid) return std::nullopt;
    return std::move(*found);
  };
  if (const auto v2 = place("")) {
    dirs.pod_v2 = Under(v2_, v2->pod);
    dirs.container_v2 = Under(v2_, v2->container);
    dirs.leaf_v2 = Under(v2_, Leaf(*PathOf(*lines, "")));
  }
  if (version_ == CgroupVersion::kV2) {
    dirs.pod_cpu = dirs.pod_v2;
    return dirs;
  }
  if (const auto cpu = place("cpu")) dirs.pod_cpu = Under(cpu_, cpu->pod);
  if (const auto cpuacct = place("cpuacct")) dirs.pod_cpuacct = Under(cpuacct_, cpuacct->pod);
  if (const auto memory = place("memory")) {
    dirs.container_memory = Under(memory_, memory->container);
    dirs.leaf_memory = Under(memory_, Leaf(*PathOf(*lines, "memory")));
  }
  return dirs;
}

Result<std::string> CgroupLayout::CountedDir(std::string_view proc_cgroup) const {
  const auto lines = ParseProcCgroup(proc_cgroup);
  if (!lines) return Fail(lines.error());
  const bool v2 = version_ == CgroupVersion::kV2;
  const auto* path = PathOf(*lines, v2 ? "" : "memory");
  auto dir = path == nullptr ? std::string{} : Under(v2 ? v2_ : memory_, *path);
  if (dir.empty()) return Fail(Code::kNotFound, "the process is in no cgroup that is mounted here");
  return dir;
}

}  // namespace whorl::agent
