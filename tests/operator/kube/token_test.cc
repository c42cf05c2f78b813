#include "operator/kube/token.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/fake/manual_clock.h"
#include "tests/fake/temp_dir.h"

namespace whorl::kube {
namespace {

struct TokenFile {
  fake::TempDir dir;
  std::string path = dir.path() + "/token";
  explicit TokenFile(const std::string& text) { Write(text); }
  void Write(const std::string& text) const { std::ofstream(path) << text; }
};

TEST(TokenSource, ReadsTheFileAgainAfterAMinute) {
  fake::ManualClock clock;
  const TokenFile file("first\n");
  TokenSource source("ignored", file.path, clock);
  EXPECT_EQ(source.Get().value(), "first");
  file.Write("second");
  clock.Advance(Millis(59'000));
  EXPECT_EQ(source.Get().value(), "first");
  clock.Advance(Millis(1'000));
  EXPECT_EQ(source.Get().value(), "second");
}

TEST(TokenSource, ReadsTheFileAtOnceAfterARefusal) {
  fake::ManualClock clock;
  const TokenFile file("first");
  TokenSource source("", file.path, clock);
  EXPECT_EQ(source.Get().value(), "first");
  file.Write("second");
  EXPECT_TRUE(source.Invalidate());
  EXPECT_EQ(source.Get().value(), "second");
}

TEST(TokenSource, KeepsTheLastGoodTokenWhileTheFileIsAway) {
  fake::ManualClock clock;
  const TokenFile file("first");
  TokenSource source("", file.path, clock);
  ASSERT_TRUE(source.Get());
  std::filesystem::remove(file.path);
  clock.Advance(Millis(120'000));
  EXPECT_EQ(source.Get().value(), "first");
}

TEST(TokenSource, SaysWhichFileIsMissingOrUnusable) {
  fake::ManualClock clock;
  TokenSource missing("", "/nowhere/token", clock);
  EXPECT_EQ(missing.Get().error().code, Code::kUnauthorized);
  EXPECT_NE(missing.Get().error().message.find("/nowhere/token: cannot be read"), std::string::npos);
  const TokenFile forged("a\r\nX-Evil: 1");
  EXPECT_FALSE(TokenSource("", forged.path, clock).Get());
  const TokenFile empty("\n");
  EXPECT_NE(TokenSource("", empty.path, clock).Get().error().message.find("is empty"), std::string::npos);
}

TEST(TokenSource, GivesAFixedTokenThatAskingAgainCannotChange) {
  fake::ManualClock clock;
  TokenSource source("fixed", "", clock);
  EXPECT_EQ(source.Get().value(), "fixed");
  EXPECT_FALSE(source.Invalidate());
}

}  // namespace
}  // namespace whorl::kube
