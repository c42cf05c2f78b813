// The calls about checkpoints over a real connection with real certificates.
#include "operator/agent/service.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <fstream>

#include "operator/api/node.grpc.pb.h"
#include "tests/fake/fake_api_pki.h"
#include "tests/fake/fake_knob_tree.h"
#include "tests/fake/fake_pod_parts.h"
#include "tests/fake/manual_clock.h"
#include "tests/fake/temp_dir.h"

namespace whorl::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class NoVms : public VmDirectory {
 public:
  Result<std::vector<VmPlace>> Scan() const override { return std::vector<VmPlace>(); }
  bool Runs(const VmPlace&) const override { return false; }
};

class AgentService : public ::testing::Test {
 protected:
  AgentService() {
    const auto own = authority_.Issue("agent", "", {"DNS:agent.node-1.whorl"});
    std::ofstream(dir_.path() + "/tls.crt") << own.certificate;
    std::ofstream(dir_.path() + "/tls.key") << own.key;
    std::ofstream(dir_.path() + "/ca.crt") << authority_.certificate();
  }
  void Start(bool with_store = true) {
    if (with_store) store_ = std::move(*CheckpointStore::Open({.dir = dir_.path() + "/checkpoints"}, clock_));
    Service::Options options;
    options.listen = "127.0.0.1:0";
    options.tls = TlsFilesIn(dir_.path());
    options.node_name = "node-1";
    Service::Hooks hooks;
    hooks.capabilities = [] { return std::vector<api::Capability>(); };
    hooks.set_interval = [](Millis) {};
    hooks.checkpoints = store_.get();
    auto service = Service::Start(options, hooks, holder_, board_);
    ASSERT_TRUE(service) << service.error().message;
    service_ = std::move(*service);
  }
  std::unique_ptr<api::Node::Stub> Dial(const std::string& name = "controller.whorl") {
    const auto own = authority_.Issue("client", "", {"DNS:" + name});
    grpc::SslCredentialsOptions ssl{authority_.certificate(), own.key, own.certificate};
    grpc::ChannelArguments arguments;
    arguments.SetSslTargetNameOverride("agent.node-1.whorl");
    return api::Node::NewStub(grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(service_->port()),
                                                        grpc::SslCredentials(ssl), arguments));
  }
  grpc::Status Store(const api::StoreCheckpointsRequest& request, api::StoreCheckpointsReply* reply = nullptr) {
    grpc::ClientContext context;
    api::StoreCheckpointsReply unused;
    return Dial()->StoreCheckpoints(&context, request, reply == nullptr ? &unused : reply);
  }
  api::FetchCheckpointsReply Fetch(const std::vector<std::string>& vm_uids) {
    grpc::ClientContext context;
    api::FetchCheckpointsRequest request;
    request.set_epoch(epoch_);
    for (const auto& uid : vm_uids) request.add_vm_uids(uid);
    api::FetchCheckpointsReply reply;
    const auto status = Dial()->FetchCheckpoints(&context, request, &reply);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return reply;
  }
  static void Add(api::StoreCheckpointsRequest& request, const std::string& uid, const std::string& blob) {
    auto* row = request.add_checkpoints();
    row->set_vm_uid(uid);
    row->set_blob(blob);
  }
  void EnrolUnder(std::uint64_t epoch) {
    api::EnrolRequest request;
    request.set_epoch(epoch);
    ASSERT_TRUE(holder_.Enrol(request, "ctl"));
    epoch_ = epoch;
  }

  fake::TempDir dir_;
  fake::ManualClock clock_;
  fake::Authority authority_{"whorl"};
  fake::FakeKnobTree tree_{{}};
  NoVms directory_;
  Journal journal_ = *Journal::Open(dir_.path());
  std::string trouble_;
  EpochFile epochs_ = EpochFile::Open(dir_.path(), trouble_);
  fake::FakePodParts parts_;
  Holder holder_{{"/cg", CgroupVersion::kV1, 2000, 8}, tree_, parts_, journal_, directory_, epochs_, clock_};
  FrameBoard board_;
  std::uint64_t epoch_ = 0;
  std::unique_ptr<CheckpointStore> store_;
  std::unique_ptr<Service> service_;
};

TEST_F(AgentService, KeepsCheckpointsGivesThemBackAndForgetsThem) {
  Start();
  api::StoreCheckpointsRequest request;
  const std::string blob("\0sealed\xff", 8);
  Add(request, "vm-1", blob);
  Add(request, "vm-2", "other");
  ASSERT_TRUE(Store(request).ok());
  auto fetched = Fetch({"vm-1", "vm-3"});
  ASSERT_EQ(fetched.checkpoints_size(), 1);
  EXPECT_EQ(fetched.checkpoints(0).blob(), blob);
  EXPECT_THAT(fetched.stored(), ElementsAre("vm-1", "vm-2"));

  api::StoreCheckpointsRequest tidy;
  tidy.add_forget("vm-1");
  tidy.add_set_aside("vm-2");
  ASSERT_TRUE(Store(tidy).ok());
  EXPECT_EQ(Fetch({}).stored_size(), 0);
  EXPECT_TRUE(std::ifstream(dir_.path() + "/checkpoints/vm-2.corrupt").good());
}

TEST_F(AgentService, RefusesOneCheckpointAndKeepsTheOthers) {
  Start();
  api::StoreCheckpointsRequest request;
  Add(request, "../vm", "x");
  Add(request, "vm-1", std::string(kMostCheckpointBytes + 1, 'x'));
  Add(request, "vm-2", "fits");
  api::StoreCheckpointsReply reply;
  ASSERT_TRUE(Store(request, &reply).ok());
  ASSERT_EQ(reply.refused_size(), 2);
  EXPECT_EQ(reply.refused(0).reason(), "BadName");
  EXPECT_EQ(reply.refused(1).reason(), "TooLarge");
  EXPECT_THAT(Fetch({}).stored(), ElementsAre("vm-2"));
}

TEST_F(AgentService, RefusesCheckpointsOfAnOlderControllerAndTooManyAtOnce) {
  Start();
  EnrolUnder(7);
  api::StoreCheckpointsRequest request;
  request.set_epoch(6);
  Add(request, "vm-1", "x");
  EXPECT_EQ(Store(request).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  request.set_epoch(7);
  for (int i = 0; i < 32; ++i) Add(request, "vm-" + std::to_string(i), "x");
  EXPECT_EQ(Store(request).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Fetch({}).stored_size(), 0);
}

TEST_F(AgentService, GivesCheckpointsToTheControllerOnly) {
  Start();
  grpc::ClientContext context;
  api::FetchCheckpointsReply reply;
  const auto status = Dial("agent.node-2.whorl")->FetchCheckpoints(&context, api::FetchCheckpointsRequest(), &reply);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
}

TEST_F(AgentService, SaysThatItKeepsNone) {
  Start(false);
  const auto status = Store(api::StoreCheckpointsRequest());
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_THAT(status.error_message(), HasSubstr("--checkpoint-dir"));
}

}  // namespace
}  // namespace whorl::agent
