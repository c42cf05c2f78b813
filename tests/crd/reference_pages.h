#pragma once

#include <string>
#include <vector>

namespace whorl::crd::testing {

// The pages of docs/reference that are made from the CRDs and from the tables
// in crd/. whorl-reference-pages writes them, a test holds them up to date.
struct Page {
  std::string path;  // in the tree
  std::string text;
};
std::vector<Page> ReferencePages();

}  // namespace whorl::crd::testing
