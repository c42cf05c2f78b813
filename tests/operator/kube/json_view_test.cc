#include "operator/kube/json_view.h"

#include <gtest/gtest.h>

namespace whorl::kube {
namespace {

constexpr auto kText = R"({"metadata":{"name":"db-1","labels":{"a.b/c":"x"},"gone":null},
  "n":12,"big":18446744073709551615,"f":1.5,"t":true,"list":[1,"two",{"k":3}]})";

JsonDocument Parsed(std::string_view text = kText) { return std::move(JsonDocument::Parse(text).value()); }

TEST(JsonView, ReadsMembersByPath) {
  const auto document = Parsed();
  const auto root = document.root();
  EXPECT_EQ(root.String({"metadata", "name"}).value(), "db-1");
  EXPECT_EQ(root.String({"metadata", "labels", "a.b/c"}).value(), "x");
  EXPECT_EQ(root.Int({"n"}).value(), 12);
  EXPECT_EQ(root.Double({"f"}).value(), 1.5);
  EXPECT_EQ(root.Double({"n"}).value(), 12.0);
  EXPECT_TRUE(root.Bool({"t"}).value());
}

TEST(JsonView, TellsMissingFromMalformedAndNamesThePath) {
  const auto document = Parsed();
  const auto root = document.root();
  const auto missing = root.String({"metadata", "uid"});
  EXPECT_EQ(missing.error().code, Code::kNotFound);
  EXPECT_EQ(missing.error().message, "metadata.uid: missing");
  EXPECT_EQ(root.String({"metadata", "gone"}).error().code, Code::kNotFound) << "null counts as missing";
  const auto wrong = root.String({"n"});
  EXPECT_EQ(wrong.error().code, Code::kInvalid);
  EXPECT_EQ(wrong.error().message, "n: should be a string but is a number");
  EXPECT_EQ(root.Int({"f"}).error().code, Code::kInvalid) << "a fraction is not an integer";
  EXPECT_EQ(root.Int({"big"}).error().code, Code::kInvalid) << "nor is what does not fit";
  EXPECT_EQ(root.String({"n", "deeper"}).error().code, Code::kInvalid);
  EXPECT_EQ(root.FindInt({"metadata", "name"}), std::nullopt);
}

TEST(JsonView, WalksArraysAndObjectsUntilToldToEnd) {
  const auto document = Parsed();
  int items = 0;
  document.root().At({"list"})->ForEachItem([&](JsonView) { return ++items < 2; });
  EXPECT_EQ(items, 2);
  std::string keys;
  document.root().At({"metadata"})->ForEachMember([&](std::string_view key, JsonView) {
    keys += key;
    return true;
  });
  EXPECT_EQ(keys, "namelabelsgone");
  document.root().ForEachItem([](JsonView) -> bool { throw std::logic_error("an object has no items"); });
}

TEST(JsonView, CopiesToWhatCanBeBuiltOn) {
  const auto document = Parsed();
  EXPECT_EQ(document.root().ToJson(), nlohmann::json::parse(kText));
  EXPECT_EQ(nlohmann::json::parse(document.root().ToText()), nlohmann::json::parse(kText));
}

TEST(JsonDocument, RefusesWhatIsNotJson) {
  for (const auto* text : {"", "{", "{\"a\":}", "nonsense", "{\"a\":1} trailing"}) {
    const auto document = JsonDocument::Parse(text);
    ASSERT_FALSE(document) << text;
    EXPECT_EQ(document.error().code, Code::kCorrupt);
  }
}

TEST(JsonDocument, KeepsItsViewsWhenMoved) {
  auto first = Parsed();
  const auto root = first.root();
  const JsonDocument second = std::move(first);
  EXPECT_EQ(root.String({"metadata", "name"}).value(), "db-1");
}

}  // namespace
}  // namespace whorl::kube
