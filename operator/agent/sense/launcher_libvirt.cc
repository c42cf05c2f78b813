#include "operator/agent/sense/launcher_libvirt.h"

#include <dirent.h>
#include <fcntl.h>
#include <libvirt/virterror.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <chrono>
#include <cstdlib>
#include <mutex>

#include "core/base/time.h"
#include "operator/agent/sense/parse.h"
#include "operator/agent/sense/pod_files.h"

namespace whorl::agent {
namespace {

constexpr Millis kRefusedAtOnce{1000};

// Where KubeVirt's launchers, and launchers with a session libvirtd, keep it.
constexpr const char* kFolders[] = {"var/run/libvirt", "var/run/libvirt/libvirt"};
constexpr const char* kSockets[] = {"virtqemud-sock", "libvirt-sock"};

struct FoundSocket {
  Fd folder;
  std::string name;
  std::string path;  // inside the pod
};

Result<FoundSocket> OpenSocketFolder(const std::string& proc_root, int pid) {
  for (const auto* folder : kFolders) {
    auto dir = OpenInPod(proc_root, pid, folder, PodEntry::kFolder);
    if (!dir && dir.error().code == Code::kUnauthorized) return Fail(dir.error());
    if (!dir) continue;
    for (const auto* name : kSockets) {
      struct stat info{};
      if (::fstatat(dir->get(), name, &info, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISSOCK(info.st_mode)) continue;
      return FoundSocket{std::move(*dir), name, "/" + std::string(folder) + "/" + name};
    }
  }
  return Fail(Code::kUnavailable,
              "no libvirt socket (virtqemud-sock or libvirt-sock) in the launcher's /var/run/libvirt");
}

}  // namespace

void PrepareLibvirt() {
  static std::once_flag once;
  std::call_once(once, [] {
    ::setenv("LIBVIRT_AUTOSTART", "0", 1);  // NOLINT(concurrency-mt-unsafe): before anybody asks libvirt
    virInitialize();
    virSetErrorFunc(nullptr, [](void*, virErrorPtr) {});
    // A connect() that waits for a full backlog ends with EINTR.
    struct sigaction action{};
    action.sa_handler = [](int) {};
    ::sigaction(SIGUSR1, &action, nullptr);
  });
}

std::string LibvirtSays() {
  const auto* error = virGetLastError();
  return error != nullptr && error->message != nullptr ? error->message : "no reason given";
}

Result<LauncherLibvirt> LauncherLibvirt::Open(const std::string& proc_root, int pid) {
  auto socket = OpenSocketFolder(proc_root, pid);
  if (!socket) return Fail(socket.error());
  // Neither by its path on the host, which is longer than an address may be, nor by a
  // path through the pod's root, which a link inside it could lead elsewhere.
  const std::string path = "?socket=/proc/self/fd/" + std::to_string(socket->folder.get()) + "/" + socket->name;
  const auto start = std::chrono::steady_clock::now();
  auto* connection = virConnectOpen(("qemu+unix:///session" + path).c_str());
  // A launcher that runs as root refuses that at once and offers the system driver.
  if (connection == nullptr && std::chrono::steady_clock::now() - start < kRefusedAtOnce)
    connection = virConnectOpen(("qemu+unix:///system" + path).c_str());
  if (connection == nullptr) {
    return Fail(Code::kUnavailable, "libvirt at " + socket->path + " in the launcher: " + LibvirtSays());
  }
  return LauncherLibvirt(std::move(socket->folder), std::move(socket->path), connection);
}

LauncherLibvirt::~LauncherLibvirt() {
  if (connection_ != nullptr) virConnectClose(connection_);
}

Result<std::string> FindLibvirtSocket(const std::string& proc_root, int pid) {
  auto socket = OpenSocketFolder(proc_root, pid);
  if (!socket) return Fail(socket.error());
  return std::move(socket->path);
}

void CutConnectionsTo(const std::function<bool(int pid)>& theirs) {
  DIR* dir = ::opendir("/proc/self/fd");
  if (dir == nullptr) return;
  while (const dirent* entry = ::readdir(dir)) {  // NOLINT(concurrency-mt-unsafe): a stream of our own
    const auto fd = ParseCounter(entry->d_name);
    if (!fd) continue;
    ucred peer{};
    socklen_t size = sizeof(peer);
    const int number = static_cast<int>(*fd);
    if (::getsockopt(number, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.pid <= 0) continue;
    if (theirs(peer.pid)) ::shutdown(number, SHUT_RDWR);
  }
  ::closedir(dir);
}

}  // namespace whorl::agent
