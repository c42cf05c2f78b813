#include "e2e/guest/command.h"

#include <gtest/gtest.h>

namespace whorl::guest {
namespace {

TEST(ParseCommand, ReadsVerbIdAndSettings) {
  const auto parsed = ParseCommand("id=7 busy level=80 seed=3 for=60 day=120");
  ASSERT_TRUE(parsed.command) << parsed.error;
  EXPECT_EQ(parsed.command->id, 7);
  EXPECT_EQ(parsed.command->verb, "busy");
  EXPECT_EQ(parsed.command->settings.level, 80);
  EXPECT_EQ(parsed.command->settings.seed, 3U);
  EXPECT_EQ(parsed.command->settings.seconds, 60);
  EXPECT_EQ(parsed.command->settings.day, 120);
}

TEST(ParseCommand, GivesEachBehaviourItsUsualLevelAndDay) {
  const auto web = ParseCommand("web");
  ASSERT_TRUE(web.command);
  EXPECT_EQ(web.command->settings.level, 50);
  EXPECT_EQ(web.command->settings.day, 240);
  EXPECT_FALSE(web.command->id);
  const auto flat = ParseCommand("web day=0");
  ASSERT_TRUE(flat.command);
  EXPECT_EQ(flat.command->settings.day, 0);
}

TEST(ParseCommand, RefusesAnUnknownBehaviourAndSaysWhichThereAre) {
  const auto parsed = ParseCommand("id=3 dance");
  EXPECT_FALSE(parsed.command);
  EXPECT_EQ(parsed.id, 3) << "the refusal must find its question";
  EXPECT_NE(parsed.error.find("dance"), std::string::npos);
  EXPECT_NE(parsed.error.find("cache-walk"), std::string::npos);
}

TEST(ParseCommand, RefusesWhatItCannotUse) {
  for (const char* line : {"", "   ", "id=1", "busy level=0", "busy level=101", "busy level=", "busy level=5x",
                           "busy speed=3", "busy idle", "busy seed=-1", "busy for=99999999999999999999"}) {
    const auto parsed = ParseCommand(line);
    EXPECT_FALSE(parsed.command) << line;
    EXPECT_FALSE(parsed.error.empty()) << line;
  }
}

TEST(ParseCommand, RefusesALineWithoutBound) { EXPECT_FALSE(ParseCommand(std::string(kMaxLine + 1, 'x')).command); }

}  // namespace
}  // namespace whorl::guest
