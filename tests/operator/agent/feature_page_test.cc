#include "operator/agent/feature_page.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "core/telemetry/features.h"

namespace whorl::agent {
namespace {

TEST(FeaturePage, TheOneInTheDocsIsUpToDate) {
  std::ifstream in(WHORL_SOURCE_DIR "/docs/reference/features.md");
  ASSERT_TRUE(in) << "whorl-agent features > docs/reference/features.md";
  std::stringstream text;
  text << in.rdbuf();
  EXPECT_EQ(text.str(), FeaturePage()) << "whorl-agent features > docs/reference/features.md";
}

TEST(FeaturePage, NamesEveryFeature) {
  const auto page = FeaturePage();
  for (const auto& feature : kFeatures)
    EXPECT_NE(page.find("| " + std::string(feature.name) + " |"), std::string::npos);
}

}  // namespace
}  // namespace whorl::agent
