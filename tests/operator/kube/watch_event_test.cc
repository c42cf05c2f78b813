#include "operator/kube/watch_event.h"

#include <gtest/gtest.h>

namespace whorl::kube {
namespace {

TEST(WatchEvent, GivesTypeAndObject) {
  const auto event = ParseWatchEvent(R"({"type":"MODIFIED","object":{"metadata":{"name":"db-1"}}})");
  ASSERT_TRUE(event);
  EXPECT_EQ(event->type, "MODIFIED");
  EXPECT_EQ(event->object().String({"metadata", "name"}).value(), "db-1");
}

TEST(WatchEvent, TurnsAnErrorFrameIntoTheErrorItCarries) {
  const auto gone =
      ParseWatchEvent(R"({"type":"ERROR","object":{"code":410,"reason":"Expired","message":"too old: 5, now 9"}})");
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code, Code::kGone);
  EXPECT_NE(gone.error().message.find("too old: 5, now 9"), std::string::npos);
  const auto internal = ParseWatchEvent(R"({"type":"ERROR","object":{"code":500,"message":"etcd is away"}})");
  EXPECT_EQ(internal.error().code, Code::kUnavailable);
  const auto vague = ParseWatchEvent(R"({"type":"ERROR","object":{"message":"?"}})");
  EXPECT_EQ(vague.error().code, Code::kUnavailable);
}

TEST(WatchEvent, CallsEverythingElseCorrupt) {
  for (const auto* line :
       {R"({"type":"MODIFIED","object":{"metadata":{"na)", R"({"type":"ADDED"})", R"({"object":{}})", "[]", "7",
        R"({"type":"ADDED","object":[]})", R"({"type":"SURPRISE","object":{}})", R"({"type":7,"object":{}})"}) {
    const auto event = ParseWatchEvent(line);
    ASSERT_FALSE(event) << line;
    EXPECT_EQ(event.error().code, Code::kCorrupt) << line;
  }
}

}  // namespace
}  // namespace whorl::kube
