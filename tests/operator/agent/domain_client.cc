// What real_guest_test.py asks of a real guest's libvirt, by the library that agent
// and restorer use. `agent_domain_client DIR`: one question a line on stdin, words
// apart by tabs; one answer a line: "ok TEXT" or "CODE MESSAGE".
#include <cstdio>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "operator/agent/act/domain_knobs.h"

namespace whorl::agent {
namespace {

std::string Number(const std::optional<std::uint64_t>& value) { return value ? std::to_string(*value) : "none"; }

Result<std::string> Answer(DomainKnobs& knobs, const std::string& dir, const std::vector<std::string>& words) {
  if (words[0] == "read") return knobs.Read(dir, words.at(1));
  if (words[0] == "write") {
    if (auto written = knobs.Write(dir, words.at(1), words.at(2)); !written) return Fail(written.error());
    return std::string{};
  }
  if (words[0] == "limit") {  // limit KNOB WRITE_BYTES
    auto found = knobs.Read(dir, words.at(1));
    if (!found) return found;
    DiskLimits limits;
    limits.write_bytes = std::stoull(words.at(2));
    return LimitDisk(*found, limits);
  }
  if (words[0] == "disks") {
    const auto disks = knobs.Disks(dir);
    if (!disks) return Fail(disks.error());
    std::string text;
    for (const auto& disk : *disks) text += disk + " ";
    return text;
  }
  if (words[0] == "memory") {
    const auto memory = knobs.MemoryStats(dir);
    if (!memory) return Fail(memory.error());
    return std::to_string(memory->most_kib) + " " + Number(memory->size_kib) + " " + Number(memory->total_kib) + " " +
           Number(memory->unused_kib) + " " + std::to_string(memory->updated.value_or(0));
  }
  return Fail(Code::kInvalid, "unknown question " + words[0]);
}

}  // namespace
}  // namespace whorl::agent

int main(int argc, char** argv) {
  using namespace whorl::agent;  // NOLINT(google-build-using-namespace): one function
  if (argc != 2) return 2;
  DomainKnobs knobs(DomainKnobs::Options{});
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream in(line);
    std::vector<std::string> words;
    for (std::string word; std::getline(in, word, '\t');) words.push_back(word);
    const auto answer = Answer(knobs, argv[1], words);
    std::cout << (answer ? "ok " + *answer
                         : std::string(whorl::CodeName(answer.error().code)) + " " + answer.error().message)
              << std::endl;
  }
}
