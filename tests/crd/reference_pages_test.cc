#include "tests/crd/reference_pages.h"

#include <gtest/gtest.h>

#include "tests/crd/schema.h"

namespace whorl::crd::testing {
namespace {

TEST(ReferencePages, SayWhatTheCrdsAndTablesSay) {
  for (const auto& page : ReferencePages()) {
    EXPECT_TRUE(FileText(page.path) == page.text)
        << page.path << " is out of date: build and run whorl-reference-pages";
  }
}

}  // namespace
}  // namespace whorl::crd::testing
