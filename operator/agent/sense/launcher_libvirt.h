#pragma once

#include <libvirt/libvirt.h>

#include <functional>
#include <string>
#include <utility>

#include "core/base/result.h"
#include "operator/agent/sense/text_file.h"

namespace whorl::agent {

// Readies libvirt's library for this process: it never starts a daemon of its own
// where a pod's is missing, never prints, and a thread that waits in connect() can
// be woken by SIGUSR1. Thread-safe; only the first call does anything.
void PrepareLibvirt();

// What libvirt said when the last call of this thread failed.
std::string LibvirtSays();

// A connection to the libvirt inside one launcher pod. Opening, asking and closing
// can block for as long as the other end likes: do it on a thread that nobody waits
// for. One thread at a time. Movable, not copyable.
class LauncherLibvirt {
 public:
  // By the socket in the file system of a process of the pod. kUnavailable says
  // which socket is missing or what libvirt said.
  static Result<LauncherLibvirt> Open(const std::string& proc_root, int pid);
  LauncherLibvirt(LauncherLibvirt&& other) noexcept
      : folder_(std::move(other.folder_)),
        socket_(std::move(other.socket_)),
        connection_(std::exchange(other.connection_, nullptr)) {}
  LauncherLibvirt& operator=(LauncherLibvirt&&) = delete;
  ~LauncherLibvirt();

  virConnectPtr get() const { return connection_; }
  const std::string& socket() const { return socket_; }  // its path inside the pod

 private:
  LauncherLibvirt(Fd folder, std::string socket, virConnectPtr connection)
      : folder_(std::move(folder)), socket_(std::move(socket)), connection_(connection) {}

  Fd folder_;
  std::string socket_;
  virConnectPtr connection_;
};

// Whether a launcher's libvirt can be reached, for `probe`: the socket's path
// inside the pod, or what is missing.
Result<std::string> FindLibvirtSocket(const std::string& proc_root, int pid);

// Cuts every Unix connection of this process whose other end is a process for which
// `theirs` is true: whoever waits for an answer on one gets an error at once.
void CutConnectionsTo(const std::function<bool(int pid)>& theirs);

}  // namespace whorl::agent
