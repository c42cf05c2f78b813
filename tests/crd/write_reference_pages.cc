#include <exception>
#include <fstream>
#include <iostream>

#include "tests/crd/reference_pages.h"

int main() {
  try {
    for (const auto& page : whorl::crd::testing::ReferencePages()) {
      std::ofstream file(std::string(WHORL_SOURCE_DIR) + "/" + page.path);
      file << page.text;
      file.close();
      if (!file) {
        std::cerr << "cannot write " << page.path << "\n";
        return 1;
      }
      std::cout << page.path << "\n";
    }
  } catch (const std::exception& e) {
    std::cerr << e.what() << "\n";
    return 1;
  }
  return 0;
}
