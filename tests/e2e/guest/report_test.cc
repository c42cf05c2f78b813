#include "e2e/guest/report.h"

#include <gtest/gtest.h>

namespace whorl::guest {
namespace {

TEST(Report, AnswersCarryTheIdOfTheirQuestion) {
  const Progress progress{"busy", 80, 120, 60.25, 5000};
  EXPECT_EQ(AnswerLine(7, progress),
            "{\"reply\":7,\"ok\":true,\"behaviour\":\"busy\",\"level\":80,\"iterations\":120,\"rate\":60.2,"
            "\"uptimeMs\":5000}\n");
  EXPECT_EQ(AnswerLine(std::nullopt, progress).find("{\"reply\":null,"), 0U);
  EXPECT_EQ(ProgressLine(progress).find("{\"progress\":true,"), 0U);
}

TEST(Report, WhatTheHostSentCannotBreakALine) {
  const auto line = RefusalLine(1, "cannot use \"x\\\n" + std::string(5000, 'y'));
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  EXPECT_NE(line.find("\\\"x\\\\"), std::string::npos);
  EXPECT_LT(line.size(), 500U);
}

}  // namespace
}  // namespace whorl::guest
