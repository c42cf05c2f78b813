// whorl-guest: runs inside a guest whose owner wants Whorl to see its system
// calls; counts them in windows and sends one line a window over the
// virtio-serial port dev.whorl.guest-telemetry.0. This file only wires.
#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>

#include "core/telemetry/guest_line.h"
#include "operator/guest/counter.h"

namespace whorl::guest {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

constexpr std::string_view kPort = "dev.whorl.guest-telemetry.0";
constexpr seconds kWindow{1};
constexpr const char* kUsage =
    "whorl-guest [--every SECONDS] [--stdout]\n\n"
    "Counts this guest's system calls, by class and by which three follow each other, and tells the node's Whorl "
    "agent:\n"
    "one line a second over the virtio-serial port dev.whorl.guest-telemetry.0. It sees numbers of calls, never their\n"
    "arguments. Needs root and Linux 5.13 or later.\n\n"
    "  --every SECONDS   count for 1 s in so many (1 to 60; default 1: always). Counting costs each call 0.1 to 0.2 "
    "us\n"
    "  --stdout          print the lines instead, to look at them\n";

struct Flags {
  seconds every{1};
  bool to_stdout = false;
};

std::optional<Flags> Parse(int argc, char** argv) {
  Flags flags;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--stdout") {
      flags.to_stdout = true;
    } else if (word == "--every" && i + 1 < argc) {
      const long every = std::strtol(argv[++i], nullptr, 10);
      if (every < 1 || every > 60) return std::nullopt;
      flags.every = seconds{every};
    } else {
      return std::nullopt;
    }
  }
  return flags;
}

std::filesystem::path FindPort() {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/sys/class/virtio-ports", error)) {
    std::string name;
    std::ifstream(entry.path() / "name") >> name;
    if (name == kPort) return "/dev" / entry.path().filename();
  }
  return {};
}

int Fail(const std::string& why) {
  std::cerr << "whorl-guest: " << why << '\n';
  return EXIT_FAILURE;
}

// Ends only when something is broken.
int Count(CallCounter& counter, const Flags& flags, int port) {
  GuestWindow window;
  auto next = Clock::now();
  for (;;) {
    const auto opened = Clock::now();
    if (auto status = counter.Open(); !status) return Fail(status.error().message);
    std::this_thread::sleep_until(next + kWindow);
    if (auto status = counter.Close(flags.every > kWindow, window); !status) return Fail(status.error().message);
    const auto length = std::chrono::duration_cast<milliseconds>(Clock::now() - opened).count();
    // A guest that was paused or asleep in between has no window to tell of.
    if (length > 0 && length <= std::int64_t{kLongestGuestWindowMillis}) {
      ++window.sequence;
      window.millis = static_cast<std::uint32_t>(length);
      const auto line = FormatGuestLine(window);
      // The port does not block: with nobody at the other end, or a slow one,
      // the line is lost and the guest goes on.
      const auto written = ::write(port, line.data(), line.size());
      if (written < 0 && errno != EAGAIN && errno != EPIPE && errno != EINTR) {
        return Fail(std::string("writing: ") + std::generic_category().message(errno));
      }
    }
    next += flags.every;
    if (next < Clock::now()) next = Clock::now();
    std::this_thread::sleep_until(next);
  }
}

int Main(int argc, char** argv) {
  const auto flags = Parse(argc, argv);
  if (!flags) {
    std::cerr << kUsage;
    return EXIT_FAILURE;
  }
  auto counter = LoadCallCounter();
  if (!counter) return Fail(counter.error().message);
  if (flags->to_stdout) return Count(**counter, *flags, STDOUT_FILENO);

  std::filesystem::path path;
  for (int i = 0; i < 100 && path.empty(); ++i) {
    path = FindPort();
    if (path.empty()) std::this_thread::sleep_for(milliseconds{100});
  }
  if (path.empty()) return Fail("no virtio-serial port named " + std::string(kPort) + "; add the channel to the VM");
  const int port = ::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
  if (port < 0) return Fail(path.string() + ": " + std::generic_category().message(errno));
  std::cout << "whorl-guest: telling the node over " << path.string() << '\n' << std::flush;
  return Count(**counter, *flags, port);
}

}  // namespace
}  // namespace whorl::guest

int main(int argc, char** argv) { return whorl::guest::Main(argc, argv); }
