#include "operator/plugin/ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "crd/text.h"
#include "tests/operator/plugin/views.h"

namespace whorl::plugin {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

const Time kNow = crd::ParseTimeText("2023-11-14T22:13:20Z").value();

std::string Shown(const json& object, LedgerOptions options = {}) {
  options.now = kNow;
  return RenderLedger({ToBooks(object)}, options);
}

TEST(Ledger, ShowsBothSidesOfEveryLoanAndThatTheySumToZero) {
  EXPECT_EQ(Shown(test::Partition(), {.closed = true}),
            R"(node-1   epoch 4, led by whorl-controller-abc
  cpu           ENTITLED   LENT   BORROWED   NET     ALLOCATED   CREDITS
  shop/db-1     400m       0m     340m       +340m   740m        -4200
  shop/web-1    400m       240m   0m         -240m   160m        4000
  lab/batch-1   400m       100m   0m         -100m   300m        188
  (house)                                                        12
  (sum)                    340m   340m       +0m                 0
  The books balance: 340m lent, 340m borrowed, and the credits (millicore-seconds) sum to 0.

  LOAN   LENDER        BORROWER    AMOUNT     FOR     LENDER NEEDS   BORROWER NEEDS   REASON
  7      shop/web-1    shop/db-1   240m cpu   1 min   40m            900m             Need
  8      lab/batch-1   shop/db-1   100m cpu   10 s    200m           900m             Credits

  CLOSED   LENDER        BORROWER     AMOUNT    ENDED AGO   MILLICORE-SECONDS   REASON   OUTCOME
  6        lab/batch-1   shop/web-1   60m cpu   10 min      12000               Need     Recalled   the lender needed it
)");
}

TEST(Ledger, SaysWhenTheCreditsDoNotSumToZeroAndWhatFollows) {
  auto edited = test::Partition();
  edited["status"]["houseCredits"] = 13;
  EXPECT_THAT(Shown(edited), HasSubstr("The books do NOT balance"));
  EXPECT_THAT(Shown(edited), HasSubstr("off by 1"));
  EXPECT_FALSE(json::parse(RenderLedgerJson({ToBooks(edited)}, {}))[0]["balanced"].get<bool>());
}

TEST(Ledger, ShowsWhatConcernsOneVmBesideTheSumsOfTheNode) {
  const auto text = Shown(test::Partition(), {.vm = "lab/batch-1", .closed = true});
  EXPECT_THAT(text, HasSubstr("  lab/batch-1         400m "));
  EXPECT_THAT(text, Not(HasSubstr("shop/web-1   400m")));
  EXPECT_THAT(text, Not(HasSubstr("  7  ")));
  EXPECT_THAT(text, HasSubstr("(sum of the node)"));
  EXPECT_THAT(text, HasSubstr("Recalled"));
}

TEST(Ledger, KnowsOtherResourcesAndPartiesThatHaveLeft) {
  auto object = test::Partition();
  object["status"]["openLoans"].push_back({{"number", 9},
                                           {"resource", "gpu-slices"},
                                           {"lender", "shop/gone-1"},
                                           {"borrower", "shop/db-1"},
                                           {"amount", "2"}});
  const auto books = ToBooks(object);
  ASSERT_EQ(books.resources.size(), 2u);
  EXPECT_THAT(Shown(object), HasSubstr("  gpu-slices"));
  EXPECT_THAT(Shown(object), HasSubstr("shop/gone-1"));
  const auto postings = PostingsOf(books, "gpu-slices");
  ASSERT_TRUE(postings);
  std::int64_t net = 0;
  for (const auto& p : *postings) net += p.net();
  EXPECT_EQ(net, 0);
}

TEST(Ledger, SumsUpNothingItCannotRead) {
  auto object = test::Partition();
  object["status"]["openLoans"][0]["amount"] = "plenty";
  EXPECT_THAT(Shown(object), HasSubstr("cannot be read"));
  EXPECT_FALSE(json::parse(RenderLedgerJson({ToBooks(object)}, {}))[0]["balanced"].get<bool>());
  EXPECT_THAT(Shown(json::object()), HasSubstr("No loan is open"));
}

TEST(Ledger, SaysTheSameToPrograms) {
  const auto node = json::parse(RenderLedgerJson({ToBooks(test::Partition())}, {.closed = true}))[0];
  EXPECT_EQ(node["node"], "node-1");
  EXPECT_TRUE(node["balanced"].get<bool>());
  EXPECT_EQ(node["creditsSum"], 0);
  EXPECT_EQ(node["resources"][0]["lentMillicores"], 340);
  EXPECT_EQ(node["resources"][0]["netMillicores"], 0);
  EXPECT_EQ(node["resources"][0]["postings"].size(), 3u);
  EXPECT_EQ(node["openLoans"][0]["reason"], "Need");
  EXPECT_EQ(node["openLoans"][0]["expiryTime"], "2023-11-14T22:13:30Z");
  EXPECT_EQ(node["closedLoans"][0]["outcome"], "Recalled");
  EXPECT_EQ(node["closedLoans"][0]["moved"], 12000);
}

TEST(LedgerHistory, IsMergedFromAllReplicasTheLatestFirst) {
  auto other = test::History();
  other["loans"].push_back({{"node", "node-1"},
                            {"number", 9},
                            {"resource", "cpu"},
                            {"lender", "shop/db-1"},
                            {"borrower", "shop/web-1"},
                            {"amount", "30m"},
                            {"since", "2023-11-14T22:10:00Z"},
                            {"endTime", "2023-11-14T22:11:20Z"},
                            {"outcome", "Returned"}});
  const auto all = MergeHistories({test::History(), other, json::array()}, "", "");
  ASSERT_EQ(all["loans"].size(), 3u) << "each once";
  EXPECT_EQ(all["loans"][0]["number"], 9);
  EXPECT_EQ(all["plans"].size(), 1u);
  EXPECT_EQ(MergeHistories({other}, "node-2", "")["loans"].size(), 1u);
  EXPECT_EQ(MergeHistories({other}, "", "shop/web-1")["loans"].size(), 2u);
  const auto text = RenderHistory(all, {.now = kNow});
  EXPECT_THAT(text, HasSubstr("node-1     6      lab/batch-1   shop/web-1   60m cpu   10 min       12000"));
  EXPECT_THAT(text, HasSubstr("HandedOver"));
  EXPECT_THAT(RenderHistory(json::object(), {}), HasSubstr("No loan that has ended"));
}

}  // namespace
}  // namespace whorl::plugin
