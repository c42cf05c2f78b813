#include "operator/agent/act/net_limit.h"

#include <gtest/gtest.h>

namespace whorl::agent {
namespace {

TEST(NetLimit, IsOneLineThatReadsBackAsItWasWritten) {
  for (const char* text : {"none", "drop", "1000bit", "200000000bit", "1000000000000bit"}) {
    const auto limit = ParseNetLimit(text);
    ASSERT_TRUE(limit) << text << ": " << limit.error().message;
    EXPECT_EQ(ToText(*limit), text);
  }
  EXPECT_EQ(ParseNetLimit("200000000bit")->bits_per_second, 200'000'000u);
}

TEST(NetLimit, RefusesRatesOutsideItsBoundsAndSaysThem) {
  for (const char* text : {"8bit", "992bit", "1000000000008bit", "18446744073709551608bit"}) {
    const auto limit = ParseNetLimit(text);
    ASSERT_FALSE(limit) << text;
    EXPECT_EQ(limit.error().code, Code::kInvalid);
    EXPECT_NE(limit.error().message.find("must lie between 1000bit and 1000000000000bit"), std::string::npos)
        << limit.error().message;
  }
}

TEST(NetLimit, RefusesTextsThatAreNotCanonical) {
  for (const char* text : {"", " none", "None", "0bit", "08000bit", "+8000bit", "-8000bit", "8000", "8000Bit", "8kbit",
                           "8000.0bit", "8000bit ", "8000bit\n", "bit", "foreign: htb", "99999999999999999999999bit"}) {
    const auto limit = ParseNetLimit(text);
    ASSERT_FALSE(limit) << text;
    EXPECT_EQ(limit.error().code, Code::kInvalid) << text;
  }
}

TEST(NetLimit, IsWholeBytesAsTheKernelCounts) {
  EXPECT_FALSE(ParseNetLimit("8001bit"));
  EXPECT_EQ(WholeBytesRate(8001), 8000u);
  EXPECT_EQ(WholeBytesRate(8007), 8000u);
  EXPECT_EQ(WholeBytesRate(8008), 8008u);
}

TEST(NetKnob, NamesADirectionAndATap) {
  const auto out = ParseNetKnob("net.out@tap0");
  ASSERT_TRUE(out);
  EXPECT_EQ(out->direction, NetDirection::kOut);
  EXPECT_EQ(out->tap, "tap0");
  const auto in = ParseNetKnob("net.in@tap37a8eec1ce1");
  ASSERT_TRUE(in);
  EXPECT_EQ(in->direction, NetDirection::kIn);
  EXPECT_EQ(NetKnobName(in->direction, in->tap), "net.in@tap37a8eec1ce1");
}

TEST(NetKnob, RefusesWhatIsNoInterface) {
  for (const char* name : {"net.out@", "net.out", "net.in@a b", "net.in@../x", "net.in@..", "net.out@sixteen-letters-",
                           "net.up@tap0", "cpu.max", "net.in@tap0\n"}) {
    EXPECT_FALSE(ParseNetKnob(name)) << name;
  }
}

}  // namespace
}  // namespace whorl::agent
