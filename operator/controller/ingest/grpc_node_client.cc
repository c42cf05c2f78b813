// The only file of the controller that knows gRPC.
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <optional>
#include <sstream>
#include <utility>

#include "operator/api/node.grpc.pb.h"
#include "operator/controller/ingest/node_client.h"

namespace whorl::controller {
namespace {

constexpr Millis kCallTimeout{2000};
constexpr int kMaxMessageBytes = 4 << 20;

Result<std::string> ReadPem(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) {
    return Fail(Code::kNotFound,
                path +
                    " cannot be read; --tls-dir must hold tls.crt, tls.key and ca.crt (the chart mounts "
                    "them from the secret whorl-controller-tls)");
  }
  std::ostringstream text;
  text << in.rdbuf();
  if (text.str().find("-----BEGIN") == std::string::npos) return Fail(Code::kInvalid, path + " holds no PEM block");
  return text.str();
}

// gRPC folds everything that goes wrong below it into UNAVAILABLE and a text;
// what the text means for an administrator is said here.
Error Explain(const grpc::Status& status, const AgentAddress& address, std::string_view call) {
  const std::string where = std::string(call) + " at the agent of node " + address.node + " (" + address.host + ":" +
                            std::to_string(address.port) + ")";
  const std::string& text = status.error_message();
  const auto has = [&](std::string_view part) { return text.find(part) != std::string::npos; };
  switch (status.error_code()) {
    case grpc::StatusCode::UNAVAILABLE:
      if (has("CERTIFICATE_VERIFY_FAILED") || has("is not in peer certificate") ||
          has("Hostname Verification Check failed") || has("name check failed") ||
          has("No match found for server name")) {
        return {Code::kUnauthorized, where + ": its certificate is not one for agent." + address.node +
                                         ".whorl signed by ca.crt (" + text + "); give that node its own certificate"};
      }
      if (has("andshake") || has("SSL") || has("ssl")) {
        return {Code::kUnauthorized,
                where + ": the TLS handshake failed (" + text +
                    "); the agent accepts only a certificate for controller.whorl signed by its ca.crt"};
      }
      return {Code::kUnavailable, where + ": " + text};
    case grpc::StatusCode::UNAUTHENTICATED:
    case grpc::StatusCode::PERMISSION_DENIED:
      return {Code::kUnauthorized, where + ": " + text + "; the agent accepts only a certificate for controller.whorl"};
    case grpc::StatusCode::DEADLINE_EXCEEDED: return {Code::kTimeout, where + ": no answer in time"};
    case grpc::StatusCode::FAILED_PRECONDITION:
    case grpc::StatusCode::INVALID_ARGUMENT:
    case grpc::StatusCode::RESOURCE_EXHAUSTED: return {Code::kRefused, where + ": " + text};
    case grpc::StatusCode::UNIMPLEMENTED:
      return {
          Code::kUnsupported,
          where + ": " + (text.empty() ? "the agent does not know this call; bring both to the same release" : text)};
    default: return {Code::kUnavailable, where + ": " + text};
  }
}

class GrpcNodeClient final : public NodeClient {
 public:
  GrpcNodeClient(AgentAddress address, std::shared_ptr<grpc::Channel> channel)
      : address_(std::move(address)), channel_(std::move(channel)), stub_(api::Node::NewStub(channel_)) {}

  Result<api::NodeDescription> Describe() override {
    api::NodeDescription reply;
    return Call("Describe", reply,
                [&](grpc::ClientContext& c) { return stub_->Describe(&c, api::DescribeRequest(), &reply); });
  }
  Result<api::EnrolReply> Enrol(const api::EnrolRequest& request) override {
    api::EnrolReply reply;
    return Call("Enrol", reply, [&](grpc::ClientContext& c) { return stub_->Enrol(&c, request, &reply); });
  }
  Result<api::Receipt> Apply(const api::Plan& plan) override {
    api::Receipt reply;
    return Call("Apply", reply, [&](grpc::ClientContext& c) { return stub_->Apply(&c, plan, &reply); });
  }

  Result<api::StoreCheckpointsReply> StoreCheckpoints(const api::StoreCheckpointsRequest& request) override {
    api::StoreCheckpointsReply reply;
    return Call("StoreCheckpoints", reply,
                [&](grpc::ClientContext& c) { return stub_->StoreCheckpoints(&c, request, &reply); });
  }
  Result<api::FetchCheckpointsReply> FetchCheckpoints(const api::FetchCheckpointsRequest& request) override {
    api::FetchCheckpointsReply reply;
    return Call("FetchCheckpoints", reply,
                [&](grpc::ClientContext& c) { return stub_->FetchCheckpoints(&c, request, &reply); });
  }

  Status Frames(const api::FramesRequest& request, Millis silence, std::stop_token stop,
                const std::function<bool(const api::Frame&)>& on_frame) override {
    // The stream is read through a completion queue because a blocking Read
    // has no timeout, and a node that vanished without a word must be noticed.
    enum Tag : std::intptr_t { kStart = 1, kRead = 2, kFinish = 3 };
    const auto tag = [](Tag t) { return reinterpret_cast<void*>(static_cast<std::intptr_t>(t)); };
    grpc::ClientContext context;
    grpc::CompletionQueue queue;
    const std::stop_callback cancel(stop, [&] { context.TryCancel(); });
    auto reader = stub_->AsyncFrames(&context, request, &queue, tag(kStart));
    api::Frame frame;
    bool silent = false;
    bool enough = false;
    bool finishing = false;
    grpc::Status status;
    const auto finish = [&] {
      if (!finishing) reader->Finish(&status, tag(kFinish));
      finishing = true;
    };
    for (bool done = false; !done;) {
      void* got = nullptr;
      bool ok = false;
      const auto next = queue.AsyncNext(&got, &ok, std::chrono::system_clock::now() + silence);
      if (next == grpc::CompletionQueue::SHUTDOWN) break;
      if (next == grpc::CompletionQueue::TIMEOUT) {
        silent = true;
        context.TryCancel();  // the pending read then completes, and the stream with it
        continue;
      }
      switch (static_cast<Tag>(reinterpret_cast<std::intptr_t>(got))) {
        case kStart:
          if (ok) {
            reader->Read(&frame, tag(kRead));
          } else {
            finish();
          }
          break;
        case kRead:
          if (!ok) {
            finish();
            break;
          }
          if (stop.stop_requested() || !on_frame(frame)) {
            enough = true;
            context.TryCancel();
            finish();
            break;
          }
          reader->Read(&frame, tag(kRead));
          break;
        case kFinish: done = true; break;
      }
    }
    queue.Shutdown();
    void* got = nullptr;
    bool ok = false;
    while (queue.Next(&got, &ok)) {
    }
    if (enough || stop.stop_requested()) return {};
    if (silent) {
      return Fail(Code::kTimeout, "Frames at the agent of node " + address_.node + ": no frame for " +
                                      std::to_string(silence.count()) + " ms");
    }
    if (status.ok()) return Fail(Code::kGone, "the agent of node " + address_.node + " ended the stream of frames");
    return Fail(Explain(status, address_, "Frames"));
  }

 private:
  template <typename Reply, typename Do>
  Result<Reply> Call(std::string_view name, Reply& reply, const Do& call) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kCallTimeout);
    const grpc::Status status = call(context);
    if (!status.ok()) return Fail(Explain(status, address_, name));
    return std::move(reply);
  }

  const AgentAddress address_;
  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<api::Node::Stub> stub_;
};

}  // namespace

DialNode GrpcDialer(std::string tls_dir) {
  return [dir = std::move(tls_dir)](const AgentAddress& address) -> Result<std::unique_ptr<NodeClient>> {
    grpc::SslCredentialsOptions ssl;
    for (const auto& [file, target] :
         {std::pair{"ca.crt", &ssl.pem_root_certs}, std::pair{"tls.crt", &ssl.pem_cert_chain},
          std::pair{"tls.key", &ssl.pem_private_key}}) {
      auto pem = ReadPem(dir + "/" + file);
      if (!pem) return Fail(pem.error());
      *target = std::move(*pem);
    }
    grpc::ChannelArguments args;
    args.SetSslTargetNameOverride("agent." + address.node + ".whorl");
    args.SetMaxReceiveMessageSize(kMaxMessageBytes);
    args.SetMaxSendMessageSize(kMaxMessageBytes);
    // A channel of its own per dial: a shared one would keep the old certificate and its own back-off.
    args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    args.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 10'000);
    args.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 5'000);
    args.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    const std::string host = address.host.find(':') == std::string::npos ? address.host : "[" + address.host + "]";
    auto channel =
        grpc::CreateCustomChannel(host + ":" + std::to_string(address.port), grpc::SslCredentials(ssl), args);
    return std::make_unique<GrpcNodeClient>(address, std::move(channel));
  };
}

}  // namespace whorl::controller
