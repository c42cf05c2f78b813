// Real interfaces in network namespaces of the test's own; needs root, iproute2
// and /dev/net/tun, and is skipped without them. Prints the rates it reached.
#include "operator/agent/act/tap_shaper.h"

#include <gtest/gtest.h>
#include <linux/if_tun.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>
#include <vector>

#include "operator/agent/act/limit_writer.h"
#include "operator/agent/journal/journal.h"
#include "operator/agent/journal/restore.h"
#include "tests/fake/pod_net.h"
#include "tests/fake/temp_dir.h"

namespace whorl::agent {
namespace {

// One pod with tap0 as a port of a bridge, as KubeVirt makes it.
class TapShaperTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    if (!pod_.ok()) GTEST_SKIP() << "cannot make network namespaces here";
    tap_ = pod_.AddTap("tap0");
    if (tap_ < 0) GTEST_SKIP() << "cannot make a tap here (/dev/net/tun)";
    pod_.Run(
        "ip link add k6t-eth0 type bridge; ip link set tap0 master k6t-eth0; ip link set k6t-eth0 up;"
        "ip addr add 10.77.0.1/24 dev k6t-eth0");
  }
  void TearDown() override {
    if (tap_ >= 0) ::close(tap_);
  }

  // Everything that tc and ip tell of the pod's links, without what runs down by itself.
  std::string Dump() const {
    return pod_.Run(
        "ip -d link show | sed -E 's/[a-z_]+_timer +[0-9.]+//g'; tc -d qdisc show | sed 's/direct_packets_stat "
        "[0-9]*//';"
        "tc -d filter show dev tap0 ingress; tc -d filter show dev tap0 root");
  }
  std::string Read(const std::string& knob) const {
    const auto text = shaper_.Read(dir(), knob);
    return text ? *text : text.error().message;
  }
  Status Write(const std::string& knob, const std::string& text) { return shaper_.Write(dir(), knob, text); }
  const std::string& dir() const { return pod_.cgroup(); }

  fake::TempDir temp_;
  fake::PodNet pod_{temp_.path() + "/pod1"};
  int tap_ = -1;
  TapShaper shaper_;
};

// --- State -------------------------------------------------------------------

TEST_F(TapShaperTest, ReadsBackWhatItWroteAndNoneLeavesNothingBehind) {
  const auto before = Dump();
  EXPECT_EQ(Read("net.out@tap0"), "none");
  EXPECT_EQ(Read("net.in@tap0"), "none");
  for (const char* knob : {"net.out@tap0", "net.in@tap0"}) {
    for (const char* text :
         {"8000bit", "200000000bit", "drop", "40000000000bit", "1000000000000bit", "1000bit", "drop"}) {
      const auto written = Write(knob, text);
      ASSERT_TRUE(written) << knob << " " << text << ": " << written.error().message;
      EXPECT_EQ(Read(knob), text);
    }
  }
  EXPECT_NE(Dump(), before);
  for (const char* knob : {"net.out@tap0", "net.in@tap0"}) {
    const auto written = Write(knob, "none");
    ASSERT_TRUE(written) << written.error().message;
    EXPECT_EQ(Read(knob), "none");
  }
  EXPECT_EQ(Dump(), before);
}

TEST_F(TapShaperTest, OneDirectionLeavesTheOtherAlone) {
  ASSERT_TRUE(Write("net.in@tap0", "8000bit"));
  const auto in_only = Dump();
  ASSERT_TRUE(Write("net.out@tap0", "drop"));
  EXPECT_EQ(Read("net.in@tap0"), "8000bit");
  ASSERT_TRUE(Write("net.out@tap0", "none"));
  EXPECT_EQ(Dump(), in_only);
}

TEST_F(TapShaperTest, WritingTheSameTwiceChangesNothing) {
  ASSERT_TRUE(Write("net.out@tap0", "none"));
  for (const char* knob : {"net.out@tap0", "net.in@tap0"}) {
    for (const char* text : {"8000bit", "drop"}) {
      ASSERT_TRUE(Write(knob, text));
      const auto once = Dump();
      ASSERT_TRUE(Write(knob, text));
      EXPECT_EQ(Dump(), once);
    }
  }
}

TEST_F(TapShaperTest, TwoTapsOfAPodHaveLimitsOfTheirOwn) {
  const auto before = Dump();
  const int second = pod_.AddTap("tap1-net.b_2");
  const auto taps = shaper_.Taps(dir());
  ASSERT_TRUE(taps) << taps.error().message;
  EXPECT_EQ(*taps, (std::vector<std::string>{"tap0", "tap1-net.b_2"}));
  ASSERT_TRUE(Write("net.out@tap0", "8000bit"));
  ASSERT_TRUE(Write("net.out@tap1-net.b_2", "16000bit"));
  EXPECT_EQ(Read("net.out@tap0"), "8000bit");
  EXPECT_EQ(Read("net.out@tap1-net.b_2"), "16000bit");
  ASSERT_TRUE(Write("net.out@tap0", "none"));
  EXPECT_EQ(Read("net.out@tap1-net.b_2"), "16000bit");
  ASSERT_TRUE(Write("net.out@tap1-net.b_2", "none"));
  ::close(second);
  EXPECT_EQ(Dump(), before);
}

// --- What is not ours --------------------------------------------------------

TEST_F(TapShaperTest, LeavesSomebodyElsesQdiscAlone) {
  struct Case {
    const char* knob;
    const char* setup;
    const char* reads;
  };
  for (const auto& [knob, setup, reads] : {
           Case{"net.in@tap0", "tc qdisc add dev tap0 root handle 1: htb", "foreign: htb"},
           Case{"net.in@tap0", "tc qdisc add dev tap0 root tbf rate 1mbit burst 10k limit 10k", "foreign: tbf"},
           Case{"net.in@tap0", "tc qdisc add dev tap0 root handle 5744: pfifo limit 5", "foreign: pfifo"},
           Case{"net.out@tap0", "tc qdisc add dev tap0 ingress", "foreign: ingress"},
           Case{"net.out@tap0", "tc qdisc add dev tap0 clsact", "foreign: clsact"},
           Case{"net.out@tap0", "ip link add other index 1464336386 type bridge", "foreign: interface other"},
       }) {
    pod_.Run(setup);
    const auto before = Dump();
    EXPECT_EQ(Read(knob), reads) << setup;
    for (const char* text : {"8000bit", "drop", "none"}) {
      const auto written = Write(knob, text);
      ASSERT_FALSE(written) << setup;
      EXPECT_EQ(written.error().code, Code::kConflict) << written.error().message;
      EXPECT_NE(written.error().message.find("somebody else's"), std::string::npos) << written.error().message;
    }
    EXPECT_EQ(Dump(), before) << setup;
    pod_.Run(
        "tc qdisc del dev tap0 root; tc qdisc del dev tap0 ingress; tc qdisc del dev tap0 clsact; ip link del other");
    EXPECT_EQ(Read(knob), "none") << setup;
  }
}

TEST_F(TapShaperTest, AFilterAddedToOursMakesItForeign) {
  ASSERT_TRUE(Write("net.out@tap0", "8000bit"));
  pod_.Run(
      "tc filter add dev tap0 parent ffff: prio 1 protocol ip u32 match ip dst 10.77.0.9 action mirred egress redirect "
      "dev lo");
  const auto before = Dump();
  EXPECT_EQ(Read("net.out@tap0"), "foreign: ingress");
  EXPECT_EQ(Write("net.out@tap0", "none").error().code, Code::kConflict);
  EXPECT_EQ(Dump(), before);
}

TEST_F(TapShaperTest, ARateThatSomebodyChangedIsReadAsItStands) {
  ASSERT_TRUE(Write("net.in@tap0", "8000bit"));
  pod_.Run("tc qdisc change dev tap0 root handle 5748: tbf rate 2mbit burst 10k limit 10k");
  EXPECT_EQ(Read("net.in@tap0"), "2000000bit");
}

TEST_F(TapShaperTest, WhatIsLeftOfOursHoldsNothingAndIsReplacedOrRemoved) {
  const auto before = Dump();
  for (const char* damage : {"ip link del whorl2", "tc qdisc del dev tap0 ingress", "tc qdisc del dev whorl2 root",
                             "tc filter del dev tap0 parent ffff:"}) {
    ASSERT_TRUE(Write("net.out@tap0", "8000bit"));
    const auto whole = Dump();
    pod_.Run(damage);
    EXPECT_EQ(Read("net.out@tap0"), "none") << damage;
    const auto again = Write("net.out@tap0", "8000bit");
    ASSERT_TRUE(again) << damage << ": " << again.error().message;
    EXPECT_EQ(Read("net.out@tap0"), "8000bit") << damage;
    pod_.Run(damage);
    ASSERT_TRUE(Write("net.out@tap0", "none")) << damage;
    EXPECT_EQ(Dump(), before) << damage;
  }
}

// --- Cost --------------------------------------------------------------------

TEST_F(TapShaperTest, AReadAndAChangeOfALimitAreWellBelowAMillisecond) {
  const auto took = [](const auto& body) {
    const auto start = std::chrono::steady_clock::now();
    body();
    return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
  };
  // Other work of the machine is not ours.
  const auto median = [](std::vector<double> times) {
    std::sort(times.begin(), times.end());
    return times[times.size() / 2];
  };
  for (const std::string knob : {"net.in@tap0", "net.out@tap0"}) {
    std::vector<double> sets;
    std::vector<double> removals;
    for (int i = 0; i < 7; ++i) {
      TapShaper once;  // its end, untimed, waits for what the kernel tidies up
      ASSERT_TRUE(once.Read(dir(), knob));
      sets.push_back(took([&] { ASSERT_TRUE(once.Write(dir(), knob, "8000bit")); }));
      removals.push_back(took([&] { ASSERT_TRUE(once.Write(dir(), knob, "none")); }));
    }
    ASSERT_TRUE(Write(knob, "8000bit"));
    std::vector<double> changes;
    std::vector<double> reads;
    for (int i = 0; i < 200; ++i) {
      changes.push_back(took([&] { ASSERT_TRUE(Write(knob, i % 2 == 0 ? "16000bit" : "8000bit")); }));
      reads.push_back(took([&] { ASSERT_TRUE(shaper_.Read(dir(), knob)); }));
    }
    std::vector<double> firsts;
    for (int i = 0; i < 20; ++i) firsts.push_back(took([&] { ASSERT_TRUE(TapShaper().Read(dir(), knob)); }));
    const double change = median(changes);
    const double read = median(reads);
    std::cout << knob << ", microseconds: read " << read << ", rate changed " << change << ", set " << median(sets)
              << ", removed " << median(removals) << ", first read in a pod " << median(firsts) << "\n";
    EXPECT_LT(read, 1000);
    EXPECT_LT(change, 1000);
    ASSERT_TRUE(Write(knob, "none"));
  }
}

TEST_F(TapShaperTest, AMultiQueueTapGetsTheKernelsQdiscsBack) {
  const int wide = pod_.AddTap("tap1", IFF_MULTI_QUEUE);
  ASSERT_GE(wide, 0);
  const auto before = Dump();
  ASSERT_NE(before.find("qdisc mq 0: dev tap1"), std::string::npos) << before;
  for (const char* knob : {"net.out@tap1", "net.in@tap1"}) {
    EXPECT_EQ(Read(knob), "none");
    ASSERT_TRUE(Write(knob, "8000bit"));
    EXPECT_EQ(Read(knob), "8000bit");
    ASSERT_TRUE(Write(knob, "none"));
    EXPECT_EQ(Dump(), before);
  }
  ::close(wide);
}

// --- Through the journal -----------------------------------------------------

TEST_F(TapShaperTest, WhoeverReadsTheJournalPutsTheTapBackAsFound) {
  const auto before = Dump();
  const auto journal = Journal::Open(temp_.path());
  ASSERT_TRUE(journal);
  {
    TapShaper shaper;
    LimitWriter writer(shaper, *journal, temp_.path());
    JournalEntry entry{"1111-a", "pod1", *shaper.Inode(dir()), Millis{1}, {}};
    std::optional<ForeignChange> foreign;
    ASSERT_TRUE(writer.Hold(entry, {{"net.out@tap0", "8000bit"}, {"net.in@tap0", "drop"}}, foreign));
  }
  EXPECT_EQ(Read("net.out@tap0"), "8000bit");
  EXPECT_EQ(Read("net.in@tap0"), "drop");
  TapShaper another;
  const auto looked = RestoreDue(another, *journal, temp_.path(), Millis{2}, [] { return true; });
  EXPECT_EQ(looked.left, 0u);
  EXPECT_EQ(Dump(), before);
}

TEST_F(TapShaperTest, AForeignQdiscStopsAPlanBeforeItChangesTheOtherKnob) {
  pod_.Run("tc qdisc add dev tap0 root handle 1: htb");
  const auto before = Dump();
  const auto journal = Journal::Open(temp_.path());
  ASSERT_TRUE(journal);
  LimitWriter writer(shaper_, *journal, temp_.path());
  JournalEntry entry{"1111-a", "pod1", *shaper_.Inode(dir()), Millis{1}, {}};
  std::optional<ForeignChange> foreign;
  const auto held = writer.Hold(entry, {{"net.out@tap0", "8000bit"}, {"net.in@tap0", "8000bit"}}, foreign);
  ASSERT_FALSE(held);
  EXPECT_EQ(held.error().code, Code::kConflict);
  EXPECT_EQ(Dump(), before);
  EXPECT_FALSE(journal->Has("1111-a"));
}

TEST_F(TapShaperTest, APlanForManyPodsIsJournalledAppliedAndReadBackInMilliseconds) {
  constexpr int kPods = 50;
  std::vector<std::unique_ptr<fake::PodNet>> pods;
  std::vector<int> taps;
  std::vector<JournalEntry> entries;
  // On a tmpfs, where it belongs.
  std::string memory = "/dev/shm/whorl-test-XXXXXX";
  const bool in_memory = ::mkdtemp(memory.data()) != nullptr;
  const auto journal = Journal::Open(in_memory ? memory : temp_.path());
  ASSERT_TRUE(journal);
  LimitWriter writer(shaper_, *journal, temp_.path());
  std::optional<ForeignChange> foreign;
  for (int i = 0; i < kPods; ++i) {
    const auto name = "many" + std::to_string(i);
    pods.push_back(std::make_unique<fake::PodNet>(temp_.path() + "/" + name));
    taps.push_back(pods.back()->AddTap("tap0"));
    entries.push_back({"2222-" + std::to_string(i), name, *shaper_.Inode(pods.back()->cgroup()), Millis{1}, {}});
  }
  const auto plan = [&](const std::string& out, const std::string& in) {
    const auto start = std::chrono::steady_clock::now();
    for (auto& entry : entries) {
      const auto held = writer.Hold(entry, {{"net.out@tap0", out}, {"net.in@tap0", in}}, foreign);
      EXPECT_TRUE(held) << held.error().message;
    }
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  };
  const double first = plan("8000bit", "16000bit");
  std::vector<double> later;
  for (int i = 1; i <= 5; ++i) later.push_back(plan(std::to_string(8000 * i) + "bit", "8000bit"));
  std::sort(later.begin(), later.end());
  const auto start = std::chrono::steady_clock::now();
  const auto looked = RestoreDue(shaper_, *journal, temp_.path(), Millis{2}, [] { return true; });
  const double restored = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  EXPECT_EQ(looked.left, 0u);
  std::cout << kPods << " pods, both directions, milliseconds: first limits " << first << ", changed " << later[2]
            << ", restored " << restored << "\n";
  EXPECT_LT(restored, 1000);
  if (in_memory) std::filesystem::remove_all(memory);
  for (const int tap : taps) ::close(tap);
}

// --- Failures ----------------------------------------------------------------

TEST_F(TapShaperTest, AWriteThatFailsHalfWayTakesItselfBack) {
  // The name is taken in a way that only the kernel sees: the IFB is refused
  // after everything else was asked for.
  pod_.Run("ip link property add dev k6t-eth0 altname whorl2");
  const auto before = Dump();
  const auto written = Write("net.out@tap0", "8000bit");
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, Code::kConflict) << written.error().message;
  EXPECT_EQ(Dump(), before);
  EXPECT_EQ(Read("net.out@tap0"), "none");
}

TEST_F(TapShaperTest, KilledAtAnyMomentLeavesOneOfTheTwoValues) {
  const auto before = Dump();
  int held = 0;
  constexpr int kKills = 40;
  for (int i = 0; i < kKills; ++i) {
    const pid_t child = ::fork();
    if (child == 0) {
      // A shaper for good waits with the limit in force until the last removal is
      // tidied up, one for each write with none: kills find both.
      TapShaper for_good;
      for (bool on = true;; on = !on) {
        TapShaper for_once;
        auto& shaper = i % 2 == 0 ? for_good : for_once;
        if (!shaper.Write(dir(), "net.out@tap0", on ? "8000bit" : "none")) ::_exit(1);
      }
    }
    ::usleep(static_cast<useconds_t>(500 + 1300 * i));  // 0.5 to 51 ms into two writes of about 25 ms
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "a write failed";
    TapShaper looks;  // with no thread left over when the next child is forked
    const auto seen = looks.Read(dir(), "net.out@tap0");
    ASSERT_TRUE(seen) << seen.error().message;
    if (*seen == "8000bit") {
      ++held;
      ASSERT_TRUE(looks.Write(dir(), "net.out@tap0", "none"));
    } else {
      ASSERT_EQ(*seen, "none");
    }
    // Without a write in between: "none" means that nothing is there.
    ASSERT_EQ(Dump(), before) << "kill " << i << ", read " << *seen;
  }
  std::cout << "killed " << kKills << " times, limit in force " << held << " times, anything left over 0 times\n";
}

TEST_F(TapShaperTest, RefusesJunkAndWritesNothing) {
  const auto before = Dump();
  for (const char* text : {"", "999bit", "2000000000000bit", "8001bit", "fast", "foreign: htb", "-8000bit"}) {
    EXPECT_EQ(Write("net.in@tap0", text).error().code, Code::kInvalid) << text;
    EXPECT_EQ(Write("net.out@tap0", text).error().code, Code::kInvalid) << text;
  }
  EXPECT_EQ(Write("net.in@k6t-eth0", "8000bit").error().code, Code::kInvalid);
  EXPECT_EQ(Write("net.in@lo", "8000bit").error().code, Code::kInvalid);
  EXPECT_EQ(Write("net.in@tap7", "8000bit").error().code, Code::kNotFound);
  EXPECT_EQ(shaper_.Read(dir(), "net.in@tap7").error().code, Code::kNotFound);
  EXPECT_EQ(shaper_.Read(dir(), "cpu.max").error().code, Code::kInvalid);
  EXPECT_EQ(Dump(), before);
}

TEST_F(TapShaperTest, AnEndedPodIsGone) {
  ASSERT_TRUE(Write("net.in@tap0", "8000bit"));
  pod_.End();
  EXPECT_EQ(shaper_.Read(dir(), "net.in@tap0").error().code, Code::kGone);
  EXPECT_EQ(Write("net.in@tap0", "none").error().code, Code::kGone);
  std::filesystem::remove_all(dir());
  EXPECT_EQ(shaper_.Read(dir(), "net.in@tap0").error().code, Code::kGone);
  EXPECT_EQ(shaper_.Taps(dir()).error().code, Code::kGone);
}

TEST_F(TapShaperTest, AnotherNamespaceUnderTheSameCgroupIsEnteredAnew) {
  ASSERT_TRUE(Write("net.in@tap0", "8000bit"));
  pod_.Restart();
  ASSERT_TRUE(pod_.ok());
  EXPECT_EQ(shaper_.Read(dir(), "net.in@tap0").error().code, Code::kNotFound);
  const int other = pod_.AddTap("tap0");
  EXPECT_EQ(Read("net.in@tap0"), "none");
  ::close(other);
}

TEST_F(TapShaperTest, KeepsNoNamespaceOfAPodThatIsGoneAlive) {
  const auto open_files = [] {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), std::filesystem::directory_iterator());
  };
  ASSERT_TRUE(shaper_.Taps(dir()));
  const auto before = open_files();
  fake::PodNet other(temp_.path() + "/pod2");
  ASSERT_TRUE(shaper_.Taps(other.cgroup()));
  EXPECT_EQ(open_files(), before + 2) << "a socket and a process";
  other.End();
  // Every call looks at one pod, in turn.
  ASSERT_TRUE(shaper_.Taps(dir()));
  ASSERT_TRUE(shaper_.Taps(dir()));
  EXPECT_EQ(open_files(), before);
}

TEST(TapShaper, RefusesAPodOnTheNodesNetwork) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  const fake::TempDir dir;
  std::ofstream(dir.path() + "/cgroup.procs") << ::getpid() << "\n";
  const auto taps = TapShaper().Taps(dir.path());
  ASSERT_FALSE(taps);
  EXPECT_EQ(taps.error().code, Code::kRefused) << taps.error().message;
}

TEST(TapShaper, SaysWhetherThisKernelCanLimit) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  for (const auto direction : {NetDirection::kIn, NetDirection::kOut}) {
    const auto can = CanShape(direction);
    // Elsewhere the kernel may lack a part; then the reason names it.
    if (!can) {
      EXPECT_NE(can.error().message.find("CONFIG_"), std::string::npos) << can.error().message;
    }
    std::cout << (direction == NetDirection::kIn ? "net.in:  " : "net.out: ") << (can ? "can" : can.error().message)
              << "\n";
  }
}

}  // namespace
}  // namespace whorl::agent
