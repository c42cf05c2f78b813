// whorl-workload: runs inside a guest of the e2e world, reads commands from the
// virtio-serial port dev.whorl.guest.0, plays the behaviour it is told and
// reports how far it gets. Two threads: this one talks, the other one works.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "e2e/guest/behaviour.h"
#include "e2e/guest/command.h"
#include "e2e/guest/report.h"

namespace whorl::guest {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr std::string_view kPort = "dev.whorl.guest.0";
constexpr const char* kDisk = "/dev/vda";
constexpr const char* kGateway = "10.0.2.1";  // KubeVirt's masquerade gateway
constexpr std::uint16_t kDiscardPort = 9;

// The guest's real disk and network. What is missing (no disk, no link) makes a
// call do nothing: the behaviour goes on with what there is.
class KernelOutside final : public Outside {
 public:
  KernelOutside()
      : disk_(open(kDisk, O_RDWR | O_CLOEXEC)),
        icmp_(socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_ICMP)),
        udp_(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    gateway_.sin_family = AF_INET;
    gateway_.sin_port = htons(kDiscardPort);
    inet_pton(AF_INET, kGateway, &gateway_.sin_addr);
  }
  ~KernelOutside() override {
    for (const int fd : {disk_, icmp_, udp_}) {
      if (fd >= 0) close(fd);
    }
  }
  KernelOutside(const KernelOutside&) = delete;
  KernelOutside& operator=(const KernelOutside&) = delete;

  void WriteDisk(std::uint64_t offset, std::span<const std::byte> data) override {
    ignored_ = pwrite(disk_, data.data(), data.size(), static_cast<off_t>(offset));
  }
  void FlushDisk() override { fdatasync(disk_); }
  void ReadDisk(std::uint64_t offset, std::span<std::byte> data) override {
    // Not from the guest's page cache: the host is to see the reading.
    posix_fadvise(disk_, static_cast<off_t>(offset), static_cast<off_t>(data.size()), POSIX_FADV_DONTNEED);
    ignored_ = pread(disk_, data.data(), data.size(), static_cast<off_t>(offset));
  }
  void Ping(std::size_t bytes) override {
    std::array<std::byte, 1500> packet{};
    icmphdr header{};
    header.type = ICMP_ECHO;
    header.un.echo.sequence = htons(++sequence_);
    std::memcpy(packet.data(), &header, sizeof header);
    const auto size = std::min(sizeof header + bytes, packet.size() - 60);
    const std::uint16_t sum = Checksum(std::span(packet).first(size));
    std::memcpy(packet.data() + offsetof(icmphdr, checksum), &sum, sizeof sum);
    Send(icmp_, std::span(packet).first(size));
    while (recv(icmp_, packet.data(), packet.size(), 0) > 0) {
    }
  }
  void SendAway(std::span<const std::byte> data) override { Send(udp_, data); }
  void LookInto(std::uint64_t file) override {
    static constexpr std::array<const char*, 6> kFiles{"/proc/meminfo", "/proc/self/status", "/proc/stat",
                                                       "/proc/mounts",  "/bin/busybox",      "/lib/modules/order"};
    struct stat found{};
    if (stat(kFiles[file % kFiles.size()], &found) != 0) return;
    const int fd = open(kFiles[file % kFiles.size()], O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    std::array<std::byte, 256> start{};
    ignored_ = read(fd, start.data(), start.size());
    if (found.st_size > 0) {
      if (void* mapped = mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE, fd, 0); mapped != MAP_FAILED) munmap(mapped, 4096);
    }
    close(fd);
  }

 private:
  static std::uint16_t Checksum(std::span<const std::byte> data) {
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < data.size(); i += 2) {
      std::uint16_t word = 0;
      std::memcpy(&word, data.data() + i, std::min<std::size_t>(2, data.size() - i));
      sum += word;
    }
    while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<std::uint16_t>(~sum);
  }
  void Send(int fd, std::span<const std::byte> data) {
    ignored_ = sendto(fd, data.data(), data.size(), 0, reinterpret_cast<const sockaddr*>(&gateway_), sizeof gateway_);
  }

  const int disk_, icmp_, udp_;
  sockaddr_in gateway_{};
  std::uint16_t sequence_ = 0;
  ssize_t ignored_ = 0;
};

// The working thread and what it is told. `Play` and `Now` may be called from
// any thread.
class Player {
 public:
  Player() : worker_([this](std::stop_token stop) { Work(std::move(stop)); }) {}

  void Play(std::string name, const Settings& settings) {
    const std::lock_guard lock(mu_);
    behaviour_ = std::move(name);
    settings_ = settings;
    iterations_ = counted_ = 0;
    rate_ = 0;
    began_ = counted_at_ = Clock::now();
    ++turn_;
    changed_.notify_all();
  }

  // Rate is measured between calls at least a second apart.
  Progress Now() {
    const std::lock_guard lock(mu_);
    const auto now = Clock::now();
    const std::chrono::duration<double> since = now - counted_at_;
    if (since.count() >= 1) {
      rate_ = static_cast<double>(iterations_ - counted_) / since.count();
      counted_ = iterations_;
      counted_at_ = now;
    }
    return {behaviour_, settings_.level, iterations_, rate_,
            std::chrono::duration_cast<milliseconds>(now.time_since_epoch()).count()};
  }

 private:
  void Work(std::stop_token stop) {
    KernelOutside outside;
    std::unique_ptr<Behaviour> playing;
    std::uint64_t turn = 0;
    while (!stop.stop_requested()) {
      std::unique_lock lock(mu_);
      if (settings_.seconds > 0 && Clock::now() - began_ >= std::chrono::seconds{settings_.seconds}) {
        behaviour_ = "idle";
        settings_ = {};
        ++turn_;
      }
      if (turn != turn_ || playing == nullptr) {
        turn = turn_;
        const auto name = behaviour_;
        const auto seed = settings_.seed;
        lock.unlock();
        playing.reset();  // first, so that a leak gives its memory back before the next one starts
        playing = MakeBehaviour(name, seed, outside);
        continue;
      }
      const double load = LoadAt(settings_, std::chrono::duration_cast<milliseconds>(Clock::now() - began_));
      lock.unlock();
      const auto slice = playing->Step(load);
      lock.lock();
      if (turn != turn_) continue;
      iterations_ += slice.iterations;
      if (slice.rest.count() > 0)
        changed_.wait_for(lock, slice.rest, [&] { return turn != turn_ || stop.stop_requested(); });
    }
  }

  std::mutex mu_;
  std::condition_variable changed_;
  std::string behaviour_ = "idle";
  Settings settings_;
  std::uint64_t turn_ = 0;
  std::uint64_t iterations_ = 0;
  std::uint64_t counted_ = 0;
  double rate_ = 0;
  Clock::time_point began_ = Clock::now();
  Clock::time_point counted_at_ = Clock::now();
  std::jthread worker_;  // last: it uses all of the above
};

std::filesystem::path FindPort() {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/sys/class/virtio-ports", error)) {
    std::string name;
    std::ifstream(entry.path() / "name") >> name;
    if (name == kPort) return "/dev" / entry.path().filename();
  }
  return {};
}

std::string Answer(const std::string& line, Player& player) {
  const auto parsed = ParseCommand(line);
  if (!parsed.command) return RefusalLine(parsed.id, parsed.error);
  if (parsed.command->verb != "status") player.Play(parsed.command->verb, parsed.command->settings);
  return AnswerLine(parsed.command->id, player.Now());
}

[[noreturn]] void Talk(int port, Player& player) {
  std::string pending;
  auto next_report = Clock::now() + milliseconds{1000};
  for (;;) {
    pollfd wait{port, POLLIN, 0};
    poll(&wait, 1, 1000);
    // With nobody at the other end poll returns at once and a write would be lost.
    if ((wait.revents & POLLHUP) != 0) {
      pending.clear();
      std::this_thread::sleep_for(milliseconds{500});
      continue;
    }
    std::array<char, 512> buffer{};
    const auto got = read(port, buffer.data(), buffer.size());
    if (got > 0) pending.append(buffer.data(), static_cast<std::size_t>(got));
    std::string out;
    for (auto end = pending.find('\n'); end != std::string::npos; end = pending.find('\n')) {
      out += Answer(pending.substr(0, end), player);
      pending.erase(0, end + 1);
    }
    if (pending.size() > kMaxLine) {
      out += RefusalLine(std::nullopt, "line longer than " + std::to_string(kMaxLine) + " bytes");
      pending.clear();
    }
    if (Clock::now() >= next_report) {
      out += ProgressLine(player.Now());
      next_report = Clock::now() + milliseconds{1000};
    }
    // The port does not block: a reader that does not keep up loses lines
    // instead of stopping the guest.
    if (!out.empty() && write(port, out.data(), out.size()) < 0 && errno != EAGAIN)
      std::cerr << "port: " << std::generic_category().message(errno) << '\n';
  }
}

int Main() {
  std::filesystem::path path;
  for (int i = 0; i < 100 && path.empty(); ++i) {
    path = FindPort();
    if (path.empty()) std::this_thread::sleep_for(milliseconds{100});
  }
  if (path.empty()) {
    std::cerr << "whorl-workload: no virtio-serial port named " << kPort << "; is the channel in the domain?\n";
    return EXIT_FAILURE;
  }
  const int port = open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (port < 0) {
    std::cerr << "whorl-workload: " << path << ": " << std::generic_category().message(errno) << '\n';
    return EXIT_FAILURE;
  }
  Player player;
  std::cout << "whorl-workload: ready on " << path.string() << '\n' << std::flush;
  Talk(port, player);
}

}  // namespace
}  // namespace whorl::guest

int main() { return whorl::guest::Main(); }
