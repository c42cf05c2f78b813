// What is left of a plan when its agent ends, or the system fails it, at any
// system call whatever. A child works on knobs and journal under ptrace; the
// parent counts its system calls and, at the one the table says, kills it or lets
// the call fail. Then another agent begins: every knob must be as it was found.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <string>

#include "operator/agent/act/limit_writer.h"
#include "operator/agent/journal/journal.h"
#include "operator/agent/journal/restore.h"
#include "tests/fake/temp_dir.h"

namespace whorl::agent {
namespace {

namespace fs = std::filesystem;

// Knobs as files that change at once or not at all, as the kernel's do.
class FileKnobs : public KnobTree {
 public:
  Result<std::string> Read(const std::string& dir, std::string_view knob) const override {
    const auto path = dir + "/" + std::string(knob);
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return Fail(fs::exists(dir) ? Code::kUnavailable : Code::kNotFound, path + " cannot be opened");
    char text[256];
    const auto size = ::read(fd, text, sizeof text);
    ::close(fd);
    if (size < 0) return Fail(Code::kUnavailable, path + " cannot be read");
    return std::string(text, static_cast<std::size_t>(size));
  }
  Status Write(const std::string& dir, std::string_view knob, std::string_view text) override {
    return ReplaceFile(dir + "/" + std::string(knob), text);
  }
  Result<std::uint64_t> Inode(const std::string& dir) const override {
    return 1 + std::hash<std::string>{}(dir) % 1000;
  }
};

constexpr const char* kPods[] = {"db-1", "web-1"};
constexpr std::pair<const char*, const char*> kFound[] = {
    {"cpu.shares", "109"}, {"cpu.cfs_quota_us", "-1"}, {"net.out@tap0", "none"}};

struct Node {
  explicit Node(const std::string& dir) : root(dir), journal(*Journal::Open(dir + "/state")) {
    for (const auto* pod : kPods) {
      fs::create_directories(root + "/" + pod);
      for (const auto& [knob, text] : kFound) static_cast<void>(knobs.Write(root + "/" + pod, knob, text));
    }
  }
  JournalEntry Entry(const std::string& pod) const {
    return {pod, pod, *knobs.Inode(root + "/" + pod), Millis{1000}, {}};
  }

  std::string root;
  FileKnobs knobs;
  Journal journal;
};

// What an agent does, as far as it gets. The entries it remembers are its own:
// whoever comes after it knows the journal only.
using Work = std::function<void(Node&)>;
JournalEntry Raise(Node& node, LimitWriter& writer, const std::string& pod) {
  auto entry = node.Entry(pod);
  std::optional<ForeignChange> foreign;
  static_cast<void>(writer.Hold(
      entry, {{"cpu.shares", "512"}, {"cpu.cfs_quota_us", "70000"}, {"net.out@tap0", "8000000bit"}}, foreign));
  return entry;
}

struct Scenario {
  const char* name;
  Work before;  // done when nobody fails yet
  Work work;
};

void RaiseBoth(Node& node) {
  LimitWriter writer(node.knobs, node.journal, node.root);
  const auto guard = node.journal.Lock();
  for (const auto* pod : kPods) Raise(node, writer, pod);
}

void WithHeld(Node& node, const std::function<void(LimitWriter&, JournalEntry&)>& change) {
  LimitWriter writer(node.knobs, node.journal, node.root);
  const auto guard = node.journal.Lock();
  for (const auto* pod : kPods) {
    auto entry = node.journal.Find(pod);
    if (entry) change(writer, *entry);
  }
}

const Scenario kScenarios[] = {
    {"hold", [](Node&) {}, RaiseBoth},
    {"change", RaiseBoth,
     [](Node& node) {
       WithHeld(node, [](LimitWriter& writer, JournalEntry& entry) {
         std::optional<ForeignChange> foreign;
         static_cast<void>(writer.Hold(entry, {{"cpu.shares", "256"}, {"net.out@tap0", "drop"}}, foreign));
       });
     }},
    {"renew", RaiseBoth,
     [](Node& node) {
       WithHeld(node, [](LimitWriter& writer, JournalEntry& entry) {
         std::optional<ForeignChange> foreign;
         entry.expires = Millis{2000};
         static_cast<void>(writer.Hold(entry, {{"cpu.shares", "512"}}, foreign));
       });
     }},
    {"release", RaiseBoth,
     [](Node& node) {
       WithHeld(node, [](LimitWriter& writer, JournalEntry& entry) {
         static_cast<void>(writer.Release(entry, {"cpu.cfs_quota_us"}));
       });
     }},
    {"restore", RaiseBoth,
     [](Node& node) { WithHeld(node, [](LimitWriter& writer, JournalEntry& entry) { writer.Restore(entry); }); }},
    {"dead-man", RaiseBoth,
     [](Node& node) { RestoreDue(node.knobs, node.journal, node.root, Millis{1001}, [] { return false; }); }},
};

// Runs `work` in a child; at its `at`-th system call the child is killed
// (`error` 0) or the call fails with `error`. The number of calls it made.
int RunUntil(const std::function<void()>& work, int at, int error) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    ::raise(SIGSTOP);
    work();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ::ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
  int calls = 0;
  bool inside = false, fails = false;
  int signal = 0;
  while (::ptrace(PTRACE_SYSCALL, child, nullptr, signal) == 0 && ::waitpid(child, &status, 0) == child &&
         WIFSTOPPED(status)) {
    signal = WSTOPSIG(status);
    if (signal != (SIGTRAP | 0x80)) continue;  // its own signal is handed on
    signal = 0;
    inside = !inside;
    user_regs_struct registers{};
    if (inside && ++calls == at) {
      if (error == 0) {
        ::kill(child, SIGKILL);
        ::waitpid(child, &status, 0);
        return calls;
      }
      ::ptrace(PTRACE_GETREGS, child, nullptr, &registers);
      registers.orig_rax = ~0ULL;  // no such call: the kernel does nothing
      ::ptrace(PTRACE_SETREGS, child, nullptr, &registers);
      fails = true;
    } else if (!inside && fails) {
      ::ptrace(PTRACE_GETREGS, child, nullptr, &registers);
      registers.rax = static_cast<unsigned long long>(-static_cast<long long>(error));
      ::ptrace(PTRACE_SETREGS, child, nullptr, &registers);
      fails = false;
    }
  }
  return calls;
}

// The next agent's first act. Empty when all is as found.
std::string LeftBehind(Node& node) {
  for (int look = 0; look < 2; ++look) {
    RestoreDue(node.knobs, node.journal, node.root, Millis{0}, [] { return true; });
  }
  for (const auto* pod : kPods) {
    for (const auto& [knob, text] : kFound) {
      const auto now = node.knobs.Read(node.root + "/" + pod, knob);
      if (!now || *now != text) return std::string(pod) + " " + knob + " is " + (now ? *now : now.error().message);
    }
    if (node.journal.Has(pod)) return std::string(pod) + " is still in the journal";
  }
  return {};
}

TEST(CrashMatrix, EveryKnobIsAsFoundWhereverTheAgentWasStopped) {
  {
    // Where processes may not be traced nothing can be shown.
    fake::TempDir dir;
    Node node(dir.path());
    if (RunUntil([&] { kScenarios[0].work(node); }, 1 << 30, 0) < 10) GTEST_SKIP() << "ptrace is not allowed here";
  }
  int tried = 0, good = 0;
  for (const auto& scenario : kScenarios) {
    for (const int error : {0, ENOSPC, EROFS, EIO, ENODEV}) {
      for (int at = 1;; ++at) {
        fake::TempDir dir;
        Node node(dir.path());
        scenario.before(node);
        const int calls = RunUntil([&] { scenario.work(node); }, at, error);
        if (calls < at) break;  // it made fewer: all have been tried
        ++tried;
        const auto left = LeftBehind(node);
        good += left.empty() ? 1 : 0;
        EXPECT_EQ(left, "") << scenario.name << ", system call " << at
                            << (error == 0 ? ", killed" : std::string(", ") + ::strerror(error));
      }
    }
  }
  std::printf("crash matrix: %d of %d\n", good, tried);
  EXPECT_GE(tried, 200);
}

TEST(CrashMatrix, AJournalCutAnywhereLosesNoLineThatIsWholeAndSaysWhatItLost) {
  int tried = 0;
  fake::TempDir first;
  Node whole(first.path());
  RaiseBoth(whole);
  std::ifstream in(first.path() + "/state/journal/db-1.pod", std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  ASSERT_GT(text.size(), 100u);
  for (std::size_t cut = 0; cut < text.size(); ++cut) {
    fake::TempDir dir;
    Node node(dir.path());
    RaiseBoth(node);
    const auto path = dir.path() + "/state/journal/db-1.pod";
    fs::resize_file(path, cut);
    const auto entry = ParseEntry(text.substr(0, cut));
    const auto looked = RestoreDue(node.knobs, node.journal, node.root, Millis{0}, [] { return true; });
    EXPECT_FALSE(looked.said.empty());
    for (const auto& [knob, found] : kFound) {
      const bool known = entry && std::any_of(entry->entry.knobs.begin(), entry->entry.knobs.end(),
                                              [&, &of = knob](const auto& k) { return k.file == of; });
      if (known) {
        EXPECT_EQ(*node.knobs.Read(node.root + "/db-1", knob), found) << "cut at " << cut;
      }
      EXPECT_EQ(*node.knobs.Read(node.root + "/web-1", knob), found) << "another pod's";
    }
    ++tried;
  }
  std::printf("journal cut: %d of %zu\n", tried, text.size());
}

}  // namespace
}  // namespace whorl::agent
