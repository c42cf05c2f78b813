#include "operator/controller/history/ledger_history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/fake/temp_dir.h"
#include "tests/operator/controller/rows.h"

namespace whorl::controller {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const Time kBegin = FromUnixMillis(1'700'000'000'000);

struct LedgerHistoryTest : testing::Test {
  LedgerHistory::Options Options() {
    LedgerHistory::Options options;
    options.file = dir.path() + "/ledger.db";
    options.on_trouble = [this](const std::string& text) { said.push_back(text); };
    return options;
  }
  std::unique_ptr<LedgerHistory> Open() { return Open(Options()); }
  std::unique_ptr<LedgerHistory> Open(const LedgerHistory::Options& options) {
    auto history = LedgerHistory::Open(options);
    if (!history) throw std::runtime_error(history.error().message);
    return std::move(*history);
  }
  // `number` has just ended; the report remembers the two before.
  static NodeReport Ended(std::int64_t number) {
    NodeReport report;
    report.node = "node-1";
    report.epoch = 3;
    report.connected = true;
    report.at = kBegin + Seconds{number};
    report.capacity = MilliCores{1200};
    VmReport vm;
    vm.resolution = test::MakeRow("db-1", Mode::kEnforce);
    vm.assessment.cpu_entitlement = MilliCores{400};
    vm.assessment.cpu_allocation = MilliCores{640};
    report.vms = {vm};
    report.loans = {
        LoanReport{.id = 99, .lender = "default/web-1", .borrower = "default/db-1", .amount = MilliCores{240}}};
    for (std::int64_t n = number; n > std::max<std::int64_t>(0, number - 3); --n) {
      report.closed.push_back({.number = n,
                               .resource = "cpu",
                               .lender = "default/web-1",
                               .borrower = "default/db-1",
                               .amount = "240m",
                               .reason = "Need",
                               .forecast = "900m",
                               .lender_forecast = "40m",
                               .since = kBegin,
                               .end = kBegin + Seconds{n},
                               .outcome = "Returned",
                               .moved = n * 100});
    }
    return report;
  }
  static std::vector<std::int64_t> Numbers(const LedgerHistory& history) {
    std::vector<std::int64_t> out;
    const auto shown = json::parse(history.Json(1000));
    for (const auto& loan : shown["loans"]) out.push_back(loan["number"]);
    return out;
  }
  fake::TempDir dir;
  std::vector<std::string> said;
};

TEST_F(LedgerHistoryTest, KeepsEveryLoanOnceOverARestart) {
  {
    auto history = Open();
    for (std::int64_t n = 1; n <= 3; ++n) {
      history->Add(Ended(n));
      history->Add(Ended(n));
    }
    history->Flush();
    EXPECT_THAT(Numbers(*history), ElementsAre(3, 2, 1));
  }
  auto history = Open();
  history->Add(Ended(4));  // and the two before once more, as after a takeover
  history->Flush();
  EXPECT_THAT(Numbers(*history), ElementsAre(4, 3, 2, 1));
  const auto loan = json::parse(history->Json(1))["loans"][0];
  EXPECT_EQ(loan["lender"], "default/web-1");
  EXPECT_EQ(loan["reason"], "Need");
  EXPECT_EQ(loan["lenderForecast"], "40m");
  EXPECT_EQ(loan["endTime"], "2023-11-14T22:13:24Z");
  EXPECT_EQ(loan["outcome"], "Returned");
  EXPECT_EQ(loan["moved"], 400);
  EXPECT_TRUE(said.empty());
}

TEST_F(LedgerHistoryTest, KeepsOnePlanAMinutePerNode) {
  auto history = Open();
  for (std::int64_t second = 1; second <= 130; ++second) history->Add(Ended(second));
  history->Flush();
  const auto plans = json::parse(history->Json(1000))["plans"];
  ASSERT_EQ(plans.size(), 3u);
  EXPECT_EQ(plans[0]["time"], "2023-11-14T22:15:21Z");
  EXPECT_EQ(plans[0]["capacityMillicores"], 1200);
  EXPECT_EQ(plans[0]["entitledMillicores"], 400);
  EXPECT_EQ(plans[0]["allocatedMillicores"], 640);
  EXPECT_EQ(plans[0]["lentMillicores"], 240);
  EXPECT_EQ(plans[0]["virtualMachines"], 1);
}

TEST_F(LedgerHistoryTest, IsBounded) {
  auto options = Options();
  options.most_loans = 10;
  options.most_plans = 2;
  options.plan_every = Seconds{1};
  auto history = Open(options);
  for (std::int64_t n = 1; n <= 50; ++n) {
    history->Add(Ended(n));
    history->Flush();
  }
  EXPECT_EQ(Numbers(*history).size(), 10u);
  EXPECT_EQ(Numbers(*history).front(), 50);
  EXPECT_EQ(json::parse(history->Json(1000))["plans"].size(), 2u);
}

TEST_F(LedgerHistoryTest, SetsADamagedFileAsideSaysSoAndGoesOn) {
  std::ofstream(Options().file) << std::string(8192, 'x');
  auto history = Open();
  ASSERT_EQ(said.size(), 1u);
  EXPECT_THAT(said[0], HasSubstr("set aside as " + Options().file + ".set-aside"));
  EXPECT_TRUE(std::filesystem::exists(Options().file + ".set-aside"));
  history->Add(Ended(1));
  history->Flush();
  EXPECT_THAT(Numbers(*history), ElementsAre(1));
}

TEST_F(LedgerHistoryTest, SetsAFileThatIsDamagedWhileItIsOpenAsideAndKeepsWhatCame) {
  auto history = Open();
  for (std::int64_t n = 1; n <= 60; ++n) history->Add(Ended(n));
  history->Flush();
  {
    std::fstream file(Options().file, std::ios::in | std::ios::out | std::ios::binary);
    const std::string noise(std::filesystem::file_size(Options().file), 'x');
    file << noise;
  }
  history->Add(Ended(61));
  history->Flush();
  ASSERT_EQ(said.size(), 1u) << "said once";
  EXPECT_EQ(Numbers(*history).front(), 61);
}

TEST_F(LedgerHistoryTest, SetsAFullFileAsideAndBeginsAnew) {
  auto options = Options();
  options.most_pages = 16;
  auto history = Open(options);
  for (std::int64_t n = 1; n <= 1000; ++n) {
    history->Add(Ended(n));
    if (n % 20 == 0) history->Flush();
  }
  ASSERT_FALSE(said.empty());
  EXPECT_THAT(said[0], HasSubstr("full"));
  EXPECT_EQ(Numbers(*history).front(), 1000);
  EXPECT_LE(std::filesystem::file_size(options.file), 16u * 4096);
}

TEST_F(LedgerHistoryTest, GivesUpWhereNothingCanBeWrittenAndSaysSo) {
  auto options = Options();
  options.file = dir.path() + "/nowhere/ledger.db";
  const auto refused = LedgerHistory::Open(options);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kUnavailable);
  EXPECT_THAT(refused.error().message, HasSubstr("nowhere/ledger.db"));
  EXPECT_THAT(refused.error().message, HasSubstr("--history"));
}

TEST_F(LedgerHistoryTest, TakesNothingOfWhomItHasNotPlannedFor) {
  auto history = Open();
  auto report = Ended(3);
  report.epoch = 0;
  history->Add(report);
  history->Flush();
  EXPECT_TRUE(Numbers(*history).empty());
}

}  // namespace
}  // namespace whorl::controller
