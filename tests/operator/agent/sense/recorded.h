#pragma once

#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace whorl::test {

inline std::string Recording(const std::string& name) {
  std::ifstream in(std::string(WHORL_TEST_DATA) + "/kubevirt/" + name);
  if (!in) throw std::runtime_error("no recording " + name);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

// The lines of one "## …" section of a recording whose title contains `title`.
inline std::string Section(const std::string& recording, const std::string& title) {
  std::istringstream in(recording);
  std::string section;
  std::string line;
  bool inside = false;
  while (std::getline(in, line)) {
    if (line.starts_with("## ")) {
      if (inside) break;
      inside = line.find(title) != std::string::npos;
    } else if (inside) {
      section += line + "\n";
    }
  }
  if (section.empty()) throw std::runtime_error("no section " + title);
  return section;
}

// One cgroup file of cgroups.txt: `section` ends the directory's title.
inline std::string RecordedFile(const std::string& section_end, const std::string& file) {
  std::istringstream in(Recording("cgroups.txt"));
  std::string line;
  bool inside = false;
  std::string text;
  bool found = false;
  while (std::getline(in, line)) {
    if (line.starts_with("## ")) {
      if (found) break;
      inside = line.ends_with(section_end);
      continue;
    }
    if (!inside) continue;
    if (found) {
      if (!line.starts_with("  ")) break;
      text += line.substr(2) + "\n";
    } else if (line.starts_with(file + ":")) {
      found = true;
      if (line.size() > file.size() + 2) return line.substr(file.size() + 2) + "\n";
    }
  }
  if (!found) throw std::runtime_error("no recorded file " + file + " in " + section_end);
  return text;
}

inline const std::string kPod = "pod460bd230-bfab-4f98-9cc8-ffac27854c88";
inline const std::string kPodUid = "460bd230-bfab-4f98-9cc8-ffac27854c88";
inline const std::string kContainer = "4510abd2707f20839a0d88c2c00895cdda5b7e25f0fe995230c454724a6a6b06";

}  // namespace whorl::test
