#include "operator/agent/act/traffic_control.h"

#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>
#include <net/if.h>
#include <netlink/attr.h>
#include <netlink/handlers.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <limits>
#include <optional>
#include <system_error>
#include <thread>

namespace whorl::agent {
namespace {

constexpr std::uint32_t kIngressHandle = 0xffff0000;  // the kernel gives it no other
constexpr int kDumpTries = 5;
constexpr Millis kPatience{5000};  // for a link to go
constexpr std::size_t kLargestDatagram = 32768;

struct FreeCallbacks {
  void operator()(nl_cb* callbacks) const { nl_cb_put(callbacks); }
};
using Callbacks = std::unique_ptr<nl_cb, FreeCallbacks>;

std::string Words(int error) { return std::generic_category().message(error); }

// An attribute of fixed size; nullopt when it is missing or too short.
template <typename T>
std::optional<T> Get(const nlattr* attribute) {
  if (attribute == nullptr || nla_len(attribute) < static_cast<int>(sizeof(T))) return std::nullopt;
  T value;
  std::memcpy(&value, nla_data(attribute), sizeof(T));
  return value;
}

std::string GetText(const nlattr* attribute) {
  if (attribute == nullptr || nla_len(attribute) <= 0) return {};
  const auto* text = static_cast<const char*>(nla_data(attribute));
  return {text, ::strnlen(text, static_cast<std::size_t>(nla_len(attribute)))};
}

// Attributes by number, those of a message or nested in another.
template <int kMost>
class Attributes {
 public:
  Attributes(nl_msg* message, std::size_t header) {
    if (nlmsg_parse(nlmsg_hdr(message), static_cast<int>(header), list_.data(), kMost, nullptr) < 0) list_ = {};
  }
  explicit Attributes(nlattr* parent) {
    if (parent == nullptr || nla_parse_nested(list_.data(), kMost, parent, nullptr) < 0) list_ = {};
  }
  nlattr* operator[](int number) const { return list_.at(static_cast<std::size_t>(number)); }

 private:
  std::array<nlattr*, kMost + 1> list_{};
};

// The fixed part in front of a message's attributes.
template <typename Header>
Header HeaderOf(nl_msg* message) {
  Header header{};
  if (nlmsg_datalen(nlmsg_hdr(message)) >= static_cast<int>(sizeof(Header))) {
    std::memcpy(&header, nlmsg_data(nlmsg_hdr(message)), sizeof(Header));
  }
  return header;
}

NetLink ToLink(nl_msg* message) {
  const Attributes<IFLA_MAX> attributes(message, sizeof(ifinfomsg));
  const Attributes<IFLA_INFO_MAX> info(attributes[IFLA_LINKINFO]);
  return {HeaderOf<ifinfomsg>(message).ifi_index, GetText(attributes[IFLA_IFNAME]), GetText(info[IFLA_INFO_KIND]),
          Get<std::uint32_t>(attributes[IFLA_MTU]).value_or(0)};
}

Qdisc ToQdisc(nl_msg* message) {
  const auto header = HeaderOf<tcmsg>(message);
  const Attributes<TCA_MAX> attributes(message, sizeof(tcmsg));
  Qdisc qdisc{header.tcm_ifindex, header.tcm_handle, header.tcm_parent, GetText(attributes[TCA_KIND]), 0, 0};
  if (qdisc.kind == "tbf") {
    const Attributes<TCA_TBF_MAX> options(attributes[TCA_OPTIONS]);
    if (const auto parms = Get<tc_tbf_qopt>(options[TCA_TBF_PARMS])) qdisc.bytes_per_second = parms->rate.rate;
    // Beyond 32 bits, where the field above holds its largest value.
    if (const auto rate = Get<std::uint64_t>(options[TCA_TBF_RATE64])) qdisc.bytes_per_second = *rate;
  } else if (qdisc.kind == "pfifo") {
    if (const auto options = Get<tc_fifo_qopt>(attributes[TCA_OPTIONS])) qdisc.limit = options->limit;
  }
  return qdisc;
}

Filter ToFilter(nl_msg* message) {
  const auto header = HeaderOf<tcmsg>(message);
  const Attributes<TCA_MAX> attributes(message, sizeof(tcmsg));
  Filter filter{GetText(attributes[TCA_KIND]), static_cast<std::uint16_t>(TC_H_MAJ(header.tcm_info) >> 16), false, 0};
  if (filter.kind != "u32") return filter;
  const Attributes<TCA_U32_MAX> options(attributes[TCA_OPTIONS]);
  const Attributes<1> actions(options[TCA_U32_ACT]);  // more than one is not ours
  const Attributes<TCA_ACT_MAX> action(actions[1]);
  if (GetText(action[TCA_ACT_KIND]) != "mirred") return filter;
  const Attributes<TCA_MIRRED_MAX> mirred(action[TCA_ACT_OPTIONS]);
  if (const auto parms = Get<tc_mirred>(mirred[TCA_MIRRED_PARMS]); parms && parms->eaction == TCA_EGRESS_REDIR) {
    filter.redirects = true;
    filter.redirected_to = static_cast<int>(parms->ifindex);
  }
  return filter;
}

// The kernel's own sentence about a refused request (NETLINK_EXT_ACK), or "".
std::string ExtendedAck(const nlmsgerr* error) {
  // With NETLINK_CAP_ACK attributes follow at once; the header stands in front.
  const auto* header = reinterpret_cast<const nlmsghdr*>(reinterpret_cast<const char*>(error) - NLMSG_HDRLEN);
  constexpr std::size_t kFixed = NLMSG_HDRLEN + sizeof(nlmsgerr);
  if ((header->nlmsg_flags & NLM_F_ACK_TLVS) == 0 || (header->nlmsg_flags & NLM_F_CAPPED) == 0) return {};
  if (header->nlmsg_len <= kFixed) return {};
  return GetText(nla_find(reinterpret_cast<const nlattr*>(error + 1), static_cast<int>(header->nlmsg_len - kFixed),
                          NLMSGERR_ATTR_MSG));
}

struct Refusal {
  int error = 0;
  std::string text;
};

Error ToError(const Refusal& refusal, const std::string& needs) {
  const auto words = refusal.text.empty() ? Words(refusal.error) : refusal.text;
  switch (refusal.error) {
    case ENOENT:
    case EOPNOTSUPP:
      if (!needs.empty()) return {Code::kUnsupported, "no " + needs + " in this kernel: " + words};
      return {Code::kGone, words};
    case ENODEV: return {Code::kGone, "the interface is gone: " + words};
    case EPERM: return {Code::kUnauthorized, words + "; traffic control needs CAP_NET_ADMIN"};
    case EEXIST: return {Code::kConflict, "somebody else set it meanwhile: " + words};
    case EINVAL: return {Code::kInvalid, words};
    default: return {Code::kUnavailable, words};
  }
}

}  // namespace

// --- Requests ----------------------------------------------------------------

void NetRequest::Free::operator()(nl_msg* message) const { nlmsg_free(message); }

NetRequest::NetRequest(int type, int flags, const char* needs)
    : message_(nlmsg_alloc_simple(type, flags)), needs_(needs), whole_(message_ != nullptr) {}

void NetRequest::Put(int attribute, const void* data, std::size_t size) {
  whole_ = whole_ && nla_put(message_.get(), attribute, static_cast<int>(size), data) == 0;
}

void NetRequest::Put(int attribute, const std::string& text) { Put(attribute, text.c_str(), text.size() + 1); }

template <typename Body>
void NetRequest::Nest(int attribute, Body&& body) {
  nlattr* const start = whole_ ? nla_nest_start(message_.get(), attribute) : nullptr;
  whole_ = start != nullptr;
  if (!whole_) return;
  body();
  nla_nest_end(message_.get(), start);
}

namespace {

template <typename Header>
bool Append(nl_msg* message, const Header& header) {
  return message != nullptr && nlmsg_append(message, const_cast<Header*>(&header), sizeof(header), NLMSG_ALIGNTO) == 0;
}

tcmsg TcHeader(int link, std::uint32_t parent, std::uint32_t handle) {
  tcmsg header{};
  header.tcm_family = AF_UNSPEC;
  header.tcm_ifindex = link;
  header.tcm_parent = parent;
  header.tcm_handle = handle;
  return header;
}

int RootFlags(Present present) {
  switch (present) {
    case Present::kMustNotBe: return NLM_F_CREATE | NLM_F_EXCL;
    case Present::kReplace: return NLM_F_CREATE | NLM_F_REPLACE;
    case Present::kChange: break;
  }
  return 0;
}

}  // namespace

NetRequest NetRequest::AddIfb(int index, const std::string& name) {
  NetRequest request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, "IFB (CONFIG_IFB)");
  ifinfomsg header{};
  header.ifi_family = AF_UNSPEC;
  header.ifi_index = index;
  header.ifi_flags = IFF_UP;
  header.ifi_change = IFF_UP;
  request.whole_ = Append(request.message_.get(), header);
  request.Put(IFLA_IFNAME, name);
  request.Nest(IFLA_LINKINFO, [&] { request.Put(IFLA_INFO_KIND, "ifb"); });
  return request;
}

NetRequest NetRequest::RemoveLink(int index) {
  NetRequest request(RTM_DELLINK, NLM_F_ECHO, "");
  ifinfomsg header{};
  header.ifi_family = AF_UNSPEC;
  header.ifi_index = index;
  request.whole_ = Append(request.message_.get(), header);
  return request;
}

NetRequest NetRequest::SetTokenBucket(int link, std::uint32_t handle, const TokenBucket& bucket, Present present) {
  NetRequest request(RTM_NEWQDISC, RootFlags(present), "TBF (CONFIG_NET_SCH_TBF)");
  request.whole_ = Append(request.message_.get(), TcHeader(link, TC_H_ROOT, handle));
  request.Put(TCA_KIND, "tbf");
  request.Nest(TCA_OPTIONS, [&] {
    tc_tbf_qopt parms{};
    constexpr std::uint64_t kField = std::numeric_limits<std::uint32_t>::max();
    parms.rate.rate = static_cast<std::uint32_t>(std::min(bucket.bytes_per_second, kField));
    parms.rate.linklayer = TC_LINKLAYER_ETHERNET;  // else the kernel wants a rate table
    parms.limit = bucket.queue;
    request.Put(TCA_TBF_PARMS, &parms, sizeof(parms));
    request.Put(TCA_TBF_BURST, &bucket.burst, sizeof(bucket.burst));
    if (bucket.bytes_per_second > kField) {
      request.Put(TCA_TBF_RATE64, &bucket.bytes_per_second, sizeof(bucket.bytes_per_second));
    }
  });
  return request;
}

NetRequest NetRequest::SetDropAll(int link, std::uint32_t handle, Present present) {
  NetRequest request(RTM_NEWQDISC, RootFlags(present), "pfifo (CONFIG_NET_SCHED)");
  request.whole_ = Append(request.message_.get(), TcHeader(link, TC_H_ROOT, handle));
  request.Put(TCA_KIND, "pfifo");
  const tc_fifo_qopt options{.limit = 0};
  request.Put(TCA_OPTIONS, &options, sizeof(options));
  return request;
}

NetRequest NetRequest::RemoveRoot(int link, std::uint32_t handle) {
  NetRequest request(RTM_DELQDISC, 0, "");
  request.whole_ = Append(request.message_.get(), TcHeader(link, TC_H_ROOT, handle));
  return request;
}

NetRequest NetRequest::AddIngress(int link) {
  NetRequest request(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, "ingress qdisc (CONFIG_NET_SCH_INGRESS)");
  request.whole_ = Append(request.message_.get(), TcHeader(link, TC_H_INGRESS, kIngressHandle));
  request.Put(TCA_KIND, "ingress");
  return request;
}

NetRequest NetRequest::RemoveIngress(int link) {
  NetRequest request(RTM_DELQDISC, 0, "");
  request.whole_ = Append(request.message_.get(), TcHeader(link, TC_H_INGRESS, kIngressHandle));
  return request;
}

NetRequest NetRequest::Redirect(int link, int to, std::uint16_t priority) {
  NetRequest request(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL,
                     "u32 classifier (CONFIG_NET_CLS_U32) or mirred action (CONFIG_NET_ACT_MIRRED)");
  auto header = TcHeader(link, kIngressHandle, 0);
  header.tcm_info = TC_H_MAKE(static_cast<std::uint32_t>(priority) << 16, htons(ETH_P_ALL));
  request.whole_ = Append(request.message_.get(), header);
  request.Put(TCA_KIND, "u32");
  request.Nest(TCA_OPTIONS, [&] {
    // A tc_u32_sel, which ends in an array that C++ has not. No keys: every packet.
    std::array<unsigned char, sizeof(tc_u32_sel)> any{};
    any[offsetof(tc_u32_sel, flags)] = TC_U32_TERMINAL;
    request.Put(TCA_U32_SEL, any.data(), any.size());
    request.Nest(TCA_U32_ACT, [&] {
      request.Nest(1, [&] {
        request.Put(TCA_ACT_KIND, "mirred");
        request.Nest(TCA_ACT_OPTIONS, [&] {
          tc_mirred parms{};
          parms.action = TC_ACT_STOLEN;
          parms.eaction = TCA_EGRESS_REDIR;
          parms.ifindex = static_cast<std::uint32_t>(to);
          request.Put(TCA_MIRRED_PARMS, &parms, sizeof(parms));
        });
      });
    });
  });
  return request;
}

// --- The socket --------------------------------------------------------------

void TrafficControl::Close::operator()(nl_sock* socket) const { nl_socket_free(socket); }

Result<TrafficControl> TrafficControl::OpenOnAThread(const std::function<int()>& enter, const char* what) {
  // A socket belongs to the namespace its thread is in; the thread ends with it.
  TrafficControl opened(nl_socket_alloc());
  if (!opened.socket_) return Fail(Code::kUnavailable, "no memory for a netlink socket");
  Status failed;
  try {
    std::thread([&] {
      if (enter() != 0) {
        failed = Fail(errno == EPERM ? Code::kUnauthorized : Code::kUnavailable,
                      std::string(what) + ": " + Words(errno) + (errno == EPERM ? "; it needs CAP_SYS_ADMIN" : ""));
      } else if (const int error = nl_connect(opened.socket_.get(), NETLINK_ROUTE); error < 0) {
        failed = Fail(Code::kUnavailable, std::string("netlink: ") + nl_geterror(error));
      }
    }).join();
  } catch (const std::system_error& error) {
    return Fail(Code::kUnavailable, std::string(what) + ": " + error.what());
  }
  if (!failed) return Fail(failed.error());
  // The kernel answers before sending returns: whoever waits would wait for ever.
  nl_socket_set_nonblocking(opened.socket_.get());
  nl_socket_disable_auto_ack(opened.socket_.get());
  // The kernel never sends more than this at once; looking first costs a call.
  nl_socket_disable_msg_peek(opened.socket_.get());
  nl_socket_set_msg_buf_size(opened.socket_.get(), kLargestDatagram);
  const int fd = nl_socket_get_fd(opened.socket_.get());
  const int on = 1;
  // Without these the words are errno's.
  ::setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
  ::setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
  return opened;
}

Result<TrafficControl> TrafficControl::Enter(int fd) {
  return OpenOnAThread([fd] { return ::setns(fd, CLONE_NEWNET); }, "entering the pod's network namespace");
}

Result<TrafficControl> TrafficControl::Scratch() {
  return OpenOnAThread([] { return ::unshare(CLONE_NEWNET); }, "making a network namespace");
}

// What came back for requests that carry the sequence numbers first, first + 1 ...
struct TrafficControl::Answers {
  std::uint32_t first = 0;
  std::vector<std::optional<Refusal>> refusals;  // nullopt: not answered yet
  const std::function<void(nl_msg*)>* each = nullptr;
  bool interrupted = false;  // a dump that saw the table change

  void Settle(std::uint32_t sequence, Refusal refusal) {
    if (sequence - first < refusals.size()) refusals[sequence - first] = std::move(refusal);
  }
  bool all() const {
    return std::all_of(refusals.begin(), refusals.end(), [](const auto& r) { return r.has_value(); });
  }

  // Reads until everything is answered. Without patience an answer that is not
  // there yet is an error: the kernel handles requests while they are sent.
  int Receive(nl_sock* socket, Millis patience = Millis{0}) {
    const Callbacks callbacks(nl_cb_alloc(NL_CB_DEFAULT));
    if (!callbacks) return -NLE_NOMEM;
    nl_cb_set(callbacks.get(), NL_CB_SEQ_CHECK, NL_CB_CUSTOM, [](nl_msg*, void*) -> int { return NL_OK; }, nullptr);
    nl_cb_set(
        callbacks.get(), NL_CB_VALID, NL_CB_CUSTOM,
        [](nl_msg* message, void* self) -> int {
          auto* answers = static_cast<Answers*>(self);
          const auto* header = nlmsg_hdr(message);
          if (answers->each != nullptr && header->nlmsg_seq == answers->first) (*answers->each)(message);
          // One thing alone, not a table: nothing follows. Of a request that changes
          // something it is the echo.
          if ((header->nlmsg_flags & NLM_F_MULTI) == 0) answers->Settle(header->nlmsg_seq, {});
          return NL_OK;
        },
        this);
    const auto done = [](nl_msg* message, void* self) -> int {
      static_cast<Answers*>(self)->Settle(nlmsg_hdr(message)->nlmsg_seq, {});
      return NL_OK;
    };
    nl_cb_set(callbacks.get(), NL_CB_ACK, NL_CB_CUSTOM, done, this);
    nl_cb_set(callbacks.get(), NL_CB_FINISH, NL_CB_CUSTOM, done, this);
    nl_cb_set(
        callbacks.get(), NL_CB_DUMP_INTR, NL_CB_CUSTOM,
        [](nl_msg*, void* self) -> int {
          static_cast<Answers*>(self)->interrupted = true;
          return NL_OK;
        },
        this);
    nl_cb_err(
        callbacks.get(), NL_CB_CUSTOM,
        [](sockaddr_nl*, nlmsgerr* error, void* self) -> int {
          static_cast<Answers*>(self)->Settle(error->msg.nlmsg_seq, {-error->error, ExtendedAck(error)});
          return NL_SKIP;
        },
        this);
    int error = 0;
    while (!all() && error >= 0) {
      error = nl_recvmsgs(socket, callbacks.get());
      pollfd readable{nl_socket_get_fd(socket), POLLIN, 0};
      if (error == -NLE_AGAIN && ::poll(&readable, 1, static_cast<int>(patience.count())) > 0) error = 0;
    }
    return error;
  }
};

std::vector<Status> TrafficControl::Send(std::vector<NetRequest> requests) {
  std::vector<char> bytes;
  Answers answers;
  for (auto& request : requests) {
    if (!request.whole_) {
      return std::vector<Status>(requests.size(), Fail(Code::kInternal, "a netlink message without room"));
    }
    nl_complete_msg(socket_.get(), request.message_.get());
    auto* header = nlmsg_hdr(request.message_.get());
    header->nlmsg_flags |= NLM_F_ACK;
    if (answers.refusals.empty()) answers.first = header->nlmsg_seq;
    answers.refusals.emplace_back();
    const auto* start = reinterpret_cast<const char*>(header);
    bytes.insert(bytes.end(), start, start + header->nlmsg_len);
    bytes.resize(NLMSG_ALIGN(bytes.size()));
  }
  const bool echoed = std::any_of(requests.begin(), requests.end(), [](const NetRequest& request) {
    return (nlmsg_hdr(request.message_.get())->nlmsg_flags & NLM_F_ECHO) != 0;
  });
  int error = 0;
  if (echoed && SendAside(bytes)) {
    error = answers.Receive(socket_.get(), kPatience);
  } else {
    error = nl_sendto(socket_.get(), bytes.data(), bytes.size());
    if (error >= 0) error = answers.Receive(socket_.get());
  }
  std::vector<Status> outcomes;
  outcomes.reserve(requests.size());
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const auto& refusal = answers.refusals[i];
    if (!refusal) {
      outcomes.push_back(Fail(Code::kUnavailable, std::string("netlink: ") + nl_geterror(error)));
    } else if (refusal->error != 0) {
      outcomes.push_back(Fail(ToError(*refusal, requests[i].needs_)));
    } else {
      outcomes.emplace_back();
    }
  }
  return outcomes;
}

// The kernel says that a link is gone long before it lets go of whoever removed
// it (15 ms, until every processor has forgotten it). A thread waits that out.
bool TrafficControl::SendAside(std::vector<char> bytes) {
  sender_ = {};
  try {
    sender_ = std::jthread([fd = nl_socket_get_fd(socket_.get()), bytes = std::move(bytes)] {
      static_cast<void>(::send(fd, bytes.data(), bytes.size(), 0));
    });
  } catch (const std::system_error&) {
    return false;
  }
  return true;
}

Status TrafficControl::Ask(NetRequest request, const std::function<void(nl_msg*)>& each) {
  if (!request.whole_) return Fail(Code::kInternal, "a netlink message without room");
  nl_complete_msg(socket_.get(), request.message_.get());
  Answers answers;
  answers.first = nlmsg_hdr(request.message_.get())->nlmsg_seq;
  answers.refusals.resize(1);
  answers.each = &each;
  int error = nl_send(socket_.get(), request.message_.get());
  if (error >= 0) error = answers.Receive(socket_.get());
  const auto& refusal = answers.refusals.front();
  if (!refusal) return Fail(Code::kUnavailable, std::string("netlink: ") + nl_geterror(error));
  if (refusal->error != 0) return Fail(ToError(*refusal, {}));
  if (answers.interrupted) return Fail(Code::kConflict, "netlink: the table changed while it was read");
  return {};
}

namespace {

// A table that changed while it was read is read anew.
template <typename Item, typename Read>
Result<std::vector<Item>> Whole(Read&& read) {
  Status outcome;
  for (int tries = 0; tries < kDumpTries; ++tries) {
    std::vector<Item> items;
    outcome = read(items);
    if (outcome) return items;
    if (outcome.error().code != Code::kConflict) break;
  }
  return Fail(outcome.error());
}

}  // namespace

NetRequest NetRequest::GetLinks(int flags, const std::string& name) {
  NetRequest request(RTM_GETLINK, flags, "");
  ifinfomsg header{};
  header.ifi_family = AF_UNSPEC;
  request.whole_ = Append(request.message_.get(), header);
  if (!name.empty()) request.Put(IFLA_IFNAME, name);
  const std::uint32_t brief = RTEXT_FILTER_SKIP_STATS;
  request.Put(IFLA_EXT_MASK, &brief, sizeof(brief));
  return request;
}

Result<std::vector<NetLink>> TrafficControl::Links() {
  return Whole<NetLink>([&](std::vector<NetLink>& links) {
    return Ask(NetRequest::GetLinks(NLM_F_DUMP, {}), [&](nl_msg* message) { links.push_back(ToLink(message)); });
  });
}

Result<std::optional<NetLink>> TrafficControl::Link(const std::string& name) {
  std::optional<NetLink> link;
  const auto asked = Ask(NetRequest::GetLinks(0, name), [&](nl_msg* message) { link = ToLink(message); });
  if (!asked && asked.error().code != Code::kGone) return Fail(asked.error());
  return link;
}

// Any socket of a namespace answers these, netlink's too.
std::optional<NetLink> TrafficControl::Glance(const std::string& name) const {
  const int fd = nl_socket_get_fd(socket_.get());
  ifreq index{};
  ifreq mtu{};
  if (name.size() >= IFNAMSIZ) return std::nullopt;
  std::copy(name.begin(), name.end(), index.ifr_name);
  std::copy(name.begin(), name.end(), mtu.ifr_name);
  if (::ioctl(fd, SIOCGIFINDEX, &index) != 0 || ::ioctl(fd, SIOCGIFMTU, &mtu) != 0) return std::nullopt;
  return NetLink{index.ifr_ifindex, name, {}, static_cast<std::uint32_t>(mtu.ifr_mtu)};
}

std::string TrafficControl::NameOf(int index) const {
  ifreq request{};
  request.ifr_ifindex = index;
  if (::ioctl(nl_socket_get_fd(socket_.get()), SIOCGIFNAME, &request) != 0) return {};
  return {request.ifr_name, ::strnlen(request.ifr_name, IFNAMSIZ)};
}

Result<std::vector<Qdisc>> TrafficControl::Qdiscs() {
  return Whole<Qdisc>([&](std::vector<Qdisc>& qdiscs) {
    NetRequest request(RTM_GETQDISC, NLM_F_DUMP, "");
    request.whole_ = Append(request.message_.get(), TcHeader(0, 0, 0));
    return Ask(std::move(request), [&](nl_msg* message) { qdiscs.push_back(ToQdisc(message)); });
  });
}

Result<std::vector<Filter>> TrafficControl::IngressFilters(int link) {
  return Whole<Filter>([&](std::vector<Filter>& filters) {
    NetRequest request(RTM_GETTFILTER, NLM_F_DUMP, "");
    request.whole_ = Append(request.message_.get(), TcHeader(link, kIngressHandle, 0));
    return Ask(std::move(request), [&](nl_msg* message) { filters.push_back(ToFilter(message)); });
  });
}

}  // namespace whorl::agent
