#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "operator/agent/act/holder.h"
#include "operator/agent/checkpoints/checkpoint_store.h"
#include "operator/agent/frame_board.h"
#include "operator/agent/identity.h"

namespace whorl::agent {

// The node API over gRPC and mutual TLS; whorl's only client certificate is
// controller.whorl. Certificates are read anew when their files change.
class Service {
 public:
  struct Options {
    std::string listen;  // host:port
    TlsFiles tls;
    std::string node_name;
    std::string agent_version;
    std::string boot_id;
    std::uint32_t cpus = 0;
    std::uint64_t memory_bytes = 0;
    api::CgroupVersion cgroup = api::CGROUP_VERSION_UNSPECIFIED;
  };
  // Capabilities are asked for at every Describe; the interval a stream wants
  // goes to `set_interval`.
  struct Hooks {
    std::function<std::vector<api::Capability>()> capabilities;
    std::function<void(Millis)> set_interval;
    CheckpointStore* checkpoints = nullptr;  // outlives the service; null: none are kept here
  };

  // kConflict: the port is taken. kUnauthorized: the certificate is not this node's.
  static Result<std::unique_ptr<Service>> Start(Options options, Hooks hooks, Holder& holder, FrameBoard& board);
  // Ends all streams and waits for the calls in progress.
  ~Service();
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  int port() const { return port_; }

 private:
  struct Impl;
  explicit Service(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
  int port_ = 0;
};

}  // namespace whorl::agent
