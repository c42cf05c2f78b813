#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/baseline/baseline.h"
#include "operator/controller/http/metrics.h"
#include "operator/controller/map/map_keeper.h"
#include "operator/controller/map/pages.h"
#include "operator/controller/map/picture.h"
#include "tests/core/fingerprint/made_up_fleet.h"
#include "tests/fake/manual_clock.h"

namespace whorl::controller {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

const Time kNow = FromUnixMillis(1'700'000'000'000);

std::string BlobOf(const Behaviour& usual, float samples = 300) {
  Baseline baseline;
  for (std::size_t f = 0; f < kFeatureCount; ++f) {
    baseline.scaling.center.Set(f, usual.level[f]);
    baseline.scaling.spread_squared.Set(f, usual.spread[f] * usual.spread[f]);
    baseline.scaling.count.Set(f, samples);
  }
  return Save(baseline, LongMemory{});
}

std::vector<FleetEntry> Fleet(std::size_t vms) {
  std::vector<FleetEntry> fleet;
  for (const FleetVm& vm : test::MadeUpFleet(vms, 3)) {
    fleet.push_back({{vm.id, "shop", "web-" + vm.id.substr(3), "node-1"}, vm.usual});
  }
  return fleet;
}

TEST(FleetPicture, ShowsEveryVmWithItsNameAndCohort) {
  const auto picture = DrawPicture(Fleet(30), nullptr, kNow);
  ASSERT_TRUE(picture) << picture.error().message;
  ASSERT_EQ(picture->names.size(), 30u);
  EXPECT_EQ(picture->names[4].name, "web-100004");
  EXPECT_EQ(picture->cohorts.models.size(), 3u);
  EXPECT_EQ(picture->too_young, 0u);
}

TEST(FleetPicture, LeavesOutWhoIsYoung) {
  auto fleet = Fleet(12);
  fleet[1].usual = Behaviour{};
  const auto picture = DrawPicture(fleet, nullptr, kNow);
  ASSERT_TRUE(picture);
  EXPECT_EQ(picture->map.places.size(), 11u);
  EXPECT_EQ(picture->names[1].uid, "vm-100002");
  EXPECT_EQ(picture->too_young, 1u);
}

TEST(FleetPicture, GoesOnFromThePreviousOne) {
  const auto fleet = Fleet(30);
  const auto first = DrawPicture(fleet, nullptr, kNow);
  ASSERT_TRUE(first);
  const auto second = DrawPicture(fleet, &*first, kNow + Seconds{900});
  ASSERT_TRUE(second);
  EXPECT_FALSE(second->map.from_scratch);
  EXPECT_LT(second->map.displacement, 0.05f);
  EXPECT_EQ(second->cohorts.of, first->cohorts.of);
}

TEST(MapJson, SaysWhereEveryVmStandsAndWhatMarksACohort) {
  const auto picture = DrawPicture(Fleet(30), nullptr, kNow);
  ASSERT_TRUE(picture);
  const auto json = Json::parse(MapJson(&*picture));
  EXPECT_EQ(json["drawnAt"], "2023-11-14T22:13:20Z");
  ASSERT_EQ(json["places"].size(), 30u);
  const auto& place = json["places"][4];
  EXPECT_EQ(place["name"], "web-100004");
  EXPECT_EQ(place["namespace"], "shop");
  EXPECT_TRUE(place["x"].is_number());
  EXPECT_TRUE(place["displacement"].is_null());
  EXPECT_EQ(place["cohort"], json["places"][7]["cohort"]);
  const auto& cohort = json["cohorts"][0];
  EXPECT_EQ(cohort["members"], 10);
  ASSERT_EQ(cohort["traits"].size(), 3u);
  EXPECT_THAT(cohort["traits"][0]["direction"], ::testing::AnyOf("above", "below"));
}

TEST(MapJson, SaysWhyThereIsNoMapYet) {
  const auto json = Json::parse(MapJson(nullptr));
  EXPECT_TRUE(json["drawnAt"].is_null());
  EXPECT_TRUE(json["places"].empty());
  EXPECT_THAT(json["why"].get<std::string>(), HasSubstr("two minutes"));
}

TEST(MapKeeper, DrawsTheWatchedVmsFromTheBankAndForgetsThemWithTheLead) {
  BaselineBank bank;
  fake::ManualClock clock;
  int drawn = 0;
  MapKeeper keeper(bank, clock, [&](const FleetPicture&, std::chrono::microseconds) { ++drawn; });
  EXPECT_FALSE(keeper.DrawOnce());
  EXPECT_EQ(keeper.Current(), nullptr);

  std::vector<FleetName> names;
  for (const FleetEntry& entry : Fleet(9)) {
    bank.Put(entry.who.uid, {BlobOf(entry.usual), kNow, true});
    names.push_back(entry.who);
  }
  bank.Put("vm-100001", {"not a checkpoint", kNow + Seconds{1}, true});
  bank.Put("vm-100002", {BlobOf({}, 3), kNow + Seconds{1}, true});
  names.pop_back();
  keeper.SetFleet(names);
  EXPECT_TRUE(keeper.DrawOnce());
  ASSERT_NE(keeper.Current(), nullptr);
  EXPECT_EQ(keeper.Current()->map.places.size(), 6u) << "whom nobody watches any more is not on the map";
  EXPECT_EQ(keeper.Current()->too_young, 2u);
  EXPECT_EQ(keeper.Current()->drawn_at, clock.Now());
  EXPECT_EQ(drawn, 1);

  keeper.SetFleet({});
  EXPECT_EQ(keeper.Current(), nullptr);
}

TEST(MapKeeper, ItsThreadEndsWhenAsked) {
  BaselineBank bank;
  fake::ManualClock clock;
  MapKeeper keeper(bank, clock, [](const FleetPicture&, std::chrono::microseconds) {});
  keeper.Start();
  keeper.Stop();
}

TEST(MapPages, FetchNothingFromElsewhere) {
  BaselineBank bank;
  fake::ManualClock clock;
  const MapKeeper keeper(bank, clock, [](const FleetPicture&, std::chrono::microseconds) {});
  for (const auto& page : MapPages(keeper, "/nowhere/chart.js")) {
    const auto body = page.body();
    EXPECT_THAT(body, Not(HasSubstr("https://"))) << page.path;
    EXPECT_THAT(body, Not(HasSubstr("innerHTML"))) << page.path;
    if (page.path == "/map.html") {
      EXPECT_THAT(body, HasSubstr("<script src=\"map.js\" defer>"));
    } else if (page.path == "/chart.js") {
      EXPECT_EQ(body, "") << "not installed: the server answers 404 and the page says so";
    }
  }
}

TEST(Metrics, SaysHowOldTheMapIsOnceThereIsOne) {
  Metrics metrics;
  EXPECT_THAT(metrics.Render(), Not(HasSubstr("whorl_map_age_seconds")));
  const auto picture = DrawPicture(Fleet(30), nullptr, kNow);
  ASSERT_TRUE(picture);
  metrics.OnMap(*picture, std::chrono::microseconds{2500});
  const auto text = metrics.Render();
  EXPECT_THAT(text, HasSubstr("whorl_map_age_seconds "));
  EXPECT_THAT(text, HasSubstr("whorl_map_vms 30"));
  EXPECT_THAT(text, HasSubstr("whorl_map_cohorts 3"));
  EXPECT_THAT(text, HasSubstr("whorl_map_seconds 0.0025"));
  EXPECT_THAT(text, HasSubstr("whorl_maps_total{result=\"drawn\"} 1"));
}

}  // namespace
}  // namespace whorl::controller
