#include "operator/agent/sense/syscalls.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>

#include <set>
#include <utility>

#include "operator/bpf/classes.h"

namespace whorl::agent {
namespace {

// Counts only while attached, as the kernel's program does.
class FakeSource : public SyscallSource {
 public:
  Status Attach(bool exits) override {
    if (refuse_) return Fail(Code::kUnauthorized, "not permitted");
    if (!std::exchange(attached_, true)) ++attachments_;
    ++windows_;
    if (!exits) {
      counts_.exits.reset();
    } else if (tells_exits_ && !counts_.exits) {
      counts_.exits.emplace();
    }
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
    if (!attached_) return;
    counts_.calls[kWhorlSyscallDevice] += calls;
    counts_.sketch[7] += static_cast<std::uint32_t>(calls);
    if (counts_.exits) (*counts_.exits)[kWhorlExitHalt] += calls;
  }

  bool refuse_ = false;
  bool attached_ = false;
  bool tells_exits_ = true;
  int attachments_ = 0;
  int windows_ = 0;
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
    sampler.Put(*slot, false, reading);
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

// For whoever must not be counted: libvirt is asked neither in a window nor in the tick before it.
TEST(SyscallSampler, SaysWhenNobodyShouldCauseCalls) {
  FakeSource source;
  SyscallSampler sampler(source, {Millis{1000}, Millis{5000}});
  EXPECT_FALSE(sampler.Quiet(Millis{0})) << "nobody is watched";
  ASSERT_TRUE(sampler.Watch(kCgroup, Millis{0}));
  for (int second = 0; second < 20; ++second) {
    sampler.Tick(Millis{second * 1000});
    EXPECT_EQ(sampler.Quiet(Millis{second * 1000}), second % 5 == 0 || second % 5 == 4) << second;
  }
  // Never closed, it would keep them waiting for ever.
  SyscallSampler always(source, {Millis{1000}, Millis{1000}});
  ASSERT_TRUE(always.Watch(kCgroup, Millis{0}));
  always.Tick(Millis{0});
  EXPECT_FALSE(always.Quiet(Millis{0}));
}

TEST(SyscallSampler, AWindowCanBePutOff) {
  FakeSource source;
  SyscallSampler sampler(source, {Millis{1000}, Millis{5000}});
  ASSERT_TRUE(sampler.Watch(kCgroup, Millis{0}));
  sampler.PutOff(Millis{3000});
  for (int second = 0; second < 5; ++second) {
    sampler.Tick(Millis{second * 1000});
    EXPECT_EQ(source.attached_, second == 3) << second;
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
    sampler.Put(*slot, false, reading);
    EXPECT_EQ(reading.valid.Has(Feature::kSyscallsVcpu), second > 0);
    const auto now = second > 0 ? reading.Get(Feature::kSyscallsVcpu) : 0;
    EXPECT_DOUBLE_EQ(now - std::exchange(last, now), second > 0 ? 42.0 : 0.0);
    source.Happen(42);
  }
  EXPECT_EQ(source.attachments_, 1);
  EXPECT_EQ(source.windows_, 5) << "each second is a window of its own";
}

TEST(SyscallSampler, TheSketchIsOneWindowsAndComesOnce) {
  FakeSource source;
  source.counts_.sketch[7] = ~0u - 30;  // about to wrap
  SyscallSampler sampler(source, {Millis{1000}, Millis{5000}});
  const auto slot = sampler.Watch(kCgroup, Millis{0});
  int windows = 0;
  for (int second = 0; second < 12; ++second) {
    sampler.Tick(Millis{second * 1000});
    if (const auto* sketch = sampler.Sketch(*slot)) {
      ++windows;
      EXPECT_EQ((*sketch)[7], 50u) << "unscaled, and not the sum of all windows";
      EXPECT_EQ((*sketch)[8], 0u);
    }
    source.Happen(50);
  }
  EXPECT_EQ(windows, 3);
}

TEST(SyscallSampler, ExitsAreMeasuredOnlyOfAVmUnderKvm) {
  FakeSource source;
  SyscallSampler sampler(source, {Millis{1000}, Millis{1000}});
  const auto slot = sampler.Watch(kCgroup, Millis{0});
  Reading emulated, real;
  for (int second = 0; second < 3; ++second) {
    sampler.Tick(Millis{second * 1000}, true);
    emulated.Clear();
    sampler.Put(*slot, false, emulated);
    sampler.Put(*slot, true, real);
    source.Happen(30);
  }
  EXPECT_FALSE(emulated.valid.Has(Feature::kExitsHalt)) << "masked, never zero";
  EXPECT_DOUBLE_EQ(real.Get(Feature::kExitsHalt), 60);
  EXPECT_DOUBLE_EQ(real.Get(Feature::kExitsMsr), 0);
}

TEST(SyscallSampler, AKernelThatCannotTellExitsStillCountsCalls) {
  FakeSource source;
  source.tells_exits_ = false;
  SyscallSampler sampler(source, {Millis{1000}, Millis{1000}});
  const auto slot = sampler.Watch(kCgroup, Millis{0});
  Reading reading;
  for (int second = 0; second < 3; ++second) {
    sampler.Tick(Millis{second * 1000}, true);
    sampler.Put(*slot, true, reading);
    source.Happen(30);
  }
  EXPECT_TRUE(reading.valid.Has(Feature::kSyscallsVcpu));
  EXPECT_FALSE(reading.valid.Has(Feature::kExitsHalt));
}

TEST(SyscallSampler, ACounterThatCannotBeAttachedMeasuresNothing) {
  FakeSource source;
  source.refuse_ = true;
  SyscallSampler sampler(source, {Millis{1000}, Millis{1000}});
  const auto slot = sampler.Watch(kCgroup, Millis{0});
  for (int second = 0; second < 5; ++second) {
    sampler.Tick(Millis{second * 1000});
    Reading reading;
    sampler.Put(*slot, false, reading);
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
  EXPECT_EQ(classes[SYS_ioctl], kWhorlSyscallDevice);
  EXPECT_EQ(classes[SYS_ppoll], kWhorlSyscallWait);
  EXPECT_EQ(classes[SYS_futex], kWhorlSyscallWait);
  EXPECT_EQ(classes[SYS_io_uring_enter], kWhorlSyscallIo);
  EXPECT_EQ(classes[SYS_write], kWhorlSyscallIo);
  EXPECT_EQ(classes[SYS_mmap], kWhorlSyscallMemory);
  EXPECT_EQ(classes[SYS_clone3], kWhorlSyscallProcess);
  EXPECT_EQ(classes[SYS_openat], kWhorlSyscallFile);
  EXPECT_EQ(classes[SYS_sendmsg], kWhorlSyscallNetwork);
  EXPECT_EQ(classes[SYS_getppid], kWhorlSyscallOther);
  EXPECT_EQ(classes[511], kWhorlSyscallOther);
}

}  // namespace
}  // namespace whorl::agent
