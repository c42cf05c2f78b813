#include "operator/agent/act/holder.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "tests/fake/fake_knob_tree.h"
#include "tests/fake/fake_pod_parts.h"
#include "tests/fake/manual_clock.h"
#include "tests/fake/temp_dir.h"

namespace whorl::agent {
namespace {

// The VMs of a node, as a test says.
class FakeDirectory : public VmDirectory {
 public:
  Result<std::vector<VmPlace>> Scan() const override {
    if (blind_) return Fail(Code::kUnauthorized, "/proc: permission denied");
    return places_;
  }
  bool Runs(const VmPlace& place) const override {
    return std::any_of(places_.begin(), places_.end(), [&](const VmPlace& p) { return p.pid == place.pid; });
  }
  void Add(const std::string& uid) {
    VmPlace place;
    place.pid = static_cast<int>(places_.size()) + 100;
    place.start_ticks = 1;
    place.dirs.pod_uid = uid;
    place.dirs.pod_cpu = "/cg/cpu/" + uid;
    places_.push_back(place);
  }
  std::vector<VmPlace> places_;
  bool blind_ = false;
};

struct Ask {
  std::string uid;
  std::int64_t millicores;
  bool quota = true;
};

class HolderTest : public testing::Test {
 protected:
  HolderTest() {
    for (const auto* uid : {"db-1", "web-1", "batch-1"}) {
      tree_.Add(std::string("/cg/cpu/") + uid,
                {{"cpu.shares", "109"}, {"cpu.cfs_quota_us", "-1"}, {"cpu.cfs_period_us", "100000"}});
      directory_.Add(uid);
    }
  }

  api::EnrolRequest Enrolment(std::uint64_t epoch, const std::vector<std::string>& uids,
                              api::Mode mode = api::MODE_ENFORCE) {
    api::EnrolRequest request;
    request.set_epoch(epoch);
    for (const auto& uid : uids) {
      auto& pod = *request.add_pods();
      pod.set_pod_uid(uid);
      pod.set_mode(mode);
      pod.set_cpu_request_millicores(100);
    }
    return request;
  }
  void EnrolAll(std::uint64_t epoch = 1) {
    ASSERT_TRUE(holder_.Enrol(Enrolment(epoch, {"db-1", "web-1", "batch-1"}), "ctl"));
  }
  api::Plan MakePlan(const std::vector<Ask>& asks, std::uint64_t epoch = 1) {
    api::Plan plan;
    plan.set_epoch(epoch);
    plan.set_sequence(++sequence_);
    plan.set_lease_millis(10000);
    plan.set_capacity_millicores(1500);
    for (const auto& ask : asks) {
      auto& directive = *plan.add_directives();
      directive.set_pod_uid(ask.uid);
      directive.set_allocation_millicores(ask.millicores);
      directive.set_shares(static_cast<std::uint32_t>(ask.millicores));
      if (ask.quota) directive.set_quota_millicores(ask.millicores);
    }
    return plan;
  }
  static void Lend(api::Plan& plan, std::uint64_t id, const std::string& from, const std::string& to,
                   std::int64_t amount) {
    auto& loan = *plan.add_loans();
    loan.set_id(id);
    loan.set_lender_pod_uid(from);
    loan.set_borrower_pod_uid(to);
    loan.set_amount_millicores(amount);
  }
  api::Receipt Apply(const std::vector<Ask>& asks) { return holder_.Apply(MakePlan(asks), "ctl"); }
  std::string Quota(const std::string& uid) const { return tree_.Text("/cg/cpu/" + uid + "/cpu.cfs_quota_us"); }
  std::string Shares(const std::string& uid) const { return tree_.Text("/cg/cpu/" + uid + "/cpu.shares"); }
  void ExpectAsFound() const {
    for (const auto* uid : {"db-1", "web-1", "batch-1"}) {
      EXPECT_EQ(Quota(uid), "-1") << uid;
      EXPECT_EQ(Shares(uid), "109") << uid;
      EXPECT_FALSE(journal_.Has(uid)) << uid;
    }
  }
  static std::string Reason(const api::Receipt& receipt, int i = 0) { return receipt.outcomes(i).refusal_reason(); }

  fake::TempDir dir_;
  fake::ManualClock clock_;
  fake::FakeKnobTree tree_{{}};
  fake::FakePodParts parts_;
  FakeDirectory directory_;
  Journal journal_ = *Journal::Open(dir_.path());
  std::string trouble_;
  EpochFile epochs_ = EpochFile::Open(dir_.path(), trouble_);
  std::uint64_t sequence_ = 0;
  Holder holder_{{"/cg", CgroupVersion::kV1, 2000, 8}, tree_, parts_, journal_, directory_, epochs_, clock_};
};

// --- enrolment

TEST_F(HolderTest, EnrolmentSaysWhatIsFoundAndWhatIsMissing) {
  auto request = Enrolment(1, {"db-1", "nobody"});
  const auto reply = holder_.Enrol(request, "ctl");
  ASSERT_TRUE(reply);
  EXPECT_TRUE(reply->pods(0).found());
  EXPECT_EQ(reply->pods(0).cpu().shares(), 109u);
  EXPECT_EQ(reply->pods(0).cpu().quota_us(), -1);
  EXPECT_FALSE(reply->pods(1).found());
  EXPECT_NE(reply->pods(1).reason().find("QEMU"), std::string::npos);
}

TEST_F(HolderTest, AnOlderEpochMayNotEnrol) {
  EnrolAll(5);
  const auto reply = holder_.Enrol(Enrolment(4, {}), "ctl");
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, Code::kRefused);
  EXPECT_EQ(holder_.enrolled().size(), 3u);
}

TEST_F(HolderTest, ASecondControllerOfTheSameEpochIsRefused) {
  EnrolAll();
  EXPECT_EQ(holder_.Enrol(Enrolment(1, {}), "other").error().code, Code::kConflict);
  auto plan = MakePlan({{"db-1", 500}});
  EXPECT_EQ(holder_.Apply(plan, "other").refusal_reason(), "SecondController");
  EXPECT_TRUE(holder_.Enrol(Enrolment(2, {"db-1"}), "other"));
}

TEST_F(HolderTest, APodLeavingTheEnrolmentIsRestoredBeforeTheCallReturns) {
  EnrolAll();
  Apply({{"db-1", 500}, {"web-1", 300}});
  ASSERT_TRUE(holder_.Enrol(Enrolment(1, {"web-1"}), "ctl"));
  EXPECT_EQ(Quota("db-1"), "-1");
  EXPECT_EQ(Shares("db-1"), "109");
  EXPECT_EQ(Quota("web-1"), "30000");
}

TEST_F(HolderTest, APodThatIsOnlyObservedFromNowOnIsRestored) {
  EnrolAll();
  Apply({{"db-1", 500}});
  ASSERT_TRUE(holder_.Enrol(Enrolment(1, {"db-1"}, api::MODE_OBSERVE), "ctl"));
  ExpectAsFound();
  EXPECT_EQ(Reason(Apply({{"db-1", 500}})), "NotEnforced");
}

TEST_F(HolderTest, MorePodsThanTheNodeTakesAreRefused) {
  std::vector<std::string> uids;
  for (int i = 0; i < 9; ++i) uids.push_back("pod-" + std::to_string(i));
  EXPECT_EQ(holder_.Enrol(Enrolment(1, uids), "ctl").error().code, Code::kUnavailable);
}

// --- plans

TEST_F(HolderTest, APlanIsWrittenReadBackAndHeld) {
  EnrolAll();
  const auto receipt = Apply({{"db-1", 800}, {"web-1", 300}});
  ASSERT_TRUE(receipt.accepted()) << receipt.refusal_message();
  EXPECT_TRUE(receipt.outcomes(0).applied());
  EXPECT_EQ(receipt.outcomes(0).read_back().quota_us(), 80000);
  EXPECT_EQ(receipt.outcomes(0).read_back().period_us(), 100000);
  EXPECT_EQ(receipt.outcomes(0).read_back().shares(), 800u);
  EXPECT_EQ(Quota("db-1"), "80000");
  ASSERT_EQ(holder_.holdings().size(), 2u);
  EXPECT_EQ(holder_.holdings()[0].found().quota_us(), -1);
  EXPECT_EQ(holder_.holdings()[0].held().quota_us(), 80000);
}

TEST_F(HolderTest, ASoftPartitionLeavesTheQuotaAlone) {
  EnrolAll();
  Apply({{"db-1", 800, false}});
  EXPECT_EQ(Quota("db-1"), "-1");
  EXPECT_EQ(Shares("db-1"), "800");
}

TEST_F(HolderTest, TurningSoftGivesTheQuotaBack) {
  EnrolAll();
  Apply({{"db-1", 800}});
  Apply({{"db-1", 800, false}});
  EXPECT_EQ(Quota("db-1"), "-1");
  EXPECT_EQ(Shares("db-1"), "800");
}

TEST_F(HolderTest, APodThatThePlanNoLongerNamesIsRestored) {
  EnrolAll();
  Apply({{"db-1", 800}, {"web-1", 300}});
  Apply({{"web-1", 300}});
  EXPECT_EQ(Quota("db-1"), "-1");
  EXPECT_EQ(Shares("db-1"), "109");
}

TEST_F(HolderTest, TheSumNeverExceedsTheCapacityBetweenTwoWrites) {
  EnrolAll();
  Apply({{"db-1", 1000}, {"web-1", 300}, {"batch-1", 200}});
  std::int64_t worst = 0;
  tree_.OnWrite([&] {
    std::int64_t sum = 0;
    for (const auto* uid : {"db-1", "web-1", "batch-1"}) {
      const auto quota = std::stoll(Quota(uid));
      if (quota > 0) sum += quota / 100;
    }
    worst = std::max(worst, sum);
  });
  ASSERT_TRUE(Apply({{"web-1", 1000}, {"batch-1", 300}, {"db-1", 200}}).accepted());
  ASSERT_TRUE(Apply({{"batch-1", 1100}, {"db-1", 200}, {"web-1", 200}}).accepted());
  EXPECT_LE(worst, 1500);
  EXPECT_EQ(Quota("batch-1"), "110000");
}

TEST_F(HolderTest, WhenOneCannotBeLoweredTheOtherIsNotRaised) {
  EnrolAll();
  Apply({{"db-1", 1000}, {"web-1", 300}});
  tree_.FailNextWrite("/cg/cpu/db-1/cpu.cfs_quota_us", EIO);
  const auto receipt = Apply({{"db-1", 400}, {"web-1", 1000}});
  EXPECT_EQ(Reason(receipt, 0), "WriteFailed");
  EXPECT_EQ(Reason(receipt, 1), "WriteFailed");
  EXPECT_EQ(Quota("db-1"), "100000");
  EXPECT_EQ(Quota("web-1"), "30000");
}

TEST_F(HolderTest, OldEpochsSequencesAndOddLeasesAreRefusedAsAWhole) {
  EnrolAll(3);
  auto plan = MakePlan({{"db-1", 500}}, 2);
  EXPECT_EQ(holder_.Apply(plan, "ctl").refusal_reason(), "OldEpoch");
  plan = MakePlan({{"db-1", 500}}, 3);
  EXPECT_TRUE(holder_.Apply(plan, "ctl").accepted());
  EXPECT_EQ(holder_.Apply(plan, "ctl").refusal_reason(), "OldSequence");
  plan = MakePlan({{"db-1", 500}}, 3);
  plan.set_lease_millis(500);
  EXPECT_EQ(holder_.Apply(plan, "ctl").refusal_reason(), "LeaseOutOfRange");
  plan.set_lease_millis(300001);
  EXPECT_EQ(holder_.Apply(plan, "ctl").refusal_reason(), "LeaseOutOfRange");
}

TEST_F(HolderTest, TheEpochOutlivesTheAgent) {
  EnrolAll(3);
  Apply({});
  auto plan = MakePlan({{"db-1", 500}}, 3);
  holder_.Apply(plan, "ctl");
  auto epochs = EpochFile::Open(dir_.path(), trouble_);
  Holder next({"/cg", CgroupVersion::kV1, 2000, 8}, tree_, parts_, journal_, directory_, epochs, clock_);
  EXPECT_EQ(next.highest_epoch(), 3u);
  EXPECT_EQ(next.Apply(plan, "ctl").refusal_reason(), "OldSequence");
  EXPECT_FALSE(next.Enrol(Enrolment(2, {}), "ctl"));
}

TEST_F(HolderTest, ASumAboveTheCapacityIsRefusedAsAWhole) {
  EnrolAll();
  const auto receipt = Apply({{"db-1", 1000}, {"web-1", 501}});
  EXPECT_FALSE(receipt.accepted());
  EXPECT_EQ(receipt.refusal_reason(), "AboveCapacity");
  ExpectAsFound();
  auto plan = MakePlan({{"db-1", 500}});
  plan.set_capacity_millicores(2001);
  EXPECT_EQ(holder_.Apply(plan, "ctl").refusal_reason(), "AboveCapacity") << "of the node itself";
  plan = MakePlan({{"db-1", 9223372036854775807}, {"web-1", 9223372036854775807}});
  EXPECT_EQ(holder_.Apply(plan, "ctl").refusal_reason(), "AboveCapacity") << "without overflowing";
}

TEST_F(HolderTest, OneRefusedDirectiveLeavesTheOthersStanding) {
  auto request = Enrolment(1, {"db-1", "web-1"});
  request.mutable_pods(1)->set_cpu_limit_millicores(400);
  ASSERT_TRUE(holder_.Enrol(request, "ctl"));
  const auto receipt = Apply({{"db-1", 50}, {"web-1", 500}, {"batch-1", 300}});
  EXPECT_TRUE(receipt.accepted());
  EXPECT_EQ(Reason(receipt, 0), "BelowRequest");
  EXPECT_EQ(Reason(receipt, 1), "AboveLimit");
  EXPECT_EQ(Reason(receipt, 2), "NotEnrolled");
  ExpectAsFound();
  EXPECT_TRUE(Apply({{"db-1", 500}, {"web-1", 500}}).outcomes(0).applied());
}

TEST_F(HolderTest, AQuotaTheUserHadIsNeverExceeded) {
  tree_.Set("/cg/cpu/db-1", "cpu.cfs_quota_us", "60000");
  EnrolAll();
  EXPECT_EQ(Reason(Apply({{"db-1", 700}})), "AboveLimit");
  EXPECT_TRUE(Apply({{"db-1", 600}}).outcomes(0).applied());
}

TEST_F(HolderTest, APodWithoutAQemuIsNotTouched) {
  EnrolAll();
  directory_.places_.erase(directory_.places_.begin());
  EXPECT_EQ(Reason(Apply({{"db-1", 500}})), "NoQemu");
  ExpectAsFound();
}

TEST_F(HolderTest, APodThatVanishedIsGone) {
  EnrolAll();
  Apply({{"db-1", 500}});
  tree_.Recreate("/cg/cpu/db-1");
  EXPECT_EQ(Reason(Apply({{"db-1", 600}})), "PodGone");
  EXPECT_TRUE(holder_.holdings().empty());
}

TEST_F(HolderTest, APlanOfAnEpochThatHasNotEnrolledHoldsNothing) {
  EnrolAll(1);
  auto plan = MakePlan({{"db-1", 500}}, 2);
  EXPECT_EQ(Reason(holder_.Apply(plan, "ctl2")), "NotEnrolled");
  ExpectAsFound();
}

// --- giving back

TEST_F(HolderTest, ALeaseThatRunsOutIsRestoredAndTold) {
  EnrolAll();
  Apply({{"db-1", 500}});
  clock_.Advance(Millis{9999});
  holder_.Expire();
  EXPECT_EQ(Quota("db-1"), "50000");
  clock_.Advance(Millis{1});
  holder_.Expire();
  ExpectAsFound();
  api::Frame frame;
  frame.set_sequence(9);
  holder_.AddNotes(frame);
  ASSERT_EQ(frame.expiries_size(), 1);
  EXPECT_EQ(frame.expiries(0).pod_uid(), "db-1");
}

TEST_F(HolderTest, SettingTheWallClockDoesNotEndALease) {
  EnrolAll();
  Apply({{"db-1", 500}});
  clock_.SetWall(clock_.Now() + Seconds{3600});
  holder_.Expire();
  EXPECT_EQ(Quota("db-1"), "50000");
}

TEST_F(HolderTest, ARenewedLeaseDoesNotRunOut) {
  EnrolAll();
  for (int second = 0; second < 30; ++second) {
    Apply({{"db-1", 500}});
    clock_.Advance(Millis{1000});
    holder_.Expire();
  }
  EXPECT_EQ(Quota("db-1"), "50000");
}

TEST_F(HolderTest, AKnobThatCannotBeRestoredIsTriedAgain) {
  EnrolAll();
  Apply({{"db-1", 500}});
  clock_.Advance(Millis{10000});
  tree_.FailNextWrite("/cg/cpu/db-1/cpu.shares", EIO);
  holder_.Expire();
  EXPECT_EQ(Shares("db-1"), "500");
  EXPECT_TRUE(journal_.Has("db-1"));
  holder_.Expire();
  ExpectAsFound();
}

TEST_F(HolderTest, StoppingRestoresEverything) {
  EnrolAll();
  Apply({{"db-1", 500}, {"web-1", 300}, {"batch-1", 200}});
  holder_.RestoreAll();
  ExpectAsFound();
}

TEST_F(HolderTest, WhatAKilledAgentLeftIsRevertedByTheNext) {
  EnrolAll();
  Apply({{"db-1", 500}, {"web-1", 300}});
  auto epochs = EpochFile::Open(dir_.path(), trouble_);
  Holder next({"/cg", CgroupVersion::kV1, 2000, 8}, tree_, parts_, journal_, directory_, epochs, clock_);
  EXPECT_EQ(next.RevertJournal().size(), 4u);
  ExpectAsFound();
}

TEST_F(HolderTest, WhatTheRestorerPutBackIsHeldAnew) {
  EnrolAll();
  Apply({{"db-1", 500}});
  {
    const auto guard = journal_.Lock();
    Restore(tree_, journal_, "/cg", *journal_.Find("db-1"));
  }
  EXPECT_EQ(Quota("db-1"), "-1");
  EXPECT_TRUE(Apply({{"db-1", 500}}).outcomes(0).applied());
  EXPECT_EQ(Quota("db-1"), "50000");
  EXPECT_EQ(journal_.Find("db-1")->knobs.size(), 2u);
}

// --- one writer per field

TEST_F(HolderTest, AForeignWriterIsLeftAloneAndToldUntilEnrolledAnew) {
  EnrolAll();
  Apply({{"db-1", 500}});
  tree_.Set("/cg/cpu/db-1", "cpu.cfs_quota_us", "77000");
  holder_.CheckKnobs();
  const auto foreign = holder_.Foreign("db-1");
  ASSERT_TRUE(foreign);
  EXPECT_EQ(foreign->knob(), "cpu.cfs_quota_us");
  EXPECT_EQ(foreign->expected(), "50000");
  EXPECT_EQ(foreign->seen(), "77000");
  EXPECT_EQ(Quota("db-1"), "77000");
  EXPECT_EQ(Shares("db-1"), "109");
  EXPECT_EQ(Reason(Apply({{"db-1", 600}})), "ForeignWriter");
  ASSERT_TRUE(holder_.Enrol(Enrolment(1, {}), "ctl"));
  EnrolAll();
  EXPECT_TRUE(Apply({{"db-1", 600}}).outcomes(0).applied());
  holder_.RestoreAll();
  EXPECT_EQ(Quota("db-1"), "77000") << "what was found this time";
}

TEST_F(HolderTest, ADaemonReloadIsWrittenOver) {
  EnrolAll();
  Apply({{"db-1", 500}});
  tree_.Set("/cg/cpu/db-1", "cpu.shares", "109");
  holder_.CheckKnobs();
  EXPECT_EQ(Shares("db-1"), "500");
  EXPECT_FALSE(holder_.Foreign("db-1"));
}

// --- loans

TEST_F(HolderTest, ARecallLowersTheBorrowerBeforeItRaisesTheLender) {
  EnrolAll();
  auto plan = MakePlan({{"db-1", 1000}, {"web-1", 200}});
  Lend(plan, 7, "web-1", "db-1", 400);
  ASSERT_TRUE(holder_.Apply(plan, "ctl").accepted());
  const auto before = tree_.writes().size();
  clock_.Advance(Millis{120});
  holder_.Recall(7, clock_.Monotonic() - Millis{20}, "the lender used 250 millicores");
  EXPECT_EQ(Quota("db-1"), "60000");
  EXPECT_EQ(Quota("web-1"), "60000");
  EXPECT_EQ(Shares("db-1"), "600");
  EXPECT_EQ(Shares("web-1"), "600");
  EXPECT_TRUE(tree_.writes().at(before).starts_with("/cg/cpu/db-1/"));
  EXPECT_TRUE(tree_.writes().back().starts_with("/cg/cpu/web-1/"));
  api::Frame frame;
  frame.set_sequence(5);
  holder_.AddNotes(frame);
  ASSERT_EQ(frame.recalls_size(), 1);
  EXPECT_EQ(frame.recalls(0).loan(), 7u);
  EXPECT_EQ(frame.recalls(0).took_millis(), 20u);
  EXPECT_TRUE(holder_.loans().empty());
}

TEST_F(HolderTest, APlanMadeBeforeTheRecallWasHeardDoesNotLendAgain) {
  EnrolAll();
  auto plan = MakePlan({{"db-1", 1000}, {"web-1", 200}});
  Lend(plan, 7, "web-1", "db-1", 400);
  holder_.Apply(plan, "ctl");
  holder_.Recall(7, clock_.Monotonic(), "need");
  api::Frame frame;
  frame.set_sequence(20);
  holder_.AddNotes(frame);

  auto late = MakePlan({{"db-1", 1000}, {"web-1", 200}});
  Lend(late, 7, "web-1", "db-1", 400);
  late.set_frame_sequence(19);
  ASSERT_TRUE(holder_.Apply(late, "ctl").accepted());
  EXPECT_EQ(Quota("web-1"), "60000");
  EXPECT_EQ(Quota("db-1"), "60000");
  EXPECT_TRUE(holder_.loans().empty());

  auto informed = MakePlan({{"db-1", 1000}, {"web-1", 200}});
  Lend(informed, 7, "web-1", "db-1", 400);
  informed.set_frame_sequence(20);
  holder_.Apply(informed, "ctl");
  EXPECT_EQ(Quota("web-1"), "20000") << "who knows of the recall may lend again";
}

TEST_F(HolderTest, NotesAreRepeatedUntilTheirFrameWasDelivered) {
  EnrolAll();
  Apply({{"db-1", 500}});
  clock_.Advance(Millis{10000});
  holder_.Expire();
  for (std::uint64_t sequence = 1; sequence <= 2; ++sequence) {
    api::Frame frame;
    frame.set_sequence(sequence);
    holder_.AddNotes(frame);
    EXPECT_EQ(frame.expiries_size(), 1);
  }
  holder_.Delivered(2);
  api::Frame frame;
  frame.set_sequence(3);
  holder_.AddNotes(frame);
  EXPECT_EQ(frame.expiries_size(), 0);
}

TEST_F(HolderTest, WhenTheBorrowerCannotBeLoweredTheLenderIsNotRaised) {
  EnrolAll();
  auto plan = MakePlan({{"db-1", 1000}, {"web-1", 400}});
  Lend(plan, 7, "web-1", "db-1", 400);
  holder_.Apply(plan, "ctl");
  tree_.FailNextWrite("/cg/cpu/db-1/cpu.shares", EIO);
  holder_.Recall(7, clock_.Monotonic(), "need");
  EXPECT_EQ(Quota("db-1"), "100000");
  EXPECT_EQ(Quota("web-1"), "40000");
  ASSERT_EQ(holder_.loans().size(), 1u) << "the loan stands, to be recalled again";
  holder_.Recall(7, clock_.Monotonic(), "need");
  EXPECT_EQ(Quota("db-1"), "60000");
  EXPECT_EQ(Quota("web-1"), "80000");
}

// --- cgroup v2

TEST(HolderOnV2, HoldsWeightAndMaxAndRestoresTheirBytes) {
  fake::TempDir dir;
  fake::ManualClock clock;
  fake::FakeKnobTree tree({{"/cg/pod", {{"cpu.weight", "5"}, {"cpu.max", "max 100000"}}}});
  FakeDirectory directory;
  directory.Add("db-1");
  directory.places_[0].dirs.pod_cpu = "/cg/pod";
  auto journal = *Journal::Open(dir.path());
  std::string trouble;
  auto epochs = EpochFile::Open(dir.path(), trouble);
  const fake::FakePodParts parts;
  Holder holder({"/cg", CgroupVersion::kV2, 2000, 8}, tree, parts, journal, directory, epochs, clock);
  api::EnrolRequest request;
  request.set_epoch(1);
  request.add_pods()->set_pod_uid("db-1");
  request.mutable_pods(0)->set_mode(api::MODE_ENFORCE);
  const auto reply = holder.Enrol(request, "ctl");
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->pods(0).cpu().quota_us(), -1);
  api::Plan plan;
  plan.set_epoch(1);
  plan.set_sequence(1);
  plan.set_lease_millis(5000);
  plan.set_capacity_millicores(2000);
  auto& directive = *plan.add_directives();
  directive.set_pod_uid("db-1");
  directive.set_allocation_millicores(750);
  directive.set_quota_millicores(750);
  directive.set_shares(1024);
  const auto receipt = holder.Apply(plan, "ctl");
  ASSERT_TRUE(receipt.outcomes(0).applied()) << receipt.outcomes(0).refusal_message();
  EXPECT_EQ(tree.Text("/cg/pod/cpu.weight"), "39");
  EXPECT_EQ(tree.Text("/cg/pod/cpu.max"), "75000 100000");
  EXPECT_EQ(receipt.outcomes(0).read_back().quota_us(), 75000);
  holder.RestoreAll();
  EXPECT_EQ(tree.Text("/cg/pod/cpu.weight"), "5");
  EXPECT_EQ(tree.Text("/cg/pod/cpu.max"), "max 100000");
}

// --- network, disk, burst

class MoreKnobsTest : public HolderTest {
 protected:
  MoreKnobsTest() {
    parts_.taps["/cg/cpu/db-1"] = {"tap0"};
    parts_.devices["/cg/cpu/db-1"] = {"8:0"};
    tree_.Add("/cg/cpu/db-1", {{"cpu.shares", "109"},
                               {"cpu.cfs_quota_us", "-1"},
                               {"cpu.cfs_period_us", "100000"},
                               {"cpu.cfs_burst_us", "0"},
                               {"net.out@tap0", "none"},
                               {"net.in@tap0", "none"},
                               {"blkio.throttle.read_bps_device@8:0", "0"}});
    EnrolAll();
  }
  api::Plan PlanWith(const std::function<void(api::Directive&)>& change) {
    auto plan = MakePlan({{"db-1", 500}});
    change(*plan.mutable_directives(0));
    return plan;
  }
  std::string Text(const std::string& knob) const { return tree_.Text("/cg/cpu/db-1/" + knob); }
};

TEST_F(MoreKnobsTest, ANetworkRateIsHeldOnTheTapAndComesBackWithTheLease) {
  const auto plan = PlanWith([](auto& d) { d.mutable_network()->set_out_bits_per_second(200'000'000); });
  const auto receipt = holder_.Apply(plan, "ctl");
  ASSERT_TRUE(receipt.outcomes(0).applied());
  ASSERT_EQ(receipt.outcomes(0).knobs_size(), 1);
  EXPECT_EQ(receipt.outcomes(0).knobs(0).found(), "none");
  EXPECT_EQ(Text("net.out@tap0"), "200000000bit");
  EXPECT_EQ(Text("net.in@tap0"), "none");
  clock_.Advance(Millis{10001});
  holder_.Expire();
  EXPECT_EQ(Text("net.out@tap0"), "none");
  EXPECT_EQ(Quota("db-1"), "-1");
}

TEST_F(MoreKnobsTest, QuarantineDropsBothDirectionsAndAPlanWithoutItLiftsItAtOnce) {
  ASSERT_TRUE(
      holder_.Apply(PlanWith([](auto& d) { d.mutable_network()->set_quarantine(true); }), "ctl").outcomes(0).applied());
  EXPECT_EQ(Text("net.out@tap0"), "drop");
  EXPECT_EQ(Text("net.in@tap0"), "drop");
  holder_.Apply(MakePlan({{"db-1", 500}}), "ctl");
  EXPECT_EQ(Text("net.out@tap0"), "none");
  EXPECT_EQ(Text("net.in@tap0"), "none");
  EXPECT_EQ(Quota("db-1"), "50000") << "the rest of the plan stands";
}

TEST_F(MoreKnobsTest, AKnobThatCannotBeSetKeepsNoOtherFromBeingSet) {
  tree_.FailNextWrite("/cg/cpu/db-1/net.out@tap0", EIO);
  const auto plan = PlanWith([](auto& d) {
    d.mutable_network()->set_out_bits_per_second(1'000'000);
    d.mutable_network()->set_in_bits_per_second(2'000'000);
  });
  const auto receipt = holder_.Apply(plan, "ctl");
  EXPECT_TRUE(receipt.outcomes(0).applied());
  EXPECT_EQ(Quota("db-1"), "50000");
  EXPECT_EQ(Text("net.in@tap0"), "2000000bit");
  holder_.RestoreAll();
  EXPECT_EQ(Text("net.out@tap0"), "none");
  EXPECT_EQ(Text("net.in@tap0"), "none");
}

TEST_F(MoreKnobsTest, WhatAPodDoesNotHaveIsRefusedByName) {
  auto plan = MakePlan({{"web-1", 500}});
  plan.mutable_directives(0)->mutable_network()->set_quarantine(true);
  plan.mutable_directives(0)->mutable_disk()->set_read_bytes_per_second(1000);
  plan.mutable_directives(0)->mutable_disk()->set_weight(50);
  const auto receipt = holder_.Apply(plan, "ctl");
  ASSERT_EQ(receipt.outcomes(0).knobs_size(), 3);
  for (const auto& knob : receipt.outcomes(0).knobs()) {
    EXPECT_EQ(knob.refusal_reason(), "Unavailable") << knob.knob();
    EXPECT_FALSE(knob.refusal_message().empty());
  }
  EXPECT_TRUE(receipt.outcomes(0).applied());
}

TEST_F(MoreKnobsTest, RatesAndBurstsOutOfTheirRangeAreRefused) {
  const auto plan = PlanWith([](auto& d) {
    d.mutable_network()->set_out_bits_per_second(0);
    d.mutable_network()->set_in_bits_per_second(~std::uint64_t{0});
    d.mutable_disk()->set_write_operations_per_second(0);
    d.set_burst_micros(50001);
  });
  const auto receipt = holder_.Apply(plan, "ctl");
  ASSERT_EQ(receipt.outcomes(0).knobs_size(), 4);
  for (const auto& knob : receipt.outcomes(0).knobs()) EXPECT_EQ(knob.refusal_reason(), "InvalidValue") << knob.knob();
  EXPECT_EQ(Text("cpu.cfs_burst_us"), "0");
}

TEST_F(MoreKnobsTest, ABurstNeverExceedsItsQuotaInBetween) {
  const auto with = [&](std::int64_t millicores, std::int64_t burst) {
    auto plan = MakePlan({{"db-1", millicores}});
    plan.mutable_directives(0)->set_burst_micros(burst);
    EXPECT_TRUE(holder_.Apply(plan, "ctl").outcomes(0).applied());
  };
  tree_.OnWrite([&] {
    const auto quota = std::stoll(Text("cpu.cfs_quota_us"));
    if (quota >= 0) {
      EXPECT_LE(std::stoll(Text("cpu.cfs_burst_us")), quota);
    }
  });
  with(900, 90000);
  with(300, 9000);
  with(900, 30000);
  EXPECT_EQ(Text("cpu.cfs_burst_us"), "30000");
}

TEST_F(MoreKnobsTest, ARecallKeepsTheOtherKnobs) {
  auto plan = MakePlan({{"db-1", 700}, {"web-1", 300}});
  plan.mutable_directives(0)->mutable_network()->set_out_bits_per_second(5'000'000);
  Lend(plan, 7, "web-1", "db-1", 200);
  holder_.Apply(plan, "ctl");
  holder_.Recall(7, clock_.Monotonic(), "the test says so");
  EXPECT_EQ(Quota("db-1"), "50000");
  EXPECT_EQ(Text("net.out@tap0"), "5000000bit");
}

TEST_F(MoreKnobsTest, WithoutALibvirtABalloonIsRefusedAndBelowTheRequestAlways) {
  auto plan = PlanWith([](auto& d) { d.mutable_memory()->set_guest_bytes(512 << 20); });
  EXPECT_EQ(holder_.Apply(plan, "ctl").outcomes(0).knobs(0).refusal_reason(), "Unavailable");

  tree_.Set("/cg/cpu/db-1", "cpu.cfs_quota_us", "-1");
  DomainHands hands({"/cg", {}, [](const std::string&) {}},
                    {tree_, [](const std::string&) { return Result<std::vector<std::string>>(); },
                     [](const std::string&) { return Result<GuestMemory>(); }},
                    *Journal::Open(dir_.path() + "/domains"), clock_);
  Holder::Options options{"/cg", CgroupVersion::kV1, 2000, 8};
  options.has_domain = [](const VmPlace&) { return true; };
  Holder holder(options, tree_, parts_, journal_, directory_, epochs_, clock_, &hands);
  auto enrolment = Enrolment(2, {"db-1"});
  enrolment.mutable_pods(0)->set_guest_request_bytes(std::uint64_t{1} << 30);
  ASSERT_TRUE(holder.Enrol(enrolment, "ctl"));
  plan.set_epoch(2);
  plan.set_sequence(1);
  EXPECT_EQ(holder.Apply(plan, "ctl").outcomes(0).knobs(0).refusal_reason(), "BelowRequest");
}

TEST(MoreKnobs, OnV2ADiskLimitIsMergedWithWhatWasThereAndNeverRaisesIt) {
  fake::TempDir dir;
  fake::ManualClock clock;
  fake::FakeKnobTree tree({{"/cg/pod",
                            {{"cpu.weight", "5"},
                             {"cpu.max", "max 100000"},
                             {"io.weight", "default 100"},
                             {"io.max@8:0", "rbps=1000 wbps=max riops=max wiops=max"}}}});
  FakeDirectory directory;
  directory.Add("db-1");
  directory.places_[0].dirs.pod_cpu = "/cg/pod";
  const Journal journal = *Journal::Open(dir.path());
  std::string trouble;
  EpochFile epochs = EpochFile::Open(dir.path(), trouble);
  fake::FakePodParts parts;
  parts.devices["/cg/pod"] = {"8:0"};
  Holder holder({"/cg", CgroupVersion::kV2, 2000, 8}, tree, parts, journal, directory, epochs, clock);
  api::EnrolRequest request;
  request.set_epoch(1);
  request.add_pods()->set_pod_uid("db-1");
  request.mutable_pods(0)->set_mode(api::MODE_ENFORCE);
  ASSERT_TRUE(holder.Enrol(request, "ctl"));
  api::Plan plan;
  plan.set_epoch(1);
  plan.set_lease_millis(5000);
  plan.set_capacity_millicores(2000);
  auto& directive = *plan.add_directives();
  directive.set_pod_uid("db-1");
  directive.set_allocation_millicores(750);
  directive.set_shares(1024);
  directive.mutable_disk()->set_read_bytes_per_second(5000);
  directive.mutable_disk()->set_write_bytes_per_second(7000);
  directive.mutable_disk()->set_weight(20);
  for (std::uint64_t sequence = 1; sequence <= 2; ++sequence) {
    plan.set_sequence(sequence);
    ASSERT_TRUE(holder.Apply(plan, "ctl").outcomes(0).applied());
    EXPECT_EQ(tree.Text("/cg/pod/io.max@8:0"), "rbps=1000 wbps=7000 riops=max wiops=max");
    EXPECT_EQ(tree.Text("/cg/pod/io.weight"), "default 20");
  }
  holder.RestoreAll();
  EXPECT_EQ(tree.Text("/cg/pod/io.max@8:0"), "rbps=1000 wbps=max riops=max wiops=max");
  EXPECT_EQ(tree.Text("/cg/pod/io.weight"), "default 100");
}

}  // namespace
}  // namespace whorl::agent
