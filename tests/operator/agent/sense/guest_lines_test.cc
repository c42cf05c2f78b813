#include "operator/agent/sense/guest_lines.h"

#include <gtest/gtest.h>

namespace whorl::agent {
namespace {

std::string Line(std::uint32_t sequence) {
  GuestWindow window;
  window.sequence = sequence;
  window.millis = 1000;
  window.calls[3] = 10 * sequence;
  return FormatGuestLine(window);
}

TEST(GuestLines, ALineMayComeInPieces) {
  GuestLines lines;
  lines.Take("\n");
  const auto line = Line(1);
  for (const char byte : line) {
    EXPECT_EQ(lines.Window(), nullptr);
    lines.Take({&byte, 1});
  }
  const auto* window = lines.Window();
  ASSERT_NE(window, nullptr);
  EXPECT_EQ(window->calls[3], 10u);
  EXPECT_EQ(lines.Window(), nullptr) << "told once";
}

TEST(GuestLines, WhatStandsBeforeTheFirstNewlineMayBeHalfALine) {
  GuestLines lines;
  lines.Take(Line(1).substr(20));
  EXPECT_EQ(lines.Window(), nullptr);
  EXPECT_EQ(lines.refused(), 0u);
  lines.Take(Line(2));
  EXPECT_EQ(lines.Window()->sequence, 2u);
}

TEST(GuestLines, OfManyLinesTheLastCounts) {
  GuestLines lines;
  lines.Take("\n" + Line(1) + Line(2) + Line(3));
  EXPECT_EQ(lines.Window()->sequence, 3u);
  lines.Take(Line(3));
  EXPECT_EQ(lines.Window(), nullptr) << "said before";
}

TEST(GuestLines, NoiseIsRefusedAndWhatFollowsIsRead) {
  GuestLines lines;
  lines.Take("\nhello\n");
  EXPECT_EQ(lines.refused(), 1u);
  EXPECT_FALSE(lines.trouble().empty());
  lines.Take(std::string(1 << 20, 'x'));  // no newline in sight
  EXPECT_EQ(lines.refused(), 2u);
  EXPECT_EQ(lines.Window(), nullptr);
  lines.Take("\n" + Line(7));
  EXPECT_EQ(lines.Window()->sequence, 7u);
  EXPECT_EQ(lines.trouble(), "");
}

TEST(GuestLines, ANewConnectionForgetsTheOldOnesHalfLine) {
  GuestLines lines;
  lines.Take("\n" + Line(1).substr(0, 30));
  lines.Restart();
  lines.Take(Line(2).substr(30) + Line(3));
  EXPECT_EQ(lines.refused(), 0u);
  EXPECT_EQ(lines.Window()->sequence, 3u);
}

}  // namespace
}  // namespace whorl::agent
