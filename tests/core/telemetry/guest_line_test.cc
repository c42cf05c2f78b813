#include "core/telemetry/guest_line.h"

#include <gtest/gtest.h>

namespace whorl {
namespace {

GuestWindow Window() {
  GuestWindow window;
  window.sequence = 41;
  window.millis = 1003;
  for (std::size_t i = 0; i < window.calls.size(); ++i) window.calls[i] = static_cast<std::uint32_t>(100 * i);
  for (std::size_t i = 0; i < window.sketch.size(); ++i) window.sketch[i] = static_cast<std::uint32_t>(i % 7);
  return window;
}

std::string Line() {
  auto line = FormatGuestLine(Window());
  line.pop_back();
  return line;
}

Code RefusalOf(std::string_view line) {
  const auto parsed = ParseGuestLine(line);
  return parsed ? Code::kInternal : parsed.error().code;
}

TEST(GuestLine, ComesBackAsItWas) {
  const auto window = ParseGuestLine(Line());
  ASSERT_TRUE(window) << window.error().message;
  EXPECT_EQ(window->sequence, 41u);
  EXPECT_EQ(window->millis, 1003u);
  EXPECT_EQ(window->calls, Window().calls);
  EXPECT_EQ(window->sketch, Window().sketch);
}

TEST(GuestLine, TheFullestWindowFits) {
  GuestWindow window = Window();
  window.sequence = window.millis = ~0u;
  window.calls.fill(~0u);
  window.sketch.fill(~0u);
  EXPECT_LT(FormatGuestLine(window).size(), kLongestGuestLine);
}

TEST(GuestLine, RefusesWhatIsNoWindow) {
  const auto good = Line();
  EXPECT_EQ(RefusalOf(""), Code::kInvalid);
  EXPECT_EQ(RefusalOf("hello"), Code::kInvalid);
  EXPECT_EQ(RefusalOf("whorl1"), Code::kInvalid);
  EXPECT_EQ(RefusalOf("whorl2" + good.substr(6)), Code::kUnsupported);
  EXPECT_EQ(RefusalOf(good + " 1"), Code::kInvalid);
  EXPECT_EQ(RefusalOf(good + "\r"), Code::kInvalid);
  EXPECT_EQ(RefusalOf(good.substr(0, good.rfind(' '))), Code::kInvalid) << "one count short";
  for (const auto* window : {"whorl1 1 0 ", "whorl1 1 60001 ", "whorl1 -1 1000 ", "whorl1 1 99999999999 ",
                             "whorl1  1 1000 ", "whorl1 01 1000 ", "whorl1 0x1 1000 ", "whorl1 1 1e3 "}) {
    EXPECT_EQ(RefusalOf(window + good.substr(std::string("whorl1 41 1003 ").size())), Code::kInvalid) << window;
  }
  auto many = Window();
  many.calls[0] = 4'000'000'000u;
  auto line = FormatGuestLine(many);
  line.pop_back();
  EXPECT_EQ(RefusalOf(line), Code::kInvalid) << "more calls than a machine can make";
  EXPECT_EQ(RefusalOf(good + std::string(5000, ' ')), Code::kInvalid);
}

TEST(GuestLine, ARefusalQuotesNothingOfTheGuest) {
  EXPECT_EQ(ParseGuestLine("\x1b[31mroot").error().message.find("root"), std::string::npos);
}

}  // namespace
}  // namespace whorl
