#include "operator/kube/events.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/fake/fake_api.h"
#include "tests/fake/fake_api_clock.h"

namespace whorl::kube {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Json = nlohmann::json;

constexpr auto kPath = "/apis/events.k8s.io/v1/namespaces/default/events";

Event Deviating(const std::string& vm = "db-1") {
  return {.regarding = {"kubevirt.io/v1", "VirtualMachine", "default", vm, "uid-" + vm},
          .related = ObjectRef{"whorl.dev/v1alpha1", "BehaviorFingerprint", "default", vm, "f-" + vm},
          .type = EventType::kWarning,
          .reason = "BehaviorDeviating",
          .action = "Score",
          .note = "score 82 over 50 for 30 s: cpu.run_delay"};
}

struct World {
  fake::FakeApi api;
  fake::WaitingClock clock;
  std::unique_ptr<Client> client = api.NewClient(clock);
  std::vector<std::string> troubles;
  EventRecorderOptions options = Options();
  EventRecorder recorder{*client, clock, options};

  EventRecorderOptions Options() {
    EventRecorderOptions o;
    o.instance = "whorl-controller-x";
    o.queue_capacity = 100;
    o.on_trouble = [this](const Error& e) { troubles.push_back(e.message); };
    return o;
  }
  void Say(const Event& event) {
    recorder.Record(event);
    recorder.Drain();
  }
  std::vector<Json> Events() const { return api.All(kPath); }
};

TEST(EventRecorder, WritesWhatDescribeLooksFor) {
  World world;
  world.Say(Deviating());
  ASSERT_THAT(world.Events(), SizeIs(1));
  const auto event = world.Events()[0];
  EXPECT_EQ(
      event["regarding"].dump(),
      R"({"apiVersion":"kubevirt.io/v1","kind":"VirtualMachine","name":"db-1","namespace":"default","uid":"uid-db-1"})");
  EXPECT_EQ(event["related"]["kind"], "BehaviorFingerprint");
  EXPECT_EQ(event["reason"], "BehaviorDeviating");
  EXPECT_EQ(event["action"], "Score");
  EXPECT_EQ(event["type"], "Warning");
  EXPECT_EQ(event["eventTime"], "2026-01-02T03:04:05.000000Z");
  EXPECT_EQ(event["reportingController"], "whorl.dev/controller");
  EXPECT_EQ(event["reportingInstance"], "whorl-controller-x");
  EXPECT_FALSE(event.contains("series"));
}

TEST(EventRecorder, CutsALongNoteAtACharacter) {
  World world;
  auto event = Deviating();
  event.note = std::string(1023, 'x') + "\xc3\xa4 and more";
  world.Say(event);
  EXPECT_EQ(world.Events()[0]["note"].get<std::string>(), std::string(1023, 'x'));
}

TEST(EventRecorder, FoldsRepeatsIntoASeries) {
  World world;
  for (int i = 0; i < 5; ++i) {
    world.Say(Deviating());
    world.clock.Advance(Seconds(60));
  }
  ASSERT_THAT(world.Events(), SizeIs(1));
  EXPECT_EQ(world.Events()[0]["series"]["count"], 2)
      << "the second makes the series, later ones wait for the heartbeat";
  EXPECT_EQ(world.api.Count("PATCH"), 1);
  world.clock.Advance(Seconds(360));
  world.recorder.Drain();
  EXPECT_EQ(world.Events()[0]["series"]["count"], 5) << "and its end writes the final count";
  EXPECT_EQ(world.Events()[0]["series"]["lastObservedTime"], "2026-01-02T03:08:05.000000Z");
  EXPECT_EQ(world.recorder.counters().series, 4u);
  world.Say(Deviating());
  EXPECT_THAT(world.Events(), SizeIs(2)) << "after the quiet a new event";
}

TEST(EventRecorder, WritesARunningSeriesAtItsHeartbeat) {
  World world;
  for (int i = 0; i <= 31; ++i) {
    world.Say(Deviating());
    world.clock.Advance(Seconds(60));
  }
  EXPECT_EQ(world.api.Count("PATCH"), 2);
  EXPECT_GE(world.Events()[0]["series"]["count"], 31);
}

TEST(EventRecorder, KeepsDifferentObjectsAndReasonsApart) {
  World world;
  world.Say(Deviating("db-1"));
  world.Say(Deviating("db-2"));
  auto normal = Deviating("db-1");
  normal.reason = "BehaviorNormal";
  world.Say(normal);
  EXPECT_THAT(world.Events(), SizeIs(3));
  EXPECT_EQ(world.api.Count("PATCH"), 0);
}

TEST(EventRecorder, AllowsABurstPerObjectThenOneEachFiveMinutes) {
  World world;
  const auto flood = [&](const std::string& vm, int from, int count) {
    for (int i = from; i < from + count; ++i) {
      auto event = Deviating(vm);
      event.reason = "Reason" + std::to_string(i);
      world.Say(event);
    }
  };
  flood("db-1", 0, 30);
  EXPECT_THAT(world.Events(), SizeIs(25));
  EXPECT_EQ(world.recorder.counters().rate_limited, 5u);
  flood("db-2", 0, 1);
  EXPECT_THAT(world.Events(), SizeIs(26)) << "another object has a bucket of its own";
  world.clock.Advance(Seconds(600));
  flood("db-1", 100, 3);
  EXPECT_THAT(world.Events(), SizeIs(28));
}

TEST(EventRecorder, CountsWhatTheFullQueueRefuses) {
  World world;
  for (int i = 0; i < 103; ++i) world.recorder.Record(Deviating("vm-" + std::to_string(i)));
  EXPECT_EQ(world.recorder.counters().dropped, 3u);
  world.recorder.Drain();
  EXPECT_THAT(world.Events(), SizeIs(100));
}

TEST(EventRecorder, HoldsEventsWhileTheServerIsOverloadedAndLosesNone) {
  World world;
  world.api.FailNext("POST", Response{429, ""}, 1);
  world.Say(Deviating());
  EXPECT_THAT(world.Events(), IsEmpty());
  world.Say(Deviating("db-2"));
  EXPECT_EQ(world.api.Count("POST"), 1) << "it backs off hard";
  world.clock.Advance(Seconds(31));
  world.recorder.Drain();
  EXPECT_THAT(world.Events(), SizeIs(2));
  EXPECT_EQ(world.recorder.counters().failed, 0u);
}

TEST(EventRecorder, GivesUpOnAnEventTheServerRefusesAndGoesOn) {
  World world;
  world.api.FailNext("POST", Response{403, R"({"message":"events is forbidden"})"});
  world.Say(Deviating());
  world.Say(Deviating("db-2"));
  EXPECT_THAT(world.Events(), SizeIs(1));
  EXPECT_EQ(world.recorder.counters().failed, 1u);
  EXPECT_THAT(world.troubles, Each(HasSubstr("events is forbidden")));
}

TEST(EventRecorder, TakesALostAnswerForWritten) {
  World world;
  // The first try arrived although its answer did not.
  world.api.OnRequest([&, first = true](const Request& request) mutable {
    if (!std::exchange(first, false)) return;
    world.api.Put(kPath, Json::parse(request.body));
  });
  world.api.FailNext("POST", Error{Code::kUnavailable, "broke off"});
  world.Say(Deviating());
  world.clock.Advance(Seconds(31));
  world.recorder.Drain();
  EXPECT_THAT(world.Events(), SizeIs(1));
  EXPECT_EQ(world.api.Count("POST"), 2);
  EXPECT_EQ(world.recorder.counters().created, 1u);
}

TEST(EventRecorder, FlushesAtStop) {
  fake::FakeApi api;
  SystemClock clock;
  const auto client = api.NewClient(clock);
  EventRecorder recorder(*client, clock, {});
  recorder.Start();
  for (int i = 0; i < 20; ++i) recorder.Record(Deviating("vm-" + std::to_string(i % 10)));
  recorder.Stop();
  EXPECT_THAT(api.All(kPath), SizeIs(10));
  EXPECT_EQ(recorder.counters().created, 10u);
}

TEST(EventRecorder, PutsEventsOfClusterScopedObjectsIntoDefault) {
  World world;
  auto event = Deviating();
  event.regarding = {"whorl.dev/v1alpha1", "NodePartition", "", "node-1", "u"};
  world.Say(event);
  EXPECT_THAT(world.Events(), SizeIs(1));
}

}  // namespace
}  // namespace whorl::kube
