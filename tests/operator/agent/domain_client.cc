// What real_guest_test.py and the world's scenarios ask of a real guest's libvirt, by the library that agent
// and restorer use. `agent_domain_client CGROUP_ROOT POD STATE_DIR`: POD is the pod's
// cgroup below CGROUP_ROOT. One question a line on stdin, words apart by tabs; one
// answer a line: "ok TEXT" or "CODE MESSAGE".
#include <cstdio>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "operator/agent/act/balloon_mover.h"
#include "operator/agent/act/domain_knobs.h"
#include "operator/agent/act/limit_writer.h"
#include "operator/agent/journal/restore.h"
#include "operator/agent/system_clock.h"

namespace whorl::agent {
namespace {

// What the agent's Holder does with a balloon.
class Balloons {
 public:
  Balloons(DomainKnobs& knobs, const std::string& root, const std::string& pod, const Journal& journal)
      : journal_(journal),
        writer_(knobs, journal, root),
        entry_{"pod-1", pod, *knobs.Inode(root + "/" + pod), BootTime() + Seconds{60}, {}},
        mover_({},
               {.look = [&knobs](const std::string& dir) { return knobs.MemoryStats(dir); },
                .hold = [this](const std::string&, const std::string& text) { return Hold(text); }},
               clock_) {}
  BalloonMover& mover() { return mover_; }

 private:
  Status Hold(const std::string& text) {
    const auto guard = journal_.Lock();
    std::optional<ForeignChange> foreign;
    return writer_.Hold(entry_, {{"balloon", text}}, foreign);
  }

  const Journal& journal_;
  const SystemClock clock_;
  LimitWriter writer_;
  JournalEntry entry_;
  BalloonMover mover_;
  BalloonThread thread_{mover_};
};

std::string Number(const std::optional<std::uint64_t>& value) { return value ? std::to_string(*value) : "none"; }

Result<std::string> Answer(DomainKnobs& knobs, const std::string& root, const std::string& pod, const Journal& journal,
                           Balloons& balloons, const std::vector<std::string>& words) {
  const std::string dir = root + "/" + pod;
  auto& mover = balloons.mover();
  if (words[0] == "aim") {
    mover.Aim("pod-1", dir, std::stoull(words.at(1)));
    return std::string{};
  }
  if (words[0] == "deflate") {
    mover.DeflateFully("pod-1");
    return std::string{};
  }
  if (words[0] == "status") {
    const auto now = mover.status("pod-1").value_or(BalloonStatus{});
    return std::string(PhaseName(now.phase)) + " " + std::to_string(now.size_kib) + " " + now.reason + ": " +
           now.message;
  }
  if (words[0] == "restore") {
    std::string said;
    for (const auto& line : RestoreDue(knobs, journal, root, BootTime(), [] { return true; }).said) said += line + "; ";
    return said;
  }
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
  if (argc != 4) return 2;
  DomainKnobs knobs(DomainKnobs::Options{});
  const auto journal = Journal::Open(argv[3]);
  if (!journal) return 2;
  Balloons balloons(knobs, argv[1], argv[2], *journal);
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream in(line);
    std::vector<std::string> words;
    for (std::string word; std::getline(in, word, '\t');) words.push_back(word);
    const auto answer = Answer(knobs, argv[1], argv[2], *journal, balloons, words);
    std::cout << (answer ? "ok " + *answer
                         : std::string(whorl::CodeName(answer.error().code)) + " " + answer.error().message)
              << std::endl;
  }
}
