// The only file of the agent that includes gRPC.
#include "operator/agent/service.h"

#include <grpcpp/grpcpp.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "operator/api/node.grpc.pb.h"

namespace whorl::agent {
namespace {

constexpr int kMostMessageBytes = 4 * 1024 * 1024;
constexpr int kThreads = 6;  // two streams changing over, one plan, one Describe, pollers
constexpr unsigned kReloadSeconds = 10;
constexpr Millis kLookUp{250};  // how soon a stream notices that it is to end
// Of node.proto: so many checkpoints stay far below the largest message.
constexpr int kMostCheckpoints = 32;
constexpr int kMostNames = 4096;

grpc::Status ToStatus(const Error& error) {
  switch (error.code) {
    case Code::kInvalid: return {grpc::StatusCode::INVALID_ARGUMENT, error.message};
    case Code::kRefused:
    case Code::kConflict: return {grpc::StatusCode::FAILED_PRECONDITION, error.message};
    case Code::kUnavailable: return {grpc::StatusCode::RESOURCE_EXHAUSTED, error.message};
    default: return {grpc::StatusCode::INTERNAL, error.message};
  }
}

// The host of "ipv4:10.0.0.3:41234": one controller may open several connections.
std::string HostOf(const std::string& peer) {
  const auto colon = peer.rfind(':');
  return colon == std::string::npos ? peer : peer.substr(0, colon);
}

}  // namespace

struct Service::Impl final : api::Node::Service {
  Impl(Options given, Hooks h, Holder& holds, FrameBoard& frames)
      : options(std::move(given)), hooks(std::move(h)), holder(holds), board(frames) {}

  // TLS has checked the signature; whose it is, is checked here.
  static grpc::Status Authorize(const grpc::ServerContext& context) {
    const auto identity = context.auth_context();
    std::string seen;
    if (identity && identity->IsPeerAuthenticated()) {
      for (const auto& name : identity->FindPropertyValues("x509_subject_alternative_name")) {
        if (name == kControllerName) return grpc::Status::OK;
        seen += (seen.empty() ? "" : ", ") + std::string(name.data(), name.size());
      }
    }
    return {grpc::StatusCode::UNAUTHENTICATED, "the client's certificate is for " +
                                                   (seen.empty() ? std::string("no name") : seen) + ", not for " +
                                                   kControllerName + "; only the controller may speak to an agent"};
  }

  grpc::Status Describe(grpc::ServerContext* context, const api::DescribeRequest*,
                        api::NodeDescription* reply) override {
    if (auto refused = Authorize(*context); !refused.ok()) return refused;
    reply->set_api_version(1);
    reply->set_node_name(options.node_name);
    reply->set_agent_version(options.agent_version);
    reply->set_boot_id(options.boot_id);
    reply->set_cpus(options.cpus);
    reply->set_memory_bytes(options.memory_bytes);
    reply->set_cgroup(options.cgroup);
    for (auto& capability : hooks.capabilities()) *reply->add_capabilities() = std::move(capability);
    reply->set_highest_epoch(holder.highest_epoch());
    reply->set_last_sequence(holder.last_sequence());
    for (auto& holding : holder.holdings()) *reply->add_holdings() = std::move(holding);
    return grpc::Status::OK;
  }

  grpc::Status Enrol(grpc::ServerContext* context, const api::EnrolRequest* request, api::EnrolReply* reply) override {
    if (auto refused = Authorize(*context); !refused.ok()) return refused;
    auto done = holder.Enrol(*request, HostOf(context->peer()));
    if (!done) return ToStatus(done.error());
    *reply = std::move(*done);
    return grpc::Status::OK;
  }

  grpc::Status Apply(grpc::ServerContext* context, const api::Plan* plan, api::Receipt* receipt) override {
    if (auto refused = Authorize(*context); !refused.ok()) return refused;
    *receipt = holder.Apply(*plan, HostOf(context->peer()));
    return grpc::Status::OK;
  }

  grpc::Status Frames(grpc::ServerContext* context, const api::FramesRequest* request,
                      grpc::ServerWriter<api::Frame>* writer) override {
    if (auto refused = Authorize(*context); !refused.ok()) return refused;
    if (request->epoch() < holder.highest_epoch()) {
      return {grpc::StatusCode::FAILED_PRECONDITION, "OldEpoch: epoch " + std::to_string(request->epoch()) +
                                                         " is below " + std::to_string(holder.highest_epoch())};
    }
    const auto interval = request->interval_millis() == 0 ? 1000u : request->interval_millis();
    if (interval < 250 || interval > 10000) {
      return {grpc::StatusCode::INVALID_ARGUMENT, "interval_millis must be between 250 and 10000"};
    }
    hooks.set_interval(Millis{interval});
    const auto mine = ++stream;
    board.Wake();
    const auto over = [&] { return stopping.load() || mine != stream.load() || context->IsCancelled(); };
    std::uint64_t seen = 0;
    while (!over()) {
      const auto newest = board.Newer(seen, kLookUp, over);
      if (!newest) continue;
      seen = newest->sequence();
      // A copy: the notes belong to this stream's frame. Write() waits for a slow
      // reader, and the next turn takes whatever is newest then.
      api::Frame frame = *newest;
      holder.AddNotes(frame);
      frame.set_highest_epoch(holder.highest_epoch());
      if (!writer->Write(frame)) break;
      holder.Delivered(seen);
    }
    if (stopping.load()) return {grpc::StatusCode::UNAVAILABLE, "the agent is stopping"};
    if (mine != stream.load()) return {grpc::StatusCode::ABORTED, "a newer stream took over"};
    return grpc::Status::OK;
  }

  // What speaks against any call about checkpoints, so far as the caller goes.
  grpc::Status AdmitCheckpoints(const grpc::ServerContext& context, std::uint64_t epoch) const {
    if (auto refused = Authorize(context); !refused.ok()) return refused;
    if (hooks.checkpoints == nullptr) {
      return {grpc::StatusCode::UNIMPLEMENTED, "this agent keeps no checkpoints; its log says why (--checkpoint-dir)"};
    }
    if (epoch < holder.highest_epoch()) {
      return {grpc::StatusCode::FAILED_PRECONDITION,
              "OldEpoch: epoch " + std::to_string(epoch) + " is below " + std::to_string(holder.highest_epoch())};
    }
    return grpc::Status::OK;
  }

  grpc::Status StoreCheckpoints(grpc::ServerContext* context, const api::StoreCheckpointsRequest* request,
                                api::StoreCheckpointsReply* reply) override {
    if (auto refused = AdmitCheckpoints(*context, request->epoch()); !refused.ok()) return refused;
    if (request->checkpoints_size() > kMostCheckpoints || request->forget_size() > kMostNames ||
        request->set_aside_size() > kMostNames) {
      return {grpc::StatusCode::INVALID_ARGUMENT, "at most 32 checkpoints and 4096 names may be sent in one request"};
    }
    const auto note = [&](const std::string& vm_uid, const Status& done, const char* reason) {
      if (done) return;
      auto* row = reply->add_refused();
      row->set_vm_uid(vm_uid);
      row->set_reason(done.error().code == Code::kInvalid ? reason : "WriteFailed");
      row->set_message(done.error().message);
    };
    for (const auto& vm_uid : request->set_aside()) note(vm_uid, hooks.checkpoints->SetAside(vm_uid), "BadName");
    for (const auto& vm_uid : request->forget()) note(vm_uid, hooks.checkpoints->Drop(vm_uid), "BadName");
    for (const auto& checkpoint : request->checkpoints()) {
      const bool large = checkpoint.blob().size() > kMostCheckpointBytes;
      note(checkpoint.vm_uid(), hooks.checkpoints->Put(checkpoint.vm_uid(), checkpoint.blob()),
           large ? "TooLarge" : "BadName");
    }
    return grpc::Status::OK;
  }

  grpc::Status FetchCheckpoints(grpc::ServerContext* context, const api::FetchCheckpointsRequest* request,
                                api::FetchCheckpointsReply* reply) override {
    if (auto refused = AdmitCheckpoints(*context, request->epoch()); !refused.ok()) return refused;
    if (request->vm_uids_size() > kMostCheckpoints) {
      return {grpc::StatusCode::INVALID_ARGUMENT, "at most 32 checkpoints may be asked for in one request"};
    }
    for (const auto& vm_uid : request->vm_uids()) {
      auto blob = hooks.checkpoints->Get(vm_uid);
      if (!blob) continue;
      auto* row = reply->add_checkpoints();
      row->set_vm_uid(vm_uid);
      row->set_blob(std::move(*blob));
    }
    for (auto& vm_uid : hooks.checkpoints->Stored()) *reply->add_stored() = std::move(vm_uid);
    return grpc::Status::OK;
  }

  const Options options;
  const Hooks hooks;
  Holder& holder;
  FrameBoard& board;
  std::atomic<std::uint64_t> stream{0};
  std::atomic<bool> stopping{false};
  std::unique_ptr<grpc::Server> server;
};

Service::Service(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Service::~Service() {
  impl_->stopping = true;
  impl_->board.Wake();
  impl_->server->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(2));
  impl_->server->Wait();
}

Result<std::unique_ptr<Service>> Service::Start(Options options, Hooks hooks, Holder& holder, FrameBoard& board) {
  if (auto identity = CheckIdentity(options.tls, options.node_name); !identity) return Fail(identity.error());
  namespace tls = grpc::experimental;
  const auto certificates = std::make_shared<tls::FileWatcherCertificateProvider>(
      options.tls.key, options.tls.certificate, options.tls.roots, kReloadSeconds);
  tls::TlsServerCredentialsOptions security(certificates);
  security.watch_root_certs();
  security.watch_identity_key_cert_pairs();
  security.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);

  auto impl = std::make_unique<Impl>(std::move(options), std::move(hooks), holder, board);
  grpc::ResourceQuota quota("agent");
  quota.SetMaxThreads(kThreads);
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(impl->options.listen, tls::TlsServerCredentials(security), &port);
  // Without this a second agent would share the port and get half of the plans.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  // A controller that vanished without a word is noticed within 30 s.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 20000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10000);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5000);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0);
  builder.SetMaxReceiveMessageSize(kMostMessageBytes);
  builder.SetMaxSendMessageSize(kMostMessageBytes);
  builder.SetResourceQuota(quota);
  builder.SetSyncServerOption(grpc::ServerBuilder::SyncServerOption::NUM_CQS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::SyncServerOption::MIN_POLLERS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::SyncServerOption::MAX_POLLERS, 2);
  builder.RegisterService(impl.get());
  impl->server = builder.BuildAndStart();
  if (!impl->server || port == 0) {
    return Fail(Code::kConflict, "cannot listen on " + impl->options.listen +
                                     ": the address is not this machine's or the port is taken; stop the other program "
                                     "or pass another --listen");
  }
  auto service = std::unique_ptr<Service>(new Service(std::move(impl)));
  service->port_ = port;
  return service;
}

}  // namespace whorl::agent
