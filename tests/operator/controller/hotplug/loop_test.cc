#include "operator/controller/hotplug/loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/operator/controller/hotplug/sized_cluster.h"

namespace whorl::controller::hotplug {
namespace {

using nlohmann::json;
using test::SizedCluster;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr Millis kHalfAnHour{31 * 60'000};
const char* const kWish = "sockets=2@2026-01-02T03:04:05Z";

TEST(HotplugLoop, RecommendsInTheFingerprintAndChangesNothing) {
  SizedCluster cluster;
  cluster.Foretell(1500, 900, 100);
  cluster.Wait(kHalfAnHour);
  const auto resize = cluster.Resize();
  EXPECT_EQ(resize["mode"], "Recommend");
  EXPECT_EQ(resize["expectedMigrations"], 1);
  EXPECT_EQ(resize["recommendation"][0]["name"], "sockets");
  EXPECT_EQ(resize["recommendation"][0]["current"], "1");
  EXPECT_EQ(resize["recommendation"][0]["target"], "2");
  EXPECT_EQ(resize["recommendation"][0]["why"], "P95 of the next hour 1500m of 1000m with 15% margin");
  EXPECT_EQ(resize["recommendation"][1]["target"], "1Gi");
  EXPECT_EQ(cluster.Possible()["status"], "True");
  EXPECT_EQ(cluster.Sockets(), 1);
  EXPECT_TRUE(cluster.patches.empty());
  EXPECT_THAT(cluster.Reasons(), ElementsAre("ResizeRecommended"));
}

TEST(HotplugLoop, WritesOnlyWhenWhatPeopleReadChanges) {
  SizedCluster cluster;
  cluster.Foretell(600);
  cluster.Wait(Millis{600'000});
  const int before = cluster.status_writes;
  for (int i = 0; i < 60; ++i) {
    cluster.Foretell(600.0F + static_cast<float>(i));
    cluster.Wait(Millis{60'000});
  }
  // The words behind it move each minute and are told every ten minutes.
  EXPECT_LE(cluster.status_writes - before, 6);
}

TEST(HotplugLoop, CarriesOutARequestFromPatchToDone) {
  SizedCluster cluster;
  cluster.Ask(kWish);
  cluster.Step();
  EXPECT_EQ(cluster.dry_runs, 1);
  EXPECT_EQ(cluster.Sockets(), 2);
  EXPECT_TRUE(cluster.Annotated("whorl.dev/resizing"));
  EXPECT_EQ(cluster.Phase(), "Patched");
  EXPECT_EQ(cluster.Resize()["change"]["from"], "1 socket");
  EXPECT_EQ(cluster.Resize()["change"]["to"], "2 sockets");
  EXPECT_EQ(cluster.Resize()["change"]["request"], kWish);
  // The patch tests what it replaces and whose VM it is.
  EXPECT_EQ(cluster.patches[0][0], json({{"op", "test"}, {"path", "/metadata/uid"}, {"value", "db-1-uid"}}));
  EXPECT_EQ(cluster.patches[0][1],
            json({{"op", "test"}, {"path", "/spec/template/spec/domain/cpu/sockets"}, {"value", 1}}));
  EXPECT_EQ(cluster.patches[0][2],
            json({{"op", "replace"}, {"path", "/spec/template/spec/domain/cpu/sockets"}, {"value", 2}}));

  cluster.TakeUp();
  cluster.Migrate("kubevirt-workload-update-1", "Running");
  cluster.Soon();
  EXPECT_EQ(cluster.Phase(), "Migrating");
  EXPECT_EQ(cluster.Resize()["change"]["message"], "migration kubevirt-workload-update-1 is Running");
  EXPECT_EQ(cluster.Resize()["migrationsLastDay"].size(), 1U);

  cluster.Complete();
  cluster.Migrate("kubevirt-workload-update-1", "Succeeded");
  cluster.Soon();
  EXPECT_EQ(cluster.Phase(), "Done");
  EXPECT_FALSE(cluster.Annotated("whorl.dev/resizing"));
  EXPECT_FALSE(cluster.Annotated("whorl.dev/resize"));
  EXPECT_TRUE(cluster.Annotated("whorl.dev/mode"));
  EXPECT_EQ(cluster.Resize()["changesLastDay"].size(), 1U);
  EXPECT_THAT(cluster.Reasons(), ElementsAre("ResizeStarted", "ResizeDone"));
  // Nothing more happens.
  const auto patches = cluster.patches.size();
  cluster.Wait(kHalfAnHour);
  EXPECT_EQ(cluster.patches.size(), patches);
}

TEST(HotplugLoop, BothPartsAreOnePatchAndOneMigration) {
  SizedCluster cluster;
  cluster.Ask("sockets=2,memory=2Gi");
  cluster.Step();
  EXPECT_EQ(cluster.patches.size(), 1U);
  EXPECT_EQ(cluster.Sockets(), 2);
  EXPECT_EQ(cluster.Guest(), "2Gi");
  cluster.TakeUp();
  cluster.Soon();
  cluster.Complete();
  cluster.Soon();
  EXPECT_EQ(cluster.Phase(), "Done");
}

TEST(HotplugLoop, RevertsWhenKubeVirtWantsARestart) {
  SizedCluster cluster;
  cluster.Ask("memory=2Gi@1");
  cluster.Step();
  ASSERT_EQ(cluster.Guest(), "2Gi");
  cluster.WantRestart("memory updated in template spec to a value higher than what's available");
  cluster.Soon();
  EXPECT_EQ(cluster.Guest(), "1Gi");
  EXPECT_EQ(cluster.Phase(), "Reverting");
  cluster.vm["status"]["conditions"] = json::array();
  cluster.Soon();
  EXPECT_EQ(cluster.Phase(), "Reverted");
  EXPECT_THAT(cluster.Resize()["change"]["message"].get<std::string>(),
              StartsWith("memory updated in template spec to a value higher than what's available"));
  EXPECT_FALSE(cluster.Annotated("whorl.dev/resizing"));
  EXPECT_FALSE(cluster.Annotated("whorl.dev/resize"));
  EXPECT_THAT(cluster.Reasons(), ElementsAre("ResizeStarted", "ResizeReverted"));
}

TEST(HotplugLoop, ANewLeaderGoesOnFromTheObjects) {
  for (const int restart_at : {1, 2, 3, 4}) {
    SizedCluster cluster;
    const auto restart = [&](int step) {
      if (step == restart_at) cluster.NewLoop();
    };
    cluster.Ask(kWish);
    cluster.Step();
    restart(1);
    cluster.TakeUp();
    cluster.Soon();
    restart(2);
    EXPECT_EQ(cluster.Phase(), "Migrating") << restart_at;
    cluster.Complete();
    cluster.refuse_status = true;  // it cannot tell yet, so the record stays
    cluster.Soon();
    restart(3);
    EXPECT_TRUE(cluster.Annotated("whorl.dev/resizing")) << restart_at;
    cluster.refuse_status = false;
    cluster.Soon();
    restart(4);
    cluster.Soon();
    EXPECT_EQ(cluster.Phase(), "Done") << restart_at;
    EXPECT_FALSE(cluster.Annotated("whorl.dev/resizing")) << restart_at;
    EXPECT_EQ(cluster.Sockets(), 2) << restart_at;
    EXPECT_EQ(cluster.Resize()["changesLastDay"].size(), 1U) << restart_at;
  }
}

TEST(HotplugLoop, ANewLeaderRevertsWhatAnotherBegan) {
  SizedCluster cluster;
  cluster.Ask(kWish);
  cluster.Step();
  cluster.NewLoop();
  cluster.WantRestart("CPU sockets updated in template spec to a value higher than what's available");
  cluster.Soon();
  EXPECT_EQ(cluster.Sockets(), 1);
  cluster.NewLoop();
  cluster.vm["status"]["conditions"] = json::array();
  cluster.Soon();
  EXPECT_EQ(cluster.Phase(), "Reverted");
}

TEST(HotplugLoop, RefusesWithTheRuleInStatusAndTakesTheRequestAway) {
  SizedCluster cluster;
  cluster.kubevirt["spec"] = json::object();
  cluster.Ask(kWish);
  cluster.Step();
  EXPECT_EQ(cluster.Sockets(), 1);
  EXPECT_EQ(cluster.Phase(), "Refused");
  EXPECT_THAT(cluster.Resize()["change"]["message"].get<std::string>(), HasSubstr("has no LiveMigrate"));
  EXPECT_EQ(cluster.Possible()["reason"], "NoLiveMigrateMethod");
  EXPECT_FALSE(cluster.Annotated("whorl.dev/resize"));
  EXPECT_EQ(cluster.dry_runs, 0);
  EXPECT_THAT(cluster.Reasons(), ElementsAre("ResizeRefused"));
}

TEST(HotplugLoop, WhatAdmissionSaysInTheDryRunIsTheAnswer) {
  SizedCluster cluster;
  cluster.admission = "failure checking preference requirements: insufficient CPU resources";
  cluster.Ask(kWish);
  cluster.Step();
  cluster.Soon();
  EXPECT_EQ(cluster.Sockets(), 1);
  EXPECT_TRUE(std::none_of(cluster.patches.begin(), cluster.patches.end(), [](const json& patch) {
    return patch.dump().find("sockets\",\"value\":2") != std::string::npos;
  }));
  EXPECT_EQ(cluster.Phase(), "Refused");
  EXPECT_THAT(cluster.Resize()["change"]["message"].get<std::string>(), HasSubstr("failure checking preference"));
  EXPECT_FALSE(cluster.Annotated("whorl.dev/resize"));
}

TEST(HotplugLoop, WaitsForAMigrationOfSomebodyElse) {
  SizedCluster cluster;
  cluster.Migrate("evacuation", "Running");
  cluster.Ask(kWish);
  cluster.Wait(Millis{300'000});
  EXPECT_EQ(cluster.Sockets(), 1);
  EXPECT_TRUE(cluster.Annotated("whorl.dev/resize"));
  EXPECT_EQ(cluster.Possible()["reason"], "Migrating");
  cluster.Migrate("evacuation", "Succeeded");
  cluster.Soon();
  EXPECT_EQ(cluster.Sockets(), 2);
}

TEST(HotplugLoop, WhatIsPausedIsNotBegun) {
  SizedCluster cluster;
  cluster.pause = Pause::kHold;
  cluster.Ask(kWish);
  cluster.Wait(Millis{300'000});
  EXPECT_EQ(cluster.Sockets(), 1);
  EXPECT_EQ(cluster.Possible()["reason"], "Paused");
  cluster.pause = Pause::kNone;
  cluster.Soon();
  EXPECT_EQ(cluster.Sockets(), 2);
}

TEST(HotplugLoop, ModesSayWhatMayBeDone) {
  SizedCluster observed;
  observed.mode = Mode::kObserve;
  observed.Ask(kWish);
  observed.Step();
  EXPECT_EQ(observed.Phase(), "Refused");
  EXPECT_EQ(observed.Sockets(), 1);

  SizedCluster off;
  off.SetPolicy({.mode = crd::HotplugMode::kOff});
  off.Foretell(3000);
  off.Ask(kWish);
  off.Wait(kHalfAnHour);
  EXPECT_EQ(off.Phase(), "Refused");
  EXPECT_EQ(off.Sockets(), 1);
  EXPECT_FALSE(off.Resize().contains("recommendation"));

  SizedCluster follower;
  follower.leading = false;
  follower.Ask(kWish);
  follower.Wait(kHalfAnHour);
  EXPECT_EQ(follower.status_writes, 0);
  EXPECT_EQ(follower.Sockets(), 1);
}

TEST(HotplugLoop, AutoFollowsTheRecommendationInEnforceModeOnly) {
  SizedCluster cluster;
  cluster.SetPolicy({.mode = crd::HotplugMode::kAuto});
  cluster.mode = Mode::kRecommend;
  cluster.Foretell(1500);
  cluster.Wait(2 * kHalfAnHour);
  EXPECT_EQ(cluster.Sockets(), 1);
  cluster.mode = Mode::kEnforce;
  cluster.Step();
  EXPECT_EQ(cluster.Sockets(), 2);
  EXPECT_FALSE(cluster.Resize()["change"].contains("request"));
}

TEST(HotplugLoop, ABudgetHoldsForTheDayAlsoForANewLeader) {
  SizedCluster cluster;
  int asked = 0;
  const auto grow = [&](int to) {
    cluster.Ask("sockets=" + std::to_string(to) + "@" + std::to_string(++asked));
    cluster.Soon();
    cluster.TakeUp();
    cluster.Complete();
    cluster.Soon();
    cluster.Soon();
  };
  grow(2);
  grow(3);
  ASSERT_EQ(cluster.Sockets(), 3);
  cluster.NewLoop();
  grow(4);
  EXPECT_EQ(cluster.Sockets(), 3);
  EXPECT_EQ(cluster.Phase(), "Refused");
  EXPECT_EQ(cluster.Possible()["reason"], "ChangesOfDaySpent");
  cluster.clock.Advance(std::chrono::hours{25});
  grow(4);
  EXPECT_EQ(cluster.Sockets(), 4);
}

TEST(HotplugLoop, MigrationsKubeVirtHasForgottenStillCount) {
  SizedCluster cluster;
  for (int i = 0; i < 8; ++i) {
    cluster.migrations.clear();  // as it keeps only the last few
    cluster.Migrate("drain-" + std::to_string(i), "Succeeded");
    cluster.Wait(Millis{3'600'000});
  }
  EXPECT_EQ(cluster.Resize()["migrationsLastDay"].size(), 8U);
  EXPECT_EQ(cluster.Possible()["reason"], "MigrationsNearAlert");
  cluster.NewLoop();
  cluster.Ask(kWish);
  cluster.Step();
  EXPECT_EQ(cluster.Sockets(), 1);
}

TEST(HotplugLoop, LeavesAloneWhatSomebodyElseChangedMeanwhile) {
  SizedCluster cluster;
  cluster.Ask(kWish);
  cluster.Step();
  cluster.vm["spec"]["template"]["spec"]["domain"]["cpu"]["sockets"] = 3;
  cluster.Soon();
  EXPECT_EQ(cluster.Sockets(), 3);
  EXPECT_EQ(cluster.Phase(), "Failed");
  EXPECT_FALSE(cluster.Annotated("whorl.dev/resizing"));
  EXPECT_THAT(cluster.Reasons(), Contains("ResizeFailed"));
}

TEST(HotplugLoop, AVmOfThatNameWithAnotherUidIsNotPatched) {
  SizedCluster cluster;
  cluster.Ask(kWish);
  const auto before = cluster.vm;
  cluster.Step();
  ASSERT_EQ(cluster.patches.size(), 1U);
  cluster.vm = before;
  cluster.vm["metadata"]["uid"] = "another";
  EXPECT_THROW((void)cluster.vm.patch(cluster.patches[0]), json::exception);
}

TEST(HotplugLoop, AForeignWordInOurAnnotationIsTakenAwayAndSaid) {
  SizedCluster cluster;
  cluster.vm["metadata"]["annotations"]["whorl.dev/resizing"] = "yes please";
  cluster.Step();
  cluster.Soon();
  EXPECT_EQ(cluster.Phase(), "Failed");
  EXPECT_FALSE(cluster.Annotated("whorl.dev/resizing"));
  EXPECT_EQ(cluster.Sockets(), 1);
}

TEST(HotplugLoop, ARequestOutsideTheGrammarIsTakenAwayWithAWarning) {
  SizedCluster cluster;
  cluster.Ask("sockets=many");
  cluster.Step();
  EXPECT_THAT(cluster.Reasons(), ElementsAre("InvalidResizeRequest"));
  EXPECT_FALSE(cluster.Annotated("whorl.dev/resize"));
  EXPECT_THAT(cluster.Resize()["change"]["message"].get<std::string>(), HasSubstr("sockets=N (1 to 512)"));
}

TEST(HotplugLoop, AVmWithoutAnnotationsOfItsOwnGetsOurRecordUnderItsResourceVersion) {
  SizedCluster cluster;
  cluster.SetPolicy({.mode = crd::HotplugMode::kAuto});
  cluster.vm["metadata"].erase("annotations");  // its Namespace opted it in
  cluster.Foretell(1500);
  cluster.Wait(kHalfAnHour);
  ASSERT_EQ(cluster.Sockets(), 2);
  EXPECT_THAT(cluster.patches[0],
              Contains(json({{"op", "test"}, {"path", "/metadata/resourceVersion"}, {"value", "1"}})));
  EXPECT_TRUE(cluster.Annotated("whorl.dev/resizing"));
}

TEST(HotplugLoop, AnObjectInTheWorldsWordsIsReadAgainAsItWasWritten) {
  SizedCluster cluster;
  cluster.Foretell(1500, 900, 100);
  cluster.Ask(kWish);
  cluster.Wait(kHalfAnHour);
  const auto read = crd::ResizeStatusOf(cluster.fingerprint);
  EXPECT_EQ(crd::ToJson(read), cluster.Resize());
}

}  // namespace
}  // namespace whorl::controller::hotplug
