// The client against a real gRPC server with real certificates.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "operator/api/node.grpc.pb.h"
#include "operator/controller/ingest/node_client.h"
#include "tests/fake/fake_api_pki.h"
#include "tests/fake/temp_dir.h"

namespace whorl::controller {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

class Agent final : public api::Node::Service {
 public:
  Agent(const fake::Authority& authority, const std::string& name) {
    const auto identity = authority.Issue(name, "", {"DNS:" + name});
    grpc::SslServerCredentialsOptions ssl(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
    ssl.pem_root_certs = authority.certificate();
    ssl.pem_key_cert_pairs = {{identity.key, identity.certificate}};
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::SslServerCredentials(ssl), &port);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~Agent() override {
    ending_ = true;
    server_->Shutdown(std::chrono::system_clock::now());
    server_->Wait();
  }

  grpc::Status Describe(grpc::ServerContext* context, const api::DescribeRequest*,
                        api::NodeDescription* reply) override {
    for (const auto& name : context->auth_context()->FindPropertyValues("x509_subject_alternative_name")) {
      if (name != "controller.whorl") continue;
      reply->set_api_version(1);
      reply->set_node_name("node-1");
      return grpc::Status::OK;
    }
    return {grpc::StatusCode::UNAUTHENTICATED, "the client's certificate is for somebody else"};
  }
  grpc::Status Enrol(grpc::ServerContext*, const api::EnrolRequest* request, api::EnrolReply*) override {
    if (request->epoch() < 5) return {grpc::StatusCode::FAILED_PRECONDITION, "OldEpoch: epoch is below 5"};
    return grpc::Status::OK;
  }
  grpc::Status Frames(grpc::ServerContext* context, const api::FramesRequest*,
                      grpc::ServerWriter<api::Frame>* writer) override {
    api::Frame frame;
    for (std::uint64_t i = 1; i <= frames && !context->IsCancelled(); ++i) {
      frame.set_sequence(i);
      writer->Write(frame);
    }
    while (fall_silent && !ending_ && !context->IsCancelled()) std::this_thread::yield();
    return grpc::Status::OK;
  }

  int port = 0;
  std::uint64_t frames = 3;
  std::atomic<bool> fall_silent{false};

 private:
  std::atomic<bool> ending_{false};
  std::unique_ptr<grpc::Server> server_;
};

struct World {
  World() { Install(authority, authority.Issue("c", "", {"DNS:controller.whorl"})); }
  void Install(const fake::Authority& trusted, const fake::Issued& own) {
    Write("ca.crt", trusted.certificate());
    Write("tls.crt", own.certificate);
    Write("tls.key", own.key);
  }
  void Write(const std::string& name, const std::string& text) { std::ofstream(dir.path() + "/" + name) << text; }
  std::unique_ptr<NodeClient> Dial(int port, const std::string& node = "node-1") {
    auto client = GrpcDialer(dir.path())(AgentAddress{node, "127.0.0.1", port});
    EXPECT_TRUE(client) << client.error().message;
    return std::move(*client);
  }
  fake::Authority authority{"whorl"};
  fake::TempDir dir;
};

TEST(GrpcNodeClient, SpeaksToTheAgentOfItsNode) {
  World world;
  Agent agent(world.authority, "agent.node-1.whorl");
  const auto description = world.Dial(agent.port)->Describe();
  ASSERT_TRUE(description) << description.error().message;
  EXPECT_EQ(description->node_name(), "node-1");
}

TEST(GrpcNodeClient, RefusesAnAgentWithTheCertificateOfAnotherNodeAndNamesBoth) {
  World world;
  Agent agent(world.authority, "agent.node-2.whorl");
  const auto description = world.Dial(agent.port)->Describe();
  ASSERT_FALSE(description);
  EXPECT_EQ(description.error().code, Code::kUnauthorized) << description.error().message;
  EXPECT_THAT(description.error().message, HasSubstr("agent.node-1.whorl"));
}

TEST(GrpcNodeClient, RefusesAnAgentSignedBySomebodyElse) {
  World world;
  const fake::Authority stranger("stranger");
  Agent agent(stranger, "agent.node-1.whorl");
  const auto description = world.Dial(agent.port)->Describe();
  ASSERT_FALSE(description);
  EXPECT_EQ(description.error().code, Code::kUnauthorized) << description.error().message;
}

TEST(GrpcNodeClient, ExplainsThatItsOwnCertificateHasTheWrongRole) {
  World world;
  world.Install(world.authority, world.authority.Issue("c", "", {"DNS:agent.node-1.whorl"}));
  Agent agent(world.authority, "agent.node-1.whorl");
  const auto description = world.Dial(agent.port)->Describe();
  ASSERT_FALSE(description);
  EXPECT_EQ(description.error().code, Code::kUnauthorized) << description.error().message;
  EXPECT_THAT(description.error().message, HasSubstr("controller.whorl"));
}

TEST(GrpcNodeClient, SaysThatNobodyListens) {
  World world;
  int port = 0;
  {
    Agent gone(world.authority, "agent.node-1.whorl");
    port = gone.port;
  }
  const auto description = world.Dial(port)->Describe();
  ASSERT_FALSE(description);
  EXPECT_THAT(description.error().code, AnyOf(Code::kUnavailable, Code::kTimeout)) << description.error().message;
  EXPECT_THAT(description.error().message, HasSubstr("node-1"));
}

TEST(GrpcNodeClient, NamesTheFileThatIsMissingOrNoPem) {
  World world;
  world.Write("tls.key", "not a key");
  auto dial = GrpcDialer(world.dir.path());
  EXPECT_EQ(dial({"node-1", "127.0.0.1", 1}).error().code, Code::kInvalid);
  std::filesystem::remove(world.dir.path() + "/ca.crt");
  const auto missing = dial({"node-1", "127.0.0.1", 1});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Code::kNotFound);
  EXPECT_THAT(missing.error().message, HasSubstr("ca.crt"));
}

TEST(GrpcNodeClient, TellsAnOrderTheAgentDeclinesFromAConnectionThatFailed) {
  World world;
  Agent agent(world.authority, "agent.node-1.whorl");
  auto client = world.Dial(agent.port);
  api::EnrolRequest request;
  request.set_epoch(4);
  EXPECT_EQ(client->Enrol(request).error().code, Code::kRefused);
  request.set_epoch(5);
  EXPECT_TRUE(client->Enrol(request));
  EXPECT_EQ(client->Apply({}).error().code, Code::kUnsupported);  // this agent has no Apply
}

TEST(GrpcNodeClient, FeedsFramesUntilTheStreamEnds) {
  World world;
  Agent agent(world.authority, "agent.node-1.whorl");
  std::uint64_t last = 0;
  const auto ended = world.Dial(agent.port)->Frames({}, Millis{5000}, {}, [&](const api::Frame& frame) {
    last = frame.sequence();
    return true;
  });
  EXPECT_EQ(last, 3u);
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, Code::kGone);
}

TEST(GrpcNodeClient, EndsWellWhenTheCallerHasSeenEnough) {
  World world;
  Agent agent(world.authority, "agent.node-1.whorl");
  agent.fall_silent = true;
  EXPECT_TRUE(world.Dial(agent.port)->Frames({}, Millis{5000}, {}, [](const api::Frame&) { return false; }));
}

TEST(GrpcNodeClient, NoticesAStreamThatFellSilent) {
  World world;
  Agent agent(world.authority, "agent.node-1.whorl");
  agent.fall_silent = true;
  const auto ended = world.Dial(agent.port)->Frames({}, Millis{100}, {}, [](const api::Frame&) { return true; });
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, Code::kTimeout) << ended.error().message;
}

TEST(GrpcNodeClient, EndsAtOnceWhenItIsToStop) {
  World world;
  Agent agent(world.authority, "agent.node-1.whorl");
  agent.fall_silent = true;
  std::stop_source stop;
  const auto ended = world.Dial(agent.port)->Frames({}, Millis{60'000}, stop.get_token(), [&](const api::Frame& frame) {
    if (frame.sequence() == 3) std::thread([stop]() mutable { stop.request_stop(); }).detach();
    return true;
  });
  EXPECT_TRUE(ended);
}

}  // namespace
}  // namespace whorl::controller
