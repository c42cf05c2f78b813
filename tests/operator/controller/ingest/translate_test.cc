#include "operator/controller/ingest/translate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>

namespace whorl::controller {
namespace {

TEST(ToSample, MasksWhatIsNotClaimedNotSentOrNoNumber) {
  api::VmSample wire;
  wire.set_valid(0b1011);
  wire.add_raw(5);
  wire.add_raw(std::numeric_limits<double>::quiet_NaN());
  wire.add_raw(7);  // not claimed
  const auto sample = ToSample(wire, VmHandle{2});
  EXPECT_TRUE(sample.valid.Has(Feature::kCpuUsage));
  EXPECT_EQ(sample.valid.count(), 1);  // the fourth is claimed but was not sent
  EXPECT_EQ(sample.raw[0], 5);
  EXPECT_FALSE(sample.cpu_limit.has_value());
}

TEST(ToSample, IgnoresFeaturesOfANewerAgent) {
  api::VmSample wire;
  wire.set_valid_features(~std::uint64_t{0});
  for (int i = 0; i < 64; ++i) wire.add_raw(i);
  EXPECT_EQ(ToSample(wire, VmHandle{0}).valid.count(), static_cast<int>(kFeatureCount));
}

TEST(ToSample, UnderstandsAnOlderAgentsNarrowMask) {
  api::VmSample wire;
  wire.set_valid(0xFFFFFF);
  for (int i = 0; i < 24; ++i) wire.add_raw(i);
  const auto sample = ToSample(wire, VmHandle{0});
  EXPECT_EQ(sample.valid.count(), 24);
  EXPECT_FALSE(sample.valid.Has(Feature::kMemoryRefaults));
}

TEST(ToSample, TheWideMaskCountsWhereBothAreThere) {
  api::VmSample wire;
  wire.set_valid(0x3);
  wire.set_valid_features(Bit(Feature::kCpuUsage) | Bit(Feature::kSyscallsFile));
  for (std::size_t i = 0; i < kFeatureCount; ++i) wire.add_raw(1);
  const auto sample = ToSample(wire, VmHandle{0});
  EXPECT_EQ(sample.valid.bits(), Bit(Feature::kCpuUsage) | Bit(Feature::kSyscallsFile));
}

TEST(AddSample, CarriesAWholeSketchAndTheGuestsWindow) {
  api::VmSample wire;
  for (std::uint32_t i = 0; i < kSketchBuckets; ++i) wire.add_syscall_sketch(i);
  wire.mutable_guest()->set_sequence(7);
  wire.mutable_guest()->set_window_millis(1000);
  for (std::uint32_t i = 0; i < kCallClassCount; ++i) wire.mutable_guest()->add_calls(100 + i);
  for (std::uint32_t i = 0; i < kSketchBuckets; ++i) wire.mutable_guest()->add_sketch(1);
  Frame frame;
  AddSample(api::VmSample{}, VmHandle{0}, frame);
  AddSample(wire, VmHandle{1}, frame);
  ASSERT_EQ(frame.samples.size(), 2u);
  EXPECT_EQ(frame.samples[0].sketch, VmSample::kNone);
  EXPECT_EQ(frame.samples[0].guest, VmSample::kNone);
  ASSERT_EQ(frame.samples[1].sketch, 0);
  EXPECT_EQ(frame.sketches.at(0)[255], 255u);
  ASSERT_EQ(frame.samples[1].guest, 0);
  EXPECT_EQ(frame.guests.at(0).calls[7], 107u);
  EXPECT_EQ(frame.guests.at(0).sequence, 7u);
  EXPECT_EQ(frame.samples[1].valid.count(), 0) << "a guest's word is no feature";
}

TEST(AddSample, LeavesOutWindowsThatCannotBe) {
  api::VmSample wire;
  for (int i = 0; i < 255; ++i) wire.add_syscall_sketch(1);  // one counter short
  auto& guest = *wire.mutable_guest();
  for (std::size_t i = 0; i < kCallClassCount; ++i) guest.add_calls(1);
  for (std::size_t i = 0; i < kSketchBuckets; ++i) guest.add_sketch(1);
  Frame frame;
  const auto add = [&] {
    frame.Clear();
    AddSample(wire, VmHandle{0}, frame);
    EXPECT_EQ(frame.samples.size(), 1u);
    EXPECT_EQ(frame.samples[0].sketch, VmSample::kNone);
    return frame.samples[0].guest != VmSample::kNone;
  };
  EXPECT_FALSE(add()) << "a window without length";
  guest.set_window_millis(1000);
  EXPECT_TRUE(add());
  guest.set_window_millis(kLongestGuestWindowMillis + 1);
  EXPECT_FALSE(add());
  guest.set_window_millis(1000);
  guest.set_calls(0, 4'000'000'000u);
  EXPECT_FALSE(add()) << "more calls than a machine can make";
  guest.set_calls(0, 1);
  guest.add_sketch(1);
  EXPECT_FALSE(add()) << "one counter too many";
  EXPECT_TRUE(frame.sketches.empty());
  EXPECT_TRUE(frame.guests.empty());
}

TEST(ToWire, CarriesEveryDirectiveAndLoanWithItsRecallRule) {
  const std::map<VmHandle, std::string> pods{{VmHandle{0}, "a"}, {VmHandle{1}, "b"}};
  const auto pod_of = [&](VmHandle vm) -> const std::string* {
    const auto it = pods.find(vm);
    return it == pods.end() ? nullptr : &it->second;
  };
  Plan plan;
  plan.sequence = 9;
  plan.capacity = MilliCores{1500};
  CpuDirective directive;
  directive.vm = VmHandle{0};
  directive.allocation = MilliCores{700};
  directive.quota = MilliCores{700};
  directive.shares = 512;
  plan.directives = {directive};
  directive.vm = VmHandle{7};  // unknown
  plan.directives.push_back(directive);
  plan.memory = {{VmHandle{0}, 300}, {VmHandle{7}, 10}};
  Loan loan;
  loan.id = 4;
  loan.lender = VmHandle{1};
  loan.borrower = VmHandle{0};
  loan.amount = MilliCores{200};
  loan.recall = {MilliCores{90}, 250, Millis{250}};
  plan.loans = {loan};
  const auto wire = ToWire(plan, {5, 11, Seconds{30}}, pod_of);
  EXPECT_EQ(wire.epoch(), 5u);
  EXPECT_EQ(wire.sequence(), 11u);
  EXPECT_EQ(wire.frame_sequence(), 9u);
  EXPECT_EQ(wire.lease_millis(), 30'000u);
  ASSERT_EQ(wire.directives_size(), 1);
  EXPECT_EQ(wire.directives(0).pod_uid(), "a");
  EXPECT_EQ(wire.directives(0).quota_millicores(), 700);
  EXPECT_EQ(wire.directives(0).memory().guest_bytes(), 300u << 20);
  ASSERT_EQ(wire.loans_size(), 1);
  EXPECT_EQ(wire.loans(0).lender_pod_uid(), "b");
  EXPECT_EQ(wire.loans(0).recall_use_above_millicores(), 90);
  EXPECT_EQ(wire.loans(0).recall_for_millis(), 250u);
}

TEST(ToWire, CarriesRestraintsAndKeepsTheOthersOffIsolatedCores) {
  const std::string pods[] = {"a", "b"};
  const auto pod_of = [&](VmHandle vm) { return &pods[static_cast<std::size_t>(vm)]; };
  Plan plan;
  plan.capacity = MilliCores{1500};
  for (const int i : {0, 1}) {
    CpuDirective directive;
    directive.vm = VmHandle{static_cast<std::uint32_t>(i)};
    directive.allocation = MilliCores{700};
    plan.directives.push_back(directive);
  }
  Restraint restraint;
  restraint.vm = VmHandle{1};
  restraint.cores = 2;
  restraint.network_bits_per_second = 1'000'000;
  restraint.disk_bytes_per_second = 4096;
  restraint.quarantine = true;
  plan.restraints = {restraint};
  const auto wire = ToWire(plan, {1, 1, Seconds{30}, 8}, pod_of);
  EXPECT_EQ(wire.directives(0).cpus(), "0-5");
  EXPECT_FALSE(wire.directives(0).has_network());
  EXPECT_EQ(wire.directives(1).cpus(), "6-7");
  EXPECT_EQ(wire.directives(1).network().out_bits_per_second(), 1'000'000u);
  EXPECT_EQ(wire.directives(1).network().in_bits_per_second(), 1'000'000u);
  EXPECT_TRUE(wire.directives(1).network().quarantine());
  EXPECT_EQ(wire.directives(1).disk().write_bytes_per_second(), 4096u);
  // Nothing would be left for the others, or nobody knows how many there are.
  EXPECT_EQ(ToWire(plan, {1, 1, Seconds{30}, 2}, pod_of).directives(1).cpus(), "");
  EXPECT_EQ(ToWire(plan, {1, 1, Seconds{30}, 0}, pod_of).directives(0).cpus(), "");
}

TEST(ToWire, KeepsTheLeaseWithinWhatAgentsTake) {
  const auto none = [](VmHandle) -> const std::string* { return nullptr; };
  EXPECT_EQ(ToWire({}, {1, 1, Seconds{0}}, none).lease_millis(), 1000u);
  EXPECT_EQ(ToWire({}, {1, 1, Seconds{9999}}, none).lease_millis(), 300'000u);
}

TEST(LimitOf, KeepsNoQuotaApartFromNotRead) {
  api::CpuKnobs knobs;
  EXPECT_FALSE(LimitOf(knobs).read);
  knobs.set_quota_us(-1);
  EXPECT_TRUE(LimitOf(knobs).read);
  EXPECT_FALSE(LimitOf(knobs).limit.has_value());
  knobs.set_quota_us(50'000);
  EXPECT_FALSE(LimitOf(knobs).read);  // without a period it says nothing
  knobs.set_period_us(100'000);
  EXPECT_EQ(LimitOf(knobs).limit, MilliCores{500});
}

}  // namespace
}  // namespace whorl::controller
