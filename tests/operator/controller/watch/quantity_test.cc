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

TEST(ParseBytes, ReadsWhatKubernetesWrites) {
  struct Row {
    std::string_view text;
    std::int64_t bytes;
  };
  for (const auto& row :
       {Row{"1Gi", 1LL << 30}, Row{"512Mi", 512LL << 20}, Row{"1.5Gi", 1536LL << 20}, Row{"1G", 1'000'000'000},
        Row{"1073741824", 1LL << 30}, Row{"4Ki", 4096}, Row{"0", 0}, Row{"2Ti", 2LL << 40}, Row{"64k", 64'000}}) {
    const auto bytes = ParseBytes(row.text);
    ASSERT_TRUE(bytes) << row.text;
    EXPECT_EQ(Count(*bytes), row.bytes) << row.text;
  }
}

TEST(ParseBytes, RefusesWhatIsNoAmountAndSaysSo) {
  for (const auto text : {"", "Gi", "-1Gi", "1.2.3Gi", "1e3", "0.3", "999999999999Ti", "99999999999999999999",
                          "1.00000000001Gi", "1 Gi"}) {
    const auto bytes = ParseBytes(text);
    ASSERT_FALSE(bytes) << text;
    EXPECT_NE(bytes.error().message.find("512Mi"), std::string::npos) << bytes.error().message;
  }
}

TEST(BytesText, IsExactInTheLargestUnitThatFits) {
  EXPECT_EQ(BytesText(Bytes{1LL << 30}), "1Gi");
  EXPECT_EQ(BytesText(Bytes{1536LL << 20}), "1536Mi");
  EXPECT_EQ(BytesText(Bytes{1000}), "1000");
  EXPECT_EQ(BytesText(Bytes{0}), "0");
}

}  // namespace
}  // namespace whorl::controller
