#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include "core/base/result.h"
#include "core/base/time.h"
#include "operator/api/node.pb.h"

namespace whorl::controller {

namespace api = whorl::node::v1;

// One agent, as a caller sees it. Calls block up to their own deadline; an
// implementation serves one thread at a time. Errors: kUnauthorized for a
// certificate that is not the node's or that the agent does not accept,
// kRefused for an order the agent declines, kUnavailable and kTimeout otherwise.
class NodeClient {
 public:
  virtual ~NodeClient() = default;
  virtual Result<api::NodeDescription> Describe() = 0;
  virtual Result<api::EnrolReply> Enrol(const api::EnrolRequest& request) = 0;
  // Feeds frames until `on_frame` returns false (ok), `stop` is requested (ok),
  // or the stream ends or falls silent for longer than `silence` (an error).
  virtual Status Frames(const api::FramesRequest& request, Millis silence, std::stop_token stop,
                        const std::function<bool(const api::Frame&)>& on_frame) = 0;
  virtual Result<api::Receipt> Apply(const api::Plan& plan) = 0;
  // kUnsupported from an agent that keeps none.
  virtual Result<api::StoreCheckpointsReply> StoreCheckpoints(const api::StoreCheckpointsRequest& request) = 0;
  virtual Result<api::FetchCheckpointsReply> FetchCheckpoints(const api::FetchCheckpointsRequest& request) = 0;
};

// Where an agent listens and which node it must prove to be.
struct AgentAddress {
  std::string node;
  std::string host;  // the pod's IP
  int port = 7443;
};

using DialNode = std::function<Result<std::unique_ptr<NodeClient>>(const AgentAddress&)>;

// Dials over gRPC with mutual TLS from tls.crt, tls.key and ca.crt under
// `tls_dir`, read anew for each dial so that rotated files are picked up. The
// agent must show a certificate for agent.<node>.whorl. kNotFound and kInvalid
// name the file.
DialNode GrpcDialer(std::string tls_dir);

}  // namespace whorl::controller
