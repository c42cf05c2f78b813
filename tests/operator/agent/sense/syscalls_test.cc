#include "operator/agent/sense/syscalls.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>

#include <set>

#include "operator/agent/bpf/syscalls.h"

namespace whorl::agent {
namespace {

// Counts only while attached, as the kernel's program does.
class FakeSource : public SyscallSource {
 public:
  Status Attach() override {
    if (refuse_) return Fail(Code::kUnauthorized, "not permitted");
    attached_ = true;
    ++attachments_;
    return {};
  }
  void Detach() override { attached_ = false; }
  Status Watch(std::uint64_t cgroup, std::uint32_t) override {
    watched_.insert(cgroup);
    return {};
  }
  void Unwatch(std::uint64_t cgroup) override { watched_.erase(cgroup); }
  Result<SyscallCounts> Read(std::uint32_t) override { return counts_; }
  std::uint32_t slots() const override { return 2; }

  void Happen(std::uint64_t calls) {
    if (attached_) counts_.vcpu += calls;
  }

  bool refuse_ = false;
  bool attached_ = false;
  int attachments_ = 0;
  std::set<std::uint64_t> watched_;
  SyscallCounts counts_;
};

constexpr std::uint64_t kCgroup[] = {7};

TEST(SyscallSampler, RatesFromWindowsAreUnbiased) {
  FakeSource source;
  SyscallSampler sampler(source, {Millis{1000}, Millis{5000}});
  const auto slot = sampler.Watch(kCgroup, Millis{0});
  std::vector<std::pair<int, double>> readings;
  for (int second = 0; second <= 21; ++second) {
    sampler.Tick(Millis{second * 1000});
    Reading reading;
    sampler.Put(*slot, reading);
    if (reading.valid.Has(Feature::kSyscallsVcpu)) readings.emplace_back(second, reading.Get(Feature::kSyscallsVcpu));
    source.Happen(100);  // a steady 100 calls/s
  }
  ASSERT_EQ(readings.size(), 5u);
  for (std::size_t i = 1; i < readings.size(); ++i) {
    const auto seconds = readings[i].first - readings[i - 1].first;
    EXPECT_EQ(seconds, 5);
    EXPECT_DOUBLE_EQ((readings[i].second - readings[i - 1].second) / seconds, 100.0);
  }
}

TEST(SyscallSampler, IsDetachedBetweenWindows) {
  FakeSource source;
  SyscallSampler sampler(source, {Millis{1000}, Millis{5000}});
  ASSERT_TRUE(sampler.Watch(kCgroup, Millis{0}));
  int attached = 0;
  for (int second = 0; second < 20; ++second) {
    sampler.Tick(Millis{second * 1000});
    attached += source.attached_ ? 1 : 0;
  }
  EXPECT_EQ(attached, 4);
}

TEST(SyscallSampler, AlwaysOnReadsEveryTickAndAttachesOnce) {
  FakeSource source;
  SyscallSampler sampler(source, {Millis{1000}, Millis{1000}});
  const auto slot = sampler.Watch(kCgroup, Millis{0});
  double last = 0;
  for (int second = 0; second < 5; ++second) {
    sampler.Tick(Millis{second * 1000});
    Reading reading;
    sampler.Put(*slot, reading);
    EXPECT_EQ(reading.valid.Has(Feature::kSyscallsVcpu), second > 0);
    const auto now = second > 0 ? reading.Get(Feature::kSyscallsVcpu) : 0;
    EXPECT_DOUBLE_EQ(now - std::exchange(last, now), second > 0 ? 42.0 : 0.0);
    source.Happen(42);
  }
  EXPECT_EQ(source.attachments_, 1);
}

TEST(SyscallSampler, ACounterThatCannotBeAttachedMeasuresNothing) {
  FakeSource source;
  source.refuse_ = true;
  SyscallSampler sampler(source, {Millis{1000}, Millis{1000}});
  const auto slot = sampler.Watch(kCgroup, Millis{0});
  for (int second = 0; second < 5; ++second) {
    sampler.Tick(Millis{second * 1000});
    Reading reading;
    sampler.Put(*slot, reading);
    EXPECT_EQ(reading.valid.count(), 0);
  }
  EXPECT_EQ(sampler.trouble(), "not permitted");
}

TEST(SyscallSampler, SlotsAreBoundedAndReused) {
  FakeSource source;
  SyscallSampler sampler(source, {});
  const auto first = sampler.Watch(kCgroup, Millis{0});
  ASSERT_TRUE(sampler.Watch(kCgroup, Millis{0}));
  EXPECT_FALSE(sampler.Watch(kCgroup, Millis{0}));
  sampler.Unwatch(*first);
  EXPECT_EQ(*sampler.Watch(kCgroup, Millis{0}), *first);
}

TEST(SyscallClasses, PutEachCallWhereFeaturesSay) {
  const auto classes = SyscallClasses();
  EXPECT_EQ(classes[SYS_ioctl], kWhorlSyscallVcpu);
  EXPECT_EQ(classes[SYS_ppoll], kWhorlSyscallWait);
  EXPECT_EQ(classes[SYS_futex], kWhorlSyscallWait);
  EXPECT_EQ(classes[SYS_io_uring_enter], kWhorlSyscallIo);
  EXPECT_EQ(classes[SYS_write], kWhorlSyscallIo);
  EXPECT_EQ(classes[SYS_mmap], kWhorlSyscallOther);
  EXPECT_EQ(classes[511], kWhorlSyscallOther);
}

}  // namespace
}  // namespace whorl::agent
