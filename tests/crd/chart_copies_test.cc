#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "tests/crd/schema.h"

namespace whorl::crd::testing {
namespace {

std::set<std::string> YamlFiles(const std::string& folder) {
  std::set<std::string> names;
  for (const auto& file : std::filesystem::directory_iterator(std::string(WHORL_SOURCE_DIR) + "/" + folder)) {
    if (file.path().extension() == ".yaml") names.insert(file.path().filename());
  }
  return names;
}

TEST(ChartCopies, OfTheCrdsAreTheCrds) {
  const auto ours = YamlFiles("crd");
  EXPECT_EQ(ours.size(), 3U);
  EXPECT_EQ(ours, YamlFiles("charts/whorl/files/crds"));
  for (const auto& name : ours) {
    EXPECT_EQ(FileText("crd/" + name), FileText("charts/whorl/files/crds/" + name))
        << "cp crd/*.yaml charts/whorl/files/crds/ mends it";
  }
}

}  // namespace
}  // namespace whorl::crd::testing
