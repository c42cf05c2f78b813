#include "operator/kube/json.h"

#include <gtest/gtest.h>

namespace whorl::kube {
namespace {

TEST(Rfc3339, WritesAndReadsTimes) {
  const auto t = FromUnixMillis(1'767'323'045'678);
  EXPECT_EQ(Rfc3339(t), "2026-01-02T03:04:05Z");
  EXPECT_EQ(Rfc3339Micro(t), "2026-01-02T03:04:05.678000Z");
  EXPECT_EQ(ParseRfc3339("2026-01-02T03:04:05.678000Z").value(), t);
  EXPECT_EQ(ParseRfc3339("2026-01-02T03:04:05Z").value(), t - Millis(678));
  EXPECT_EQ(Rfc3339(FromUnixMillis(1'709'164'800'000)), "2024-02-29T00:00:00Z");
}

TEST(Rfc3339, RefusesWhatIsNotATime) {
  for (const auto* text :
       {"", "2026-01-02", "2026-13-02T03:04:05Z", "2026-02-30T03:04:05Z", "2026-01-02T25:04:05Z", "2026-01-02T03:04:05",
        "2026-01-02T03:04:05+01:00", "2026-01-02T03:04:05.x00Z", "-026-01-02T03:04:05Z"}) {
    EXPECT_EQ(ParseRfc3339(text).error().code, Code::kInvalid) << text;
  }
}

TEST(Json, BuildsTheSmallThingsWeWrite) {
  EXPECT_EQ(ObjectHead("whorl.dev/v1alpha1", "NodePartition", "", "n1").dump(),
            R"({"apiVersion":"whorl.dev/v1alpha1","kind":"NodePartition","metadata":{"name":"n1"}})");
  EXPECT_EQ(AnnotationsPatch({{"whorl.dev/score", "12"}, {"whorl.dev/state", std::nullopt}}).dump(),
            R"({"metadata":{"annotations":{"whorl.dev/score":"12","whorl.dev/state":null}}})");
  const ObjectRef vm{"kubevirt.io/v1", "VirtualMachine", "default", "db-1", "u1"};
  EXPECT_EQ(ToJson(vm)["uid"], "u1");
  EXPECT_FALSE(OwnerReference(vm, true).contains("namespace"));
}

}  // namespace
}  // namespace whorl::kube
