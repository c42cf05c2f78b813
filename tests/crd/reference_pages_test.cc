#include "tests/crd/reference_pages.h"

#include <gtest/gtest.h>

#include <regex>
#include <string>

#include "tests/crd/schema.h"

namespace whorl::crd::testing {
namespace {

TEST(ReferencePages, SayWhatTheCrdsAndTablesSay) {
  for (const auto& page : ReferencePages()) {
    EXPECT_TRUE(FileText(page.path) == page.text)
        << page.path << " is out of date: build and run whorl-reference-pages";
  }
}

TEST(ReferencePages, ExplainEveryCheckOfTheGuard) {
  const std::string source = FileText("core/guard/guard.cc");
  const std::string page = FileText("docs/reference/crds.md");
  const std::regex finding("Finding\\{\"([A-Za-z]+)\"");
  int checks = 0;
  for (std::sregex_iterator it(source.begin(), source.end(), finding), end; it != end; ++it, ++checks) {
    EXPECT_NE(page.find("\n| " + (*it)[1].str() + " |"), std::string::npos) << (*it)[1];
  }
  EXPECT_GE(checks, 5) << "is this test looking in the right place?";
}

}  // namespace
}  // namespace whorl::crd::testing
