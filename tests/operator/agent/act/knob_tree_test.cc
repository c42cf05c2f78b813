#include "operator/agent/act/knob_tree.h"

#include <gtest/gtest.h>

namespace whorl::agent {
namespace {

TEST(OnItsWay, OnlyABalloonReadsAsWhatNobodyWrote) {
  EXPECT_TRUE(OnItsWay("balloon", "900", {"1000", "", "800"}));
  EXPECT_TRUE(OnItsWay("balloon", "1000", {"1000", "800"}));
  EXPECT_TRUE(OnItsWay("balloon", "850", {"1000", "800", "900"}));
  EXPECT_FALSE(OnItsWay("cpu.shares", "900", {"1000", "800"}));
}

TEST(OnItsWay, OutsideTheSpanItIsForeign) {
  EXPECT_FALSE(OnItsWay("balloon", "700", {"1000", "800"}));
  EXPECT_FALSE(OnItsWay("balloon", "1004", {"1000", "800"}));
  EXPECT_FALSE(OnItsWay("balloon", "none", {"1000", "800"}));
  EXPECT_FALSE(OnItsWay("balloon", "900", {"", "x"}));
}

}  // namespace
}  // namespace whorl::agent
