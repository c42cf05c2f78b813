#include "operator/kube/reflector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>

#include "tests/fake/fake_api.h"
#include "tests/fake/fake_api_clock.h"

namespace whorl::kube {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;
using Json = nlohmann::json;

const ResourcePath kVms{.group = "kubevirt.io", .version = "v1", .plural = "virtualmachines"};
constexpr auto kPath = "/apis/kubevirt.io/v1/namespaces/default/virtualmachines";

struct Vm {
  std::string mode;
};

Result<Vm> Decode(JsonView object) {
  const auto mode = object.String({"spec", "mode"});
  if (!mode) return Fail(mode.error());
  return Vm{std::string(*mode)};
}

Json VmObject(const std::string& name, const std::string& mode) {
  return {{"metadata", {{"name", name}}}, {"spec", {{"mode", mode}}}};
}

// What a Reflector does, but on the test's thread: the loop and a sink that
// writes down what it was told.
class Recorded final : public ReflectorLoop::Sink {
 public:
  std::vector<std::string> told;
  std::map<std::string, std::string> listed, store;

  void BeginList() override { listed.clear(); }
  Status Listed(const ObjectKey& key, JsonView object) override {
    auto vm = Decode(object);
    if (!vm) return Fail(vm.error());
    listed[key.Text()] = vm->mode;
    return {};
  }
  void EndList() override {
    store = listed;
    told.push_back("listed");
  }
  Status Put(const ObjectKey& key, JsonView object) override {
    auto vm = Decode(object);
    if (!vm) return Fail(vm.error());
    store[key.Text()] = vm->mode;
    told.push_back("put " + key.Text());
    return {};
  }
  void Remove(const ObjectKey& key) override {
    if (store.erase(key.Text()) > 0) told.push_back("removed " + key.Text());
  }
};

struct World {
  fake::FakeApi api;
  fake::WaitingClock clock;
  Recorded sink;
  std::vector<std::string> troubles;
  std::unique_ptr<Client> client = api.NewClient(clock);
  std::stop_source stop;
  std::vector<std::function<void()>> at_waits;  // what happens during the n-th wait; then the end

  ReflectorOptions Options() {
    ReflectorOptions options;
    options.seed = 7;
    options.on_trouble = [this](const Error& e) { troubles.push_back(e.message); };
    return options;
  }
  ReflectorLoop loop{*client, kVms, Options(), clock, sink};

  void Run() {
    clock.on_wait = [this](int count, Millis) {
      const auto index = static_cast<std::size_t>(count) - 1;
      if (index >= at_waits.size()) {
        stop.request_stop();
      } else if (at_waits[index]) {
        at_waits[index]();
      }
    };
    loop.Run(stop.get_token());
  }
};

TEST(ReflectorLoop, ListsThenWatchesFromWhereTheListEnded) {
  World world;
  world.api.Put(kPath, VmObject("a", "off"));
  world.at_waits = {[&] { world.api.Put(kPath, VmObject("b", "on")); }};
  world.Run();
  EXPECT_THAT(world.sink.told, ElementsAre("listed", "put default/b"));
  EXPECT_EQ(world.api.Count("resourceVersion=101"), 2) << "and resumes there while nothing happens";
  EXPECT_EQ(world.api.Count("resourceVersion=102"), 1) << "then where the last event stood";
  EXPECT_EQ(world.loop.counters().lists, 1u);
  EXPECT_TRUE(world.loop.HasSynced());
  EXPECT_THAT(world.troubles, IsEmpty());
}

TEST(ReflectorLoop, MovesOnWithBookmarks) {
  World world;
  world.api.SayOnNextWatch({R"({"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"4711"}}})"});
  world.Run();
  EXPECT_EQ(world.loop.counters().bookmarks, 1u);
  EXPECT_EQ(world.api.Count("resourceVersion=4711"), 1);
}

TEST(ReflectorLoop, ListsAgainWhenItsPlaceIsGone) {
  World world;
  world.api.Put(kPath, VmObject("a", "off"));
  world.at_waits = {[&] {
    world.api.RemoveSilently(std::string(kPath) + "/a");
    world.api.Put(kPath, VmObject("b", "on"));
    world.api.Compact();
  }};
  world.Run();
  EXPECT_THAT(world.sink.store, ElementsAre(std::pair<const std::string, std::string>("default/b", "on")));
  EXPECT_EQ(world.loop.counters().gone, 1u);
  EXPECT_EQ(world.loop.counters().lists, 2u);
  EXPECT_THAT(world.troubles, IsEmpty()) << "410 is how it should be, not a trouble";
}

TEST(ReflectorLoop, DoesNotListInATightLoopWhenEveryWatchIsGone) {
  World world;
  world.api.FailNext("watch=true", Response{410, R"({"code":410})"}, 1000);
  world.at_waits.resize(5);
  world.Run();
  EXPECT_LE(world.loop.counters().lists, 7u);
  EXPECT_GE(world.clock.waits().back(), Millis(12'800)) << "it waits longer and longer";
}

TEST(ReflectorLoop, BacksOffWithJitterUpToTheCeiling) {
  World world;
  world.api.FailNext("GET", Error{Code::kUnavailable, "away"}, 1000);
  world.at_waits.resize(9);
  world.Run();
  Millis base{800};
  for (const auto wait : world.clock.waits()) {
    EXPECT_GE(wait, base);
    EXPECT_LE(wait, base + base / 2);
    base = std::min(base * 2, Millis(30'000));
  }
  EXPECT_FALSE(world.loop.HasSynced());
  EXPECT_EQ(world.loop.AgeOfLastContact(), std::nullopt);
  EXPECT_THAT(world.troubles, Each(HasSubstr("LIST virtualmachines.kubevirt.io: away")));
}

TEST(ReflectorLoop, ForgetsItsBackOffAfterAHealthyWatch) {
  World world;
  world.api.FailNext("GET", Error{Code::kUnavailable, "away"}, 4);
  world.at_waits = {nullptr, nullptr, nullptr, nullptr, nullptr};
  world.api.OnRequest([&](const Request& request) {
    if (request.target.find("watch") != std::string::npos) world.clock.Advance(Millis(200'000));
  });
  // Four failed lists, a watch that lives long and breaks, then the next wait.
  world.api.FailNext("watch=true", Error{Code::kUnavailable, "broke"}, 100);
  world.Run();
  const auto waits = world.clock.waits();
  EXPECT_GE(waits[3], Millis(6'400));
  EXPECT_LE(waits[4], Millis(1'200));
}

TEST(ReflectorLoop, ResumesAfterAnIdleTimeoutWithoutListingOrComplaining) {
  World world;
  world.api.FailNext("watch=true", Error{Code::kTimeout, "silent"}, 5);
  world.api.OnRequest([&](const Request& request) {
    if (request.target.find("watch") == std::string::npos) return;
    EXPECT_GE(request.timeout, Millis(90'000)) << "bookmarks come each minute, if at all";
    if (world.api.Count("watch=true") <= 5) world.clock.Advance(request.timeout);
  });
  world.Run();
  EXPECT_EQ(world.loop.counters().idle, 5u);
  EXPECT_EQ(world.loop.counters().lists, 1u);
  EXPECT_EQ(world.api.Count("resourceVersion=100"), 6);
  EXPECT_THAT(world.troubles, IsEmpty());
}

TEST(ReflectorLoop, CountsAnAcceptedWatchAsContact) {
  World world;
  world.api.OnRequest([&](const Request& request) {
    if (request.target.find("watch") == std::string::npos) return;
    world.clock.Advance(Millis(50'000));  // silence until the server takes the second watch
    if (world.api.Count("watch=true") == 2) world.stop.request_stop();
  });
  world.Run();
  EXPECT_EQ(world.loop.AgeOfLastContact(), Millis(0));
}

TEST(ReflectorLoop, ListsWhenTheServerNeverAnswersForItsPlace) {
  World world;
  world.api.FailNext("watch=true", Error{Code::kTimeout, "silent"}, 3);
  world.at_waits.resize(3);
  world.Run();
  EXPECT_EQ(world.loop.counters().lists, 2u);
}

TEST(ReflectorLoop, ListsAfterALineItCannotRead) {
  World world;
  world.api.Put(kPath, VmObject("a", "off"));
  world.api.SayOnNextWatch({R"({"type":"MODIFIED","object":{"metadata":{"na)"});
  world.at_waits.resize(1);
  world.Run();
  EXPECT_EQ(world.loop.counters().lists, 2u);
  EXPECT_THAT(world.sink.told, ElementsAre("listed", "listed"));
  EXPECT_THAT(world.troubles, ElementsAre(HasSubstr("not valid JSON")));
}

TEST(ReflectorLoop, LeavesOutWhatItCannotDecodeAndGoesOn) {
  World world;
  world.api.Put(kPath, VmObject("a", "off"));
  world.api.Put(kPath, Json{{"metadata", {{"name", "odd"}}}, {"spec", {{"mode", 7}}}});
  world.at_waits = {[&] {
    world.api.Put(kPath, Json{{"metadata", {{"name", "a"}}}});
    world.api.Put(kPath, VmObject("b", "on"));
  }};
  world.Run();
  EXPECT_THAT(world.sink.store, ElementsAre(std::pair<const std::string, std::string>("default/b", "on")))
      << "an object that became unreadable must not stay as it was";
  EXPECT_EQ(world.loop.counters().undecodable, 2u);
  EXPECT_THAT(world.troubles.at(0),
              HasSubstr("default/odd: left out, because it cannot be read: spec.mode: should be a string"));
}

TEST(ReflectorLoop, SaysThatTheServerWentBackInTime) {
  World world;
  world.api.FailNext("limit=", Response{200, R"({"metadata":{"resourceVersion":"9000"},"items":[]})"});
  world.api.FailNext("watch=true", Response{410, R"({"code":410})"});
  world.at_waits.resize(1);
  world.Run();
  EXPECT_THAT(world.troubles, ElementsAre(HasSubstr("went back from 9000 to 100")));
}

TEST(ReflectorLoop, AsksForWatchesOfFiveToTenMinutes) {
  World world;
  world.at_waits.resize(20);
  world.Run();
  std::set<std::string> asked;
  for (const auto& request : world.api.requests()) {
    const auto at = request.target.find("timeoutSeconds=");
    if (at == std::string::npos) continue;
    const auto text = request.target.substr(at + 15);
    asked.insert(text);
    EXPECT_GE(std::stoi(text), 300);
    EXPECT_LE(std::stoi(text), 600);
  }
  EXPECT_GT(asked.size(), 5u) << "at random, so that they do not end together";
}

// The real thing, with its thread; waits for what it waits for.
struct Live {
  fake::FakeApi api;
  SystemClock clock;
  std::unique_ptr<Client> client = api.NewClient(clock);
  std::mutex mu;
  std::condition_variable changed;
  std::vector<std::string> told;
  Reflector<Vm> vms{*client, kVms, Decode, Options(), clock};

  static ReflectorOptions Options() {
    ReflectorOptions options;
    options.min_backoff = Millis(1);  // the clock is real here
    return options;
  }

  Live() {
    api.KeepWatchesOpen(true);
    vms.OnChange([this](ChangeKind kind, const ObjectKey& key) {
      const std::scoped_lock lock(mu);
      told.push_back((kind == ChangeKind::kAdded ? "+" : kind == ChangeKind::kDeleted ? "-" : "~") + key.name);
      changed.notify_all();
    });
  }
  bool Told(std::size_t count) {
    std::unique_lock lock(mu);
    return changed.wait_for(lock, std::chrono::seconds(10), [&] { return told.size() >= count; });
  }
};

TEST(Reflector, KeepsAStoreAndTellsOfChanges) {
  Live live;
  live.api.Put(kPath, VmObject("a", "off"));
  live.vms.Start();
  ASSERT_TRUE(live.Told(1));
  const auto before = live.vms.store().Find({"default", "a"});
  live.api.Put(kPath, VmObject("a", "on"));
  live.api.Put(kPath, VmObject("b", "on"));
  live.api.Remove(std::string(kPath) + "/a");
  ASSERT_TRUE(live.Told(4));
  live.vms.Stop();
  EXPECT_THAT(live.told, ElementsAre("+a", "~a", "+b", "-a"));
  EXPECT_EQ(live.vms.store().size(), 1u);
  EXPECT_EQ(before->mode, "off") << "what a reader holds does not change under it";
  EXPECT_TRUE(live.vms.HasSynced());
  EXPECT_FALSE(live.vms.store().FindEntry({"default", "b"}).uid.empty());
}

TEST(Reflector, FindsDeletionsItMissedBySetDifference) {
  Live live;
  live.api.Put(kPath, VmObject("stays", "off"));
  live.api.Put(kPath, VmObject("goes", "off"));
  live.api.Put(kPath, VmObject("reborn", "off"));
  live.vms.Start();
  ASSERT_TRUE(live.Told(3));
  {
    const std::scoped_lock lock(live.mu);
    live.told.clear();
  }
  live.api.RemoveSilently(std::string(kPath) + "/goes");
  live.api.RemoveSilently(std::string(kPath) + "/reborn");
  live.api.Compact();  // before the watch can tell
  auto reborn = VmObject("reborn", "on");
  reborn["metadata"]["uid"] = "another";
  live.api.FailNext("watch=true", Response{410, R"({"code":410})"});
  live.api.KeepWatchesOpen(false);
  live.api.EndWatches();
  live.api.Put(kPath, reborn);
  live.api.KeepWatchesOpen(true);
  ASSERT_TRUE(live.Told(3));
  live.vms.Stop();
  EXPECT_THAT(live.told, UnorderedElementsAre("-goes", "-reborn", "+reborn"));
}

}  // namespace
}  // namespace whorl::kube
