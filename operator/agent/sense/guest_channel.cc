#include "operator/agent/sense/guest_channel.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "operator/agent/sense/pod_files.h"

namespace whorl::agent {
namespace {

constexpr Millis kTryAgain{10'000};
// Where the channel's socket is looked for, inside the launcher.
constexpr const char* kSockets[] = {"var/run/kubevirt-private/whorl-guest-telemetry.sock",
                                    "var/run/whorl/guest-telemetry.sock"};

}  // namespace

bool GuestChannel::Connect() {
  for (const auto* path : kSockets) {
    const auto found = OpenInPod(proc_root_, pid_, path, PodEntry::kSocket);
    if (!found) continue;
    Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!socket) return false;
    // By its descriptor: what the path leads to by now does not matter.
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const auto name = "/proc/self/fd/" + std::to_string(found->get());
    std::memcpy(address.sun_path, name.data(), name.size());
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return false;
    socket_ = std::move(socket);
    lines_.Restart();
    return true;
  }
  return false;
}

const GuestWindow* GuestChannel::Poll(Millis now) {
  if (!socket_) {
    if (now < next_try_) return nullptr;
    next_try_ = now + kTryAgain;
    if (!Connect()) return nullptr;
  }
  std::array<char, 4096> buffer;
  for (std::size_t taken = 0; taken < kMostBytes;) {
    const auto got = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (got <= 0) {  // QEMU has ended, or somebody else was first
      socket_ = Fd();
      break;
    }
    lines_.Take({buffer.data(), static_cast<std::size_t>(got)});
    taken += static_cast<std::size_t>(got);
  }
  return lines_.Window();
}

}  // namespace whorl::agent
