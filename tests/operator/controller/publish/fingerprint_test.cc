#include "operator/controller/publish/fingerprint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "crd/conditions.h"
#include "operator/controller/publish/sentences.h"
#include "tests/operator/controller/rows.h"

namespace whorl::controller {
namespace {

using test::MakeRow;
using ::testing::HasSubstr;
using ::testing::Not;

VmReport Seen(State state, std::optional<std::uint8_t> score, Mode mode = Mode::kEnforce) {
  VmReport vm;
  vm.resolution = MakeRow("db-1", mode);
  vm.assessment.state = state;
  vm.assessment.score = score;
  vm.assessment.threshold = 52;
  vm.assessment.learning.samples = vm.assessment.learning.samples_needed = 60;
  vm.assessment.learning.percent = 100;
  vm.assessment.cpu_now = MilliCores{400};
  vm.assessment.top[0] = Contribution{Feature::kCpuUsage, 15, 0.6F, 400, 9};
  vm.assessment.top_count = 1;
  return vm;
}

Bucket Of(const VmReport& vm, std::optional<Bucket> before = std::nullopt) { return BucketOf(vm, before); }

TEST(BucketOf, CountsScoresInTensWithoutFlappingAtTheEdge) {
  const auto first = Of(Seen(State::kNormal, 29));
  EXPECT_EQ(first.score, 2);
  EXPECT_EQ(Of(Seen(State::kNormal, 31), first).score, 2);
  EXPECT_EQ(Of(Seen(State::kNormal, 32), first).score, 3);
  EXPECT_EQ(Of(Seen(State::kNormal, 18), first).score, 2);
  EXPECT_EQ(Of(Seen(State::kNormal, 17), first).score, 1);
}

TEST(BucketOf, CountsCpuInDoublings) {
  auto vm = Seen(State::kNormal, 1);
  vm.assessment.cpu_now = MilliCores{390};
  const auto first = Of(vm);
  vm.assessment.cpu_now = MilliCores{420};
  EXPECT_EQ(Of(vm, first).demand, first.demand);
  vm.assessment.cpu_now = MilliCores{900};
  EXPECT_NE(Of(vm, first).demand, first.demand);
}

TEST(BucketOf, TellsWhatPeopleWaitForFromTheRest) {
  const auto calm = Of(Seen(State::kNormal, 5));
  EXPECT_TRUE(calm.SameForPeople(Of(Seen(State::kNormal, 35))));
  EXPECT_FALSE(calm.SameForPeople(Of(Seen(State::kDeviating, 35))));
  auto borrowing = Seen(State::kNormal, 5);
  borrowing.borrowed.amount = MilliCores{100};
  EXPECT_FALSE(calm.SameForPeople(Of(borrowing)));
}

TEST(ToAnnotations, HasNoScoreWhileLearningOrBlind) {
  EXPECT_FALSE(ToAnnotations(Seen(State::kLearning, 40)).score.has_value());
  EXPECT_FALSE(ToAnnotations(Seen(State::kBlind, 40)).score.has_value());
  EXPECT_EQ(ToAnnotations(Seen(State::kNormal, 40)).score, "40");
}

TEST(SummaryText, IsOneSentenceThatNamesWhatIsUnusual) {
  auto vm = Seen(State::kDeviating, 80);
  vm.assessment.episode = Episode{1, FromUnixMillis(1'700'000'000'000), std::nullopt, 80};
  const auto text = SummaryText(vm);
  EXPECT_THAT(text, HasSubstr("cpu usage 400 millicores"));
  EXPECT_THAT(text, HasSubstr("since 2023-11-14T22:13:20Z"));
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 0);
  vm = Seen(State::kBlind, std::nullopt);
  vm.blind_reason = "no whorl-agent runs on node node-1";
  EXPECT_THAT(SummaryText(vm), HasSubstr("no whorl-agent runs"));
}

TEST(Nature, StandsInTheStatusTheSummaryAndTheEvent) {
  auto vm = Seen(State::kDeviating, 80);
  EXPECT_TRUE(ToFingerprint(vm, std::nullopt, {}, Time{}).nature.empty());
  const auto before = Of(vm);
  vm.assessment.nature = Nature::kMinerLike;
  EXPECT_FALSE(before.SameForPeople(Of(vm))) << "it is written at once";
  EXPECT_EQ(ToFingerprint(vm, std::nullopt, {}, Time{}).nature, "MinerLike");
  vm.assessment.state = State::kNormal;
  EXPECT_TRUE(ToFingerprint(vm, std::nullopt, {}, Time{}).nature.empty()) << "a name alarms by itself";
  vm.assessment.state = State::kDeviating;
  EXPECT_THAT(SummaryText(vm), HasSubstr("Unlike itself, MinerLike: cpu usage"));
  EXPECT_THAT(DeviatingNote(vm), HasSubstr("threshold of 52; MinerLike: it computes without a pause"));
  EXPECT_THAT(NatureChangedNote(vm.assessment, Nature::kRunaway), HasSubstr("Looks like MinerLike now, not Runaway"));
  EXPECT_THAT(NatureChangedNote(vm.assessment, Nature::kNone), Not(HasSubstr("not ")));
}

TEST(SummaryText, FitsWhatKubectlDescribeShowsOfAnAnnotation) {
  auto vm = Seen(State::kDeviating, 80);
  vm.assessment.episode = Episode{1, FromUnixMillis(1'700'000'000'000), std::nullopt, 80};
  vm.assessment.top_count = 3;
  vm.assessment.top[1] = {Feature::kVcpuDelay, 12.0F, 0.3F, 543.21F, 3.6F};
  vm.assessment.top[2] = {Feature::kCpuThrottled, 9.0F, 0.2F, 565.4F, 0.2F};
  vm.borrowed.amount = MilliCores{240};
  EXPECT_LE(SummaryText(vm).size(), 138u);
  EXPECT_THAT(SummaryText(vm), HasSubstr("borrows"));
  vm = Seen(State::kBlind, std::nullopt);
  vm.blind_reason = std::string(500, 'x');
  EXPECT_LE(SummaryText(vm).size(), 138u);
}

TEST(SummaryText, NeverNamesANeighbour) {
  auto vm = Seen(State::kNormal, 3);
  vm.borrowed.amount = MilliCores{120};
  EXPECT_THAT(SummaryText(vm), HasSubstr("borrows"));
  EXPECT_THAT(SummaryText(vm), Not(HasSubstr("web-1")));
}

const crd::Condition* Condition(const crd::BehaviorFingerprintStatus& status, std::string_view type) {
  return crd::FindCondition(status.conditions, type);
}

TEST(ToFingerprint, IsReadyWhenSeenLearntAndInForce) {
  auto vm = Seen(State::kNormal, 3);
  vm.held = true;
  const auto status = ToFingerprint(vm, std::nullopt, {}, FromUnixMillis(1));
  EXPECT_EQ(Condition(status, crd::kReady)->status, crd::ConditionStatus::kTrue);
  EXPECT_EQ(Condition(status, crd::kPartitioned)->reason, "InForce");
  EXPECT_EQ(status.score, 3);
  EXPECT_EQ(status.threshold, 52);
  ASSERT_EQ(status.contributing.size(), 1u);
  EXPECT_EQ(status.contributing[0].name, "cpu usage");
}

TEST(ToFingerprint, ShowsMemoryWhereItIsDivided) {
  auto vm = Seen(State::kNormal, 5);
  const auto memory = [&]() -> std::optional<crd::ResourceView> {
    const auto out = ToFingerprint(vm, std::nullopt, {}, Time{});
    const auto it =
        std::find_if(out.resources.begin(), out.resources.end(), [](const auto& r) { return r.name == "memory"; });
    return it == out.resources.end() ? std::nullopt : std::optional(*it);
  };
  EXPECT_FALSE(memory());
  vm.assessment.memory_need = 253;
  vm.assessment.memory_base = 400;
  vm.assessment.memory_entitled = 300;
  ASSERT_TRUE(memory());
  EXPECT_EQ(memory()->demand, "253Mi");
  EXPECT_EQ(memory()->base, "400Mi");
  EXPECT_EQ(memory()->allocation, "300Mi");
}

TEST(ToFingerprint, IsReadyInModeObserveAlthoughNothingIsHeld) {
  const auto status = ToFingerprint(Seen(State::kNormal, 3, Mode::kObserve), std::nullopt, {}, FromUnixMillis(1));
  EXPECT_EQ(Condition(status, crd::kReady)->status, crd::ConditionStatus::kTrue);
  EXPECT_EQ(Condition(status, crd::kPartitioned)->reason, "NotEnforced");
  EXPECT_TRUE(status.resources.at(0).allocation.empty());
}

TEST(ToFingerprint, SaysWhyAVmIsNotSeenOrNotWatched) {
  auto vm = Seen(State::kBlind, std::nullopt);
  vm.blind_reason = "the stream broke";
  const auto blind = ToFingerprint(vm, std::nullopt, {}, FromUnixMillis(1));
  EXPECT_EQ(Condition(blind, crd::kSensed)->reason, "NoFreshSamples");
  EXPECT_EQ(Condition(blind, crd::kReady)->message, "the stream broke");
  auto row = MakeRow("db-1", Mode::kObserve);
  row.enrolment.reset();
  row.not_watched = NotWatched{"NotRunning", "the VM does not run"};
  const auto stopped = ToFingerprint(Unwatched(row, "the VM does not run"), std::nullopt, {}, FromUnixMillis(1));
  EXPECT_EQ(Condition(stopped, crd::kSensed)->reason, "NotRunning");
  EXPECT_FALSE(stopped.score.has_value());
}

TEST(ToFingerprint, SaysThatThePolicyKeepsAnEnforceVmAtObserve) {
  auto vm = Seen(State::kNormal, 3, Mode::kObserve);
  vm.resolution.mode.cap = crd::Cap::kPolicyMaxMode;
  vm.resolution.mode.message = "maxMode is Observe";
  const auto status = ToFingerprint(vm, std::nullopt, {}, FromUnixMillis(1));
  EXPECT_EQ(Condition(status, crd::kModeIsCapped)->status, crd::ConditionStatus::kTrue);
  EXPECT_EQ(Condition(status, crd::kModeIsCapped)->message, "maxMode is Observe");
}

TEST(ToFingerprint, KeepsTheTransitionTimeOfWhatDidNotChange) {
  const auto first = ToFingerprint(Seen(State::kNormal, 3), std::nullopt, {}, FromUnixMillis(1000));
  const auto second = ToFingerprint(Seen(State::kDeviating, 80), std::nullopt, first.conditions, FromUnixMillis(9000));
  EXPECT_EQ(Condition(second, crd::kSensed)->last_transition, FromUnixMillis(1000));
}

TEST(DurationText, ReadsLikeSpeech) {
  EXPECT_EQ(DurationText(Seconds{42}), "42 s");
  EXPECT_EQ(DurationText(Seconds{60}), "1 min");
  EXPECT_EQ(DurationText(Seconds{119}), "1 min 59 s");
  EXPECT_EQ(DurationText(Seconds{3900}), "1 h 5 min");
}

}  // namespace
}  // namespace whorl::controller
