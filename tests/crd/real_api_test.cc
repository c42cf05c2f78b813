// What a real kube-apiserver makes of our definitions: structural schemas, CEL
// rules, defaults.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "crd/node_partition.h"
#include "crd/partition_policy.h"
#include "operator/kube/client.h"
#include "operator/kube/json.h"
#include "tests/crd/schema.h"
#include "tests/operator/kube/on_real_server.h"

namespace whorl::crd {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;

class CrdsOnARealServer : public fake::OnRealServer {
 protected:
  void SetUp() override {
    OnRealServer::SetUp();
    if (!client_) return;
    for (const auto& crd : testing::Definitions()) Define(crd.document);
  }
  // "" when the server takes it, else what it says. It takes a moment to know a kind.
  std::string Put(const kube::ResourcePath& path, const json& object) {
    for (int i = 0;; ++i) {
      auto made = client_->Apply(path, object, {.field_manager = "test", .force = true});
      if (made) return {};
      if (made.error().code != Code::kNotFound || i == 500) return made.error().message;
      std::this_thread::sleep_for(Millis{20});
    }
  }
  std::string PutPolicy(const json& spec) {
    auto object = kube::ObjectHead("whorl.dev/v1alpha1", "PartitionPolicy", "", "gold");
    object["spec"] = spec;
    return Put(policies.Named("", "gold"), object);
  }

  const kube::ResourcePath policies{.group = "whorl.dev", .version = "v1alpha1", .plural = "partitionpolicies"};
  const kube::ResourcePath nodes{.group = "whorl.dev", .version = "v1alpha1", .plural = "nodepartitions"};
};

TEST_F(CrdsOnARealServer, ServerAndEngineRefuseTheSamePolicies) {
  const auto cpu = [](json fields) { return json{{"resources", {{"cpu", std::move(fields)}}}}; };
  const auto both = [&](const json& spec) {
    const auto parsed = ParsePartitionPolicy({{"metadata", {{"name", "gold"}}}, {"spec", spec}});
    return std::pair(PutPolicy(spec), parsed ? std::string() : parsed.error().message);
  };
  // Contradictions between fields: the server says which field and why.
  const auto bonus = both(cpu({{"maxBonusPercent", 60}, {"ceilingPercent", 150}}));
  EXPECT_THAT(bonus.first, AllOf(HasSubstr("maxBonusPercent"), HasSubstr("no more than ceilingPercent minus 100")));
  EXPECT_THAT(bonus.second, HasSubstr("no more than ceilingPercent minus 100"));
  const auto least = both(cpu({{"leastLoanMillicores", 300}, {"stepMillicores", 200}}));
  EXPECT_THAT(least.first, AllOf(HasSubstr("leastLoanMillicores"), HasSubstr("no more than stepMillicores")));
  EXPECT_THAT(least.second, HasSubstr("no more than stepMillicores"));
  // A field that contradicts another one's default.
  EXPECT_THAT(both(cpu({{"ceilingPercent", 120}})).first, HasSubstr("no more than ceilingPercent minus 100"));
  EXPECT_THAT(both(cpu({{"stepMillicores", 10}})).first, HasSubstr("no more than stepMillicores"));
  EXPECT_EQ(both(cpu({{"stepMillicores", 10}, {"leastLoanMillicores", 10}})), std::pair(std::string(), std::string()));
  const auto silent = both({{"remediation", {{"propose", {{"mode", "Never"}}}}}});
  EXPECT_THAT(silent.first, AllOf(HasSubstr("remediation.propose"), HasSubstr("nothing is asked then")));
  EXPECT_THAT(silent.second, HasSubstr("nothing is asked then"));
  EXPECT_THAT(both({{"remediation", {{"propose", {{"mode", "Ask"}}}}}}).first, HasSubstr("propose.mode"));
  EXPECT_EQ(both({{"remediation", {{"cap", {{"mode", "Auto"}}}, {"pause", {{"mode", "Ask"}, {"ttlSeconds", 60}}}}}}),
            std::pair(std::string(), std::string()));
  // Every number, one beyond either bound.
  for (const auto& number : kPolicyNumbers) {
    for (const std::int64_t value : {number.minimum - 1, number.maximum + 1}) {
      json spec = value;
      std::string path(number.path);
      for (auto dot = path.rfind('.'); dot != std::string::npos; dot = path.rfind('.')) {
        spec = json{{path.substr(dot + 1), std::move(spec)}};
        path.resize(dot);
      }
      const auto refused = both({{path, spec}});
      EXPECT_THAT(refused.first, HasSubstr(std::string(number.path))) << value;
      EXPECT_THAT(refused.second, HasSubstr(std::string(number.path))) << value;
    }
  }
}

TEST_F(CrdsOnARealServer, TakesAndKeepsAWholeLedger) {
  NodePartitionStatus status;
  status.epoch = 4;
  status.house_credits = -90;
  const auto since = Time{Seconds{1'767'000'000}};
  status.open_loans = {{.number = 7,
                        .resource = "cpu",
                        .lender = "default/web-1",
                        .borrower = "default/db-1",
                        .amount = "240m",
                        .reason = "Credits",
                        .message = "divided by credits",
                        .forecast = "900m",
                        .lender_forecast = "40m",
                        .since = since,
                        .expiry = since + Seconds{10}}};
  status.closed_loans = {{.number = 6,
                          .resource = "cpu",
                          .lender = "default/web-1",
                          .borrower = "default/db-1",
                          .amount = "100m",
                          .since = since,
                          .end = since,
                          .outcome = "HandedOver",
                          .message = "another controller leads",
                          .moved = std::nullopt}};
  status.virtual_machines = {{.ns = "default", .name = "db-1", .uid = "db-uid", .mode = Mode::kEnforce, .credits = 90}};
  auto object = kube::ObjectHead("whorl.dev/v1alpha1", "NodePartition", "", "node-1");
  ASSERT_EQ(Put(nodes.Named("", "node-1"), object), "");
  object["status"] = ToJson(status);
  ASSERT_EQ(Put(nodes.Named("", "node-1").Status(), object), "");

  const auto stored = client_->Get(nodes.Named("", "node-1"));
  ASSERT_TRUE(stored) << stored.error().message;
  const auto record = ParseNodePartition(stored->root().ToJson());
  ASSERT_TRUE(record) << record.error().message;
  EXPECT_EQ(record->trouble, "");
  EXPECT_FALSE(record->uid.empty());
  EXPECT_EQ(record->epoch, 4u);
  EXPECT_EQ(record->house_credits, -90);
  ASSERT_EQ(record->credits.size(), 1u);
  EXPECT_EQ(record->credits[0].uid, "db-uid");
  EXPECT_EQ(record->credits[0].credits, 90);
  EXPECT_EQ(record->open_loans, status.open_loans);
  EXPECT_EQ(record->closed_loans, status.closed_loans);

  object["status"]["openLoans"][0]["borrower"] = "default/web-1";
  EXPECT_THAT(Put(nodes.Named("", "node-1").Status(), object), HasSubstr("lender must be another VM than borrower"));
}

}  // namespace
}  // namespace whorl::crd
