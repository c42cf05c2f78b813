#include "operator/controller/watch/quantity.h"

#include <gtest/gtest.h>

namespace whorl::controller {
namespace {

TEST(ParseCpu, ReadsWhatKubernetesWrites) {
  struct Row {
    std::string_view text;
    std::int64_t millicores;
  };
  for (const auto& row :
       {Row{"100m", 100}, Row{"2", 2000}, Row{"0.5", 500}, Row{"1500m", 1500}, Row{"0", 0}, Row{"0.001", 1},
        Row{"2k", 2'000'000}, Row{"250000u", 250}, Row{"1.25", 1250}, Row{".5", 500}}) {
    const auto cpu = ParseCpu(row.text);
    ASSERT_TRUE(cpu) << row.text;
    EXPECT_EQ(Count(*cpu), row.millicores) << row.text;
  }
}

TEST(ParseCpu, RoundsAFractionOfAMillicoreUpAsTheKubeletDoes) {
  EXPECT_EQ(Count(*ParseCpu("0.0001")), 1);
  EXPECT_EQ(Count(*ParseCpu("100.5m")), 101);
  EXPECT_EQ(Count(*ParseCpu("1n")), 1);
  EXPECT_EQ(Count(*ParseCpu("0.10000000000001")), 101);
}

TEST(ParseCpu, RefusesWhatIsNoAmountAndSaysSo) {
  for (const auto text : {"", "m", "-1", "abc", "1.2.3", "1Gi", "max", "99999999999999999999", "1 "}) {
    const auto cpu = ParseCpu(text);
    ASSERT_FALSE(cpu) << text;
    EXPECT_EQ(cpu.error().code, Code::kInvalid);
    EXPECT_NE(cpu.error().message.find("250m"), std::string::npos) << cpu.error().message;
  }
}

}  // namespace
}  // namespace whorl::controller
