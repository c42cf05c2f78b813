#include "operator/plugin/table.h"

#include <gtest/gtest.h>

namespace whorl::plugin {
namespace {

TEST(Table, PadsEveryColumnButTheLast) {
  EXPECT_EQ(Table({"NAME", "STATE"}, {{{"db-1"}, {"Normal"}}, {{"a-longer-name"}, {"-"}}}, false),
            "NAME            STATE\n"
            "db-1            Normal\n"
            "a-longer-name   -\n");
}

TEST(Table, ColoursDoNotMoveColumns) {
  EXPECT_EQ(Table({"A", "B"}, {{{"x", Colour::kRed}, {"y"}}}, true), "A   B\n\033[31mx\033[0m   y\n");
}

TEST(Bar, FillsATenthPerTenPoints) {
  EXPECT_EQ(Bar(0), "..........");
  EXPECT_EQ(Bar(4), "..........");
  EXPECT_EQ(Bar(50), "#####.....");
  EXPECT_EQ(Bar(100), "##########");
  EXPECT_EQ(Bar(-3), "..........");
  EXPECT_EQ(Bar(300), "##########");
}

TEST(Wrap, BreaksAtSpacesAndLeavesLongWordsWhole) {
  EXPECT_EQ(Wrap("one two three", 9, "  "), "  one two\n  three\n");
  EXPECT_EQ(Wrap("averyverylongword x", 5, ""), "averyverylongword\nx\n");
  EXPECT_EQ(Wrap("", 9, "  "), "");
}

}  // namespace
}  // namespace whorl::plugin
