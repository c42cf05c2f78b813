#include "crd/events.h"

#include <gtest/gtest.h>

#include <regex>
#include <set>
#include <string>

namespace whorl::crd {
namespace {

TEST(Events, StandInTheOrderOfTheirReasons) {
  for (std::size_t i = 0; i < kEvents.size(); ++i) {
    EXPECT_EQ(static_cast<std::size_t>(kEvents[i].reason), i) << kEvents[i].name;
    EXPECT_EQ(Info(kEvents[i].reason).name, kEvents[i].name);
  }
}

TEST(Events, CanBeLookedUpByActionAndReason) {
  std::set<std::string> seen;
  for (const auto& event : kEvents) {
    EXPECT_TRUE(seen.insert(std::string(event.action) + "/" + std::string(event.name)).second) << event.name;
    EXPECT_TRUE(std::regex_match(std::string(event.name), std::regex("[A-Z][A-Za-z]{1,127}"))) << event.name;
    EXPECT_LE(event.action.size(), 128U);
    EXPECT_FALSE(event.when.empty());
    EXPECT_FALSE(event.what_to_do.empty());
  }
}

}  // namespace
}  // namespace whorl::crd
