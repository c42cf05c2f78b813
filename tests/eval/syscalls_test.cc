#include "tests/bench/eval/syscalls.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "tests/bench/eval/random.h"
#include "tests/bench/eval/syscalls_baselines.h"

namespace whorl::eval {
namespace {

Result<CallTraces> Read(const std::string& text) { return ReadCallTraces(Table::Parse(text).value()); }

TEST(CallTraces, ReadsOneRowPerTrace) {
  const auto all = Read(
      "trace,set,family,attack,len,calls\n"
      "a,train_normal,web,,3,6 6 63\n"
      "b,valid_normal,web,,2,6 2147483647\n"
      "c,attack,hydra,web,1,5\n");
  ASSERT_TRUE(all) << all.error().message;
  ASSERT_EQ(all->traces.size(), 3u);
  EXPECT_EQ(all->traces[0].set, TraceSet::kTrain);
  EXPECT_EQ(all->traces[1].threads[0], (std::vector<std::uint32_t>{6, 2147483647}));
  EXPECT_EQ(all->traces[2].set, TraceSet::kTestAttack);
  EXPECT_EQ(all->traces[2].family, "hydra");
  EXPECT_EQ(all->len_mismatches, 0u);
}

TEST(CallTraces, DropsAndCountsRowsThatAreNoCalls) {
  const auto all = Read(
      "trace,set,family,attack,len,calls\n"
      "a,train_normal,web,,3,6 6 63\n"
      "b,train_normal,web,,3,6 NaN 63\n"
      "c,train_normal,web,,3,6 -1 63\n"
      "d,train_normal,web,,1,2147483648\n"
      "e,train_normal,web,,0,\n"
      "f,train_normal,web,,7,  1   2 \n");
  ASSERT_TRUE(all);
  EXPECT_EQ(all->traces.size(), 2u);
  EXPECT_EQ(all->rows_dropped, 4u);
  EXPECT_EQ(all->len_mismatches, 1u);
}

TEST(CallTraces, RefusesASetItDoesNotKnow) {
  const auto all = Read("trace,set,family,attack,len,calls\na,trian_normal,web,,1,6\n");
  ASSERT_FALSE(all);
  EXPECT_EQ(all.error().code, Code::kInvalid);
  EXPECT_NE(all.error().message.find("line 2"), std::string::npos);
  EXPECT_FALSE(Read("trace,family,attack,len,calls\na,web,,1,6\n"));
  EXPECT_FALSE(Read("trace,set,family,attack,len,calls\n"));
}

TEST(CallTraces, ReadsRecordedEventsPerThread) {
  const auto all = Read(
      "recording,split,t,dir,syscall,process,pid,tid,cpu,ret\n"
      "r,training,1.0,exit,epoll_wait,nginx,1,1,0,1\n"
      "r,training,1.1,entry,recvfrom,nginx,1,1,0,\n"
      "r,training,1.2,entry,open,nginx,1,2,0,\n"
      "r,training,1.3,entry,open,nginx,1,1,0,\n"
      "r,training,1.3,entry,open,nginx,1,x,0,\n"
      "s,test_attack,1.4,entry,execve,nginx,1,1,0,\n");
  ASSERT_TRUE(all) << all.error().message;
  ASSERT_EQ(all->traces.size(), 2u);
  ASSERT_EQ(all->traces[0].threads.size(), 2u);
  EXPECT_EQ(all->traces[0].threads[0].size(), 2u);
  EXPECT_EQ(all->traces[0].threads[0][1], all->traces[0].threads[1][0]);
  EXPECT_EQ(all->traces[1].set, TraceSet::kTestAttack);
  EXPECT_EQ(all->rows_dropped, 1u);
}

TEST(Detection, CountsAttacksAboveTheNormalQuantile) {
  std::vector<float> score;
  std::vector<std::uint8_t> attack;
  for (int i = 0; i < 100; ++i) {  // normal: 0..99
    score.push_back(static_cast<float>(i));
    attack.push_back(0);
  }
  for (const float s : {10.0f, 94.0f, 96.5f, 200.0f}) {
    score.push_back(s);
    attack.push_back(1);
  }
  EXPECT_DOUBLE_EQ(DetectionAt(score, attack, 0.05), 0.5);
}

TEST(Detection, EqualScoresAreNoDetection) {
  const std::vector<float> score(200, 1.0f);
  std::vector<std::uint8_t> attack(200, 0);
  for (std::size_t i = 0; i < 100; ++i) attack[i] = 1;
  EXPECT_DOUBLE_EQ(DetectionAt(score, attack, 0.05), 0.05);
  EXPECT_TRUE(std::isnan(DetectionAt(score, std::vector<std::uint8_t>(200, 0), 0.05)));
}

TEST(Stide, CountsWindowsItHasNeverSeen) {
  Stide stide;
  stide.Learn({{1, 2, 3, 4, 5, 6, 7, 8}});
  EXPECT_EQ(stide.Mismatches({{2, 3, 4, 5, 6, 7}}), 0);
  EXPECT_DOUBLE_EQ(stide.Mismatches({{1, 2, 3, 4, 5, 6, 9}}), 0.5);
  EXPECT_EQ(stide.LocalityFrame({{1, 2, 3, 4, 5, 6, 9}}), 1);
  EXPECT_EQ(stide.Mismatches({{1, 2}}), 0);  // too short to have a window
}

TEST(Markov, RarerStepsSurpriseMore) {
  Markov2 markov;
  markov.Learn({{1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 4}});
  EXPECT_LT(markov.Surprisal({{1, 2, 3}}), markov.Surprisal({{1, 2, 4}}));
  EXPECT_LT(markov.Surprisal({{1, 2, 4}}), markov.Surprisal({{1, 2, 9}}));
}

// Three programs with habits of their own; an attack is one program doing what
// another does, which no set of known windows can tell.
std::string Programs() {
  Random random(3);
  std::string text = "trace,set,family,attack,len,calls\n";
  const auto row = [&](int number, const char* set, std::uint64_t program, bool foreign) {
    std::string calls;
    int length = 0;
    for (int burst = 0; burst < 30; ++burst) {
      const std::uint64_t who = foreign && burst % 3 == 0 ? (program + 1) % 3 : program;
      const std::uint64_t repeats = 1 + random.Below(4);
      for (std::uint64_t i = 0; i < repeats * 6; ++i, ++length)
        calls += (calls.empty() ? "" : " ") + std::to_string(who * 40 + i % 6 + (random.Below(20) == 0 ? 7 : 0));
    }
    text += "t" + std::to_string(number) + ',' + set + ',' + (foreign ? "mixed" : "program") + ",," +
            std::to_string(length) + ',' + calls + '\n';
  };
  for (int i = 0; i < 90; ++i) row(i, "train_normal", static_cast<std::uint64_t>(i % 3), false);
  for (int i = 0; i < 60; ++i) row(100 + i, "valid_normal", static_cast<std::uint64_t>(i % 3), false);
  for (int i = 0; i < 30; ++i) row(200 + i, "attack", static_cast<std::uint64_t>(i % 3), true);
  return text;
}

TEST(SyscallsVerb, PrintsOneLinePerFamilyAndOneForAll) {
  const auto traces = Read(Programs()).value();
  std::ostringstream first, second;
  ASSERT_TRUE(EvaluateSyscalls(traces, traces, true, first));
  std::istringstream lines(first.str());
  std::string line;
  ASSERT_TRUE(std::getline(lines, line));
  EXPECT_EQ(nlohmann::json::parse(line)["series"], "mixed");
  ASSERT_TRUE(std::getline(lines, line));
  const auto all = nlohmann::json::parse(line);
  EXPECT_EQ(all["series"], "*");
  EXPECT_EQ(all["attacks"], 30);
  EXPECT_EQ(all["learnt"], 90);
  EXPECT_NEAR(all["prevalence"].get<double>(), 1.0 / 3, 1e-6);
  EXPECT_GT(all["auc_roc"].get<double>(), 0.95);
  for (const char* figure : {"auc_pr", "detection_at_5pct", "stide_auc_roc", "markov2_auc_roc", "random_auc_roc",
                             "detection_vs_stide", "seconds", "bytes"})
    EXPECT_TRUE(all[figure].is_number()) << figure;

  EXPECT_TRUE(all.contains("one_minus_auc_vs_stide"));  // null where STIDE makes no mistake

  // Twice the same but for the time it took.
  ASSERT_TRUE(EvaluateSyscalls(traces, traces, true, second));
  std::string last;
  for (std::istringstream again(second.str()); std::getline(again, line);) last = line;
  EXPECT_EQ(nlohmann::json::parse(last)["auc_roc"], all["auc_roc"]);
  EXPECT_EQ(nlohmann::json::parse(last)["auc_pr"], all["auc_pr"]);
}

TEST(SyscallsVerb, SaysWhatIsMissing) {
  const auto only_train = Read("trace,set,family,attack,len,calls\na,train_normal,web,,2,6 7\n").value();
  const auto only_attack = Read("trace,set,family,attack,len,calls\na,attack,web,,2,6 7\n").value();
  std::ostringstream out;
  EXPECT_FALSE(EvaluateSyscalls(only_train, only_train, true, out));
  EXPECT_FALSE(EvaluateSyscalls(only_attack, only_attack, true, out));
  // One trace learnt, one attack, no normal one: no figure, no crash.
  EXPECT_TRUE(EvaluateSyscalls(only_train, only_attack, true, out));
  EXPECT_FALSE(RunSyscalls({"/nonexistent.csv", "/nonexistent.csv", true}, out, out));
}

}  // namespace
}  // namespace whorl::eval
