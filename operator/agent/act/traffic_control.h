#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "core/base/result.h"
#include "core/base/time.h"

struct nl_msg;
struct nl_sock;

namespace whorl::agent {

// Links and traffic control of one network namespace, as the kernel tells them
// (rtnetlink, by libnl). Handles are the kernel's: 0x57480000 is tc's 5748:.

struct NetLink {
  int index = 0;
  std::string name;
  std::string kind;  // "tun" of a tap too, "ifb", "veth"; empty of a device without one
  std::uint32_t mtu = 0;
};

struct Qdisc {
  int link = 0;
  std::uint32_t handle = 0;  // 0 of those that the kernel attaches by itself
  std::uint32_t parent = 0;
  std::string kind;
  std::uint64_t bytes_per_second = 0;  // of a tbf
  std::uint32_t limit = 0;             // packets, of a pfifo
};

// One message about a filter; a u32 filter is three: itself, its table, its node.
struct Filter {
  std::string kind;
  std::uint16_t priority = 0;
  bool redirects = false;  // has a mirred action
  int redirected_to = 0;   // link index; 0 when that link is gone
};

struct TokenBucket {
  std::uint64_t bytes_per_second = 0;
  std::uint32_t burst = 0;  // bytes
  std::uint32_t queue = 0;  // bytes that wait for tokens; what is over is dropped
};

enum class Present { kMustNotBe, kChange, kReplace };

// One request to the kernel, with what the kernel needs for it.
class NetRequest {
 public:
  // An IFB with this index, up.
  static NetRequest AddIfb(int index, const std::string& name);
  static NetRequest RemoveLink(int index);
  // The root qdisc of a link. kChange keeps the packets that wait.
  static NetRequest SetTokenBucket(int link, std::uint32_t handle, const TokenBucket& bucket, Present present);
  // A queue without room: drops everything.
  static NetRequest SetDropAll(int link, std::uint32_t handle, Present present);
  // handle: removed only if that one stands there.
  static NetRequest RemoveRoot(int link, std::uint32_t handle);
  static NetRequest AddIngress(int link);
  static NetRequest RemoveIngress(int link);
  // Everything that arrives on `link` is sent on `to` instead.
  static NetRequest Redirect(int link, int to, std::uint16_t priority);

 private:
  friend class TrafficControl;
  struct Free {
    void operator()(nl_msg* message) const;
  };
  NetRequest(int type, int flags, const char* needs);
  static NetRequest GetLinks(int flags, const std::string& name);
  void Put(int attribute, const void* data, std::size_t size);
  void Put(int attribute, const std::string& text);
  template <typename Body>
  void Nest(int attribute, Body&& body);

  std::unique_ptr<nl_msg, Free> message_;
  std::string needs_;  // "TBF (CONFIG_NET_SCH_TBF)"; empty when it creates nothing
  bool whole_ = true;  // everything found room in the message
};

// A netlink socket of one namespace. Keeps that namespace alive: to be closed
// when its pod is gone. Not thread-safe.
class TrafficControl {
 public:
  // Opens the socket in the namespace behind `fd` (/proc/<pid>/ns/net); the
  // calling thread stays where it is. kUnauthorized without CAP_SYS_ADMIN.
  static Result<TrafficControl> Enter(int fd);
  // In a new, empty namespace that lives as long as the socket.
  static Result<TrafficControl> Scratch();

  Result<std::vector<NetLink>> Links();
  // One link; nullopt: there is none.
  Result<std::optional<NetLink>> Link(const std::string& name);
  // The same without its kind, a tenth of the time: by ioctl.
  std::optional<NetLink> Glance(const std::string& name) const;
  // "" when there is none.
  std::string NameOf(int index) const;
  Result<std::vector<Qdisc>> Qdiscs();
  // What classifies the packets that arrive on `link`.
  Result<std::vector<Filter>> IngressFilters(int link);

  // Sends the requests in one piece, so that no signal, not even SIGKILL, comes
  // between two of them: the kernel handles all before it returns. A failed one
  // does not stop those after it. One outcome each: kUnsupported names what the
  // kernel lacks, kConflict: something of that name stands there already. A link
  // that was removed is gone on return, though the kernel still tidies up after it.
  std::vector<Status> Send(std::vector<NetRequest> requests);

 private:
  struct Close {
    void operator()(nl_sock* socket) const;
  };
  struct Answers;
  static Result<TrafficControl> OpenOnAThread(const std::function<int()>& enter, const char* what);
  explicit TrafficControl(nl_sock* socket) : socket_(socket) {}
  bool SendAside(std::vector<char> bytes);
  Status Ask(NetRequest request, const std::function<void(nl_msg*)>& each);

  std::unique_ptr<nl_sock, Close> socket_;
  std::jthread sender_;  // still in the kernel with a removal; ends before the socket does
};

}  // namespace whorl::agent
