// TCP through a limited tap: a namespace plays the guest, with a kernel and a
// TCP of its own, and a thread carries frames between its interface and the
// pod's tap as QEMU does. Needs root and /dev/net/tun, and is skipped without.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <iomanip>
#include <iostream>
#include <thread>
#include <vector>

#include "operator/agent/act/tap_shaper.h"
#include "tests/fake/pod_net.h"
#include "tests/fake/temp_dir.h"

namespace whorl::agent {
namespace {

using namespace std::chrono_literals;

constexpr const char* kPodAddress = "10.77.0.1";
constexpr const char* kGuestAddress = "10.77.0.2";

sockaddr_in Address(const char* host, std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  ::inet_pton(AF_INET, host, &address.sin_addr);
  return address;
}

// Carries frames both ways until it ends.
class Wire {
 public:
  Wire(int pod, int guest) : thread_([this, pod, guest](const std::stop_token& stop) { Run(stop, pod, guest); }) {}
  std::uint64_t bytes_to_guest() const { return to_guest_; }

 private:
  void Run(const std::stop_token& stop, int pod, int guest) {
    std::vector<char> frame(65536);
    pollfd both[2] = {{pod, POLLIN, 0}, {guest, POLLIN, 0}};
    while (!stop.stop_requested()) {
      if (::poll(both, 2, 20) <= 0) continue;
      for (int i = 0; i < 64; ++i) {
        const auto down = ::read(pod, frame.data(), frame.size());
        if (down > 0 && ::write(guest, frame.data(), static_cast<std::size_t>(down)) == down) {
          to_guest_ += static_cast<std::uint64_t>(down);
        }
        const auto up = ::read(guest, frame.data(), frame.size());
        // A frame that finds no room is lost, as on any wire.
        if (up > 0 && ::write(pod, frame.data(), static_cast<std::size_t>(up)) < 0) continue;
        if (down <= 0 && up <= 0) break;
      }
    }
  }

  std::atomic<std::uint64_t> to_guest_{0};
  std::jthread thread_;
};

class TapTraffic : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    if (!pod_.ok() || !guest_.ok()) GTEST_SKIP() << "cannot make network namespaces here";
    tap_ = pod_.AddTap("tap0");
    nic_ = guest_.AddTap("eth0");
    if (tap_ < 0 || nic_ < 0) GTEST_SKIP() << "cannot make a tap here (/dev/net/tun)";
    // As KubeVirt's bridge binding: the tap is a port, the address the bridge's.
    pod_.Run(
        "ip link add k6t-eth0 type bridge; ip link set tap0 master k6t-eth0; ip link set k6t-eth0 up;"
        "ip addr add 10.77.0.1/24 dev k6t-eth0");
    guest_.Run("ip addr add 10.77.0.2/24 dev eth0");
    wire_ = std::make_unique<Wire>(tap_, nic_);
  }
  void TearDown() override {
    wire_.reset();
    if (tap_ >= 0) ::close(tap_);
    if (nic_ >= 0) ::close(nic_);
  }

  int SocketIn(const fake::PodNet& net, int type) {
    int fd = -1;
    net.Inside([&] { fd = ::socket(AF_INET, type | SOCK_CLOEXEC, 0); });
    const timeval patience{.tv_sec = 3, .tv_usec = 0};
    ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    return fd;
  }

  struct Rates {
    double frames = 0;   // Mbit/s with Ethernet headers, as the tap counts
    double payload = 0;  // Mbit/s that the program at the end got
  };

  // One TCP connection as fast as it goes, for a while after it has warmed up.
  Rates Transfer(NetDirection direction) {
    const bool out = direction == NetDirection::kOut;
    const auto& from = out ? guest_ : pod_;
    const auto& to = out ? pod_ : guest_;
    auto address = Address(out ? kPodAddress : kGuestAddress, ++port_);
    const int listener = SocketIn(to, SOCK_STREAM);
    const int sender = SocketIn(from, SOCK_STREAM);
    EXPECT_EQ(::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(::listen(listener, 1), 0);
    EXPECT_EQ(::connect(sender, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    const int receiver = ::accept(listener, nullptr, nullptr);
    EXPECT_GE(receiver, 0);

    std::atomic<std::uint64_t> received{0};
    std::thread sends([&] {
      const std::vector<char> data(65536, 'w');
      while (::send(sender, data.data(), data.size(), MSG_NOSIGNAL) > 0) {
      }
    });
    std::thread receives([&] {
      std::vector<char> data(262144);
      for (ssize_t got; (got = ::recv(receiver, data.data(), data.size(), 0)) > 0;) {
        received += static_cast<std::uint64_t>(got);
      }
    });
    std::this_thread::sleep_for(500ms);
    const auto start = std::chrono::steady_clock::now();
    const auto frames = Passed(direction);
    const std::uint64_t payload = received;
    std::this_thread::sleep_for(1500ms);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const Rates rates{static_cast<double>(Passed(direction) - frames) * 8e-6 / seconds,
                      static_cast<double>(received - payload) * 8e-6 / seconds};
    ::shutdown(sender, SHUT_RDWR);
    ::shutdown(receiver, SHUT_RDWR);
    sends.join();
    receives.join();
    for (const int fd : {listener, sender, receiver}) ::close(fd);
    return rates;
  }

  // Bytes that came out on the far side of the limit.
  std::uint64_t Passed(NetDirection direction) {
    if (direction == NetDirection::kIn) return wire_->bytes_to_guest();
    const auto text = pod_.Run("ip -s -o link show whorl2 | sed 's/.*TX:[^\\\\]*.\\s*//; s/ .*//'");
    return text.empty() ? 0 : std::strtoull(text.c_str(), nullptr, 10);
  }

  // How many of `count` datagrams arrive.
  int Datagrams(NetDirection direction, int count) {
    const bool out = direction == NetDirection::kOut;
    auto address = Address(out ? kPodAddress : kGuestAddress, ++port_);
    const int receiver = SocketIn(out ? pod_ : guest_, SOCK_DGRAM);
    const int sender = SocketIn(out ? guest_ : pod_, SOCK_DGRAM);
    EXPECT_EQ(::bind(receiver, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    const timeval patience{.tv_sec = 0, .tv_usec = 200'000};
    ::setsockopt(receiver, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    for (int i = 0; i < count; ++i) {
      ::sendto(sender, "?", 1, 0, reinterpret_cast<sockaddr*>(&address), sizeof(address));
    }
    int arrived = 0;
    char byte;
    while (arrived < count && ::recv(receiver, &byte, 1, 0) == 1) ++arrived;
    ::close(receiver);
    ::close(sender);
    return arrived;
  }

  fake::TempDir temp_;
  fake::PodNet pod_{temp_.path() + "/pod"};
  fake::PodNet guest_{temp_.path() + "/guest"};
  int tap_ = -1;
  int nic_ = -1;
  std::unique_ptr<Wire> wire_;
  std::uint16_t port_ = 5000;
  TapShaper shaper_;
};

TEST_F(TapTraffic, TcpReachesTheLimitInEachDirectionAndNoMore) {
  for (const auto direction : {NetDirection::kOut, NetDirection::kIn}) {
    const auto knob = NetKnobName(direction, "tap0");
    for (const int asked : {20, 100}) {
      const auto written = shaper_.Write(pod_.cgroup(), knob, std::to_string(asked) + "000000bit");
      ASSERT_TRUE(written) << written.error().message;
      // Never above; below only where the machine had no time for the ends, so that
      // one good run of three is enough.
      Rates rates;
      for (int tries = 0; tries < 3 && rates.frames < 0.97 * asked; ++tries) {
        const auto again = Transfer(direction);
        EXPECT_LE(again.frames, 1.05 * asked) << knob;
        if (again.frames > rates.frames) rates = again;
      }
      std::cout << std::fixed << std::setprecision(1) << std::setw(12) << knob << ": asked " << std::setw(5) << asked
                << " Mbit/s, reached " << std::setw(5) << rates.frames << " (" << std::showpos
                << 100 * (rates.frames / asked - 1) << std::noshowpos << " %), TCP payload " << rates.payload << "\n";
      EXPECT_NEAR(rates.frames, asked, 0.05 * asked) << knob;
    }
    ASSERT_TRUE(shaper_.Write(pod_.cgroup(), knob, "none"));
  }
}

TEST_F(TapTraffic, DropLetsNothingThroughAndNoneLetsItPassAgain) {
  for (const auto direction : {NetDirection::kOut, NetDirection::kIn}) {
    const auto knob = NetKnobName(direction, "tap0");
    ASSERT_EQ(Datagrams(direction, 10), 10) << knob;
    for (const char* before : {"none", "100000000bit"}) {
      ASSERT_TRUE(shaper_.Write(pod_.cgroup(), knob, before));
      ASSERT_TRUE(shaper_.Write(pod_.cgroup(), knob, "drop"));
      EXPECT_EQ(Datagrams(direction, 100), 0) << knob << " after " << before;
    }
    ASSERT_TRUE(shaper_.Write(pod_.cgroup(), knob, "none"));
    EXPECT_EQ(Datagrams(direction, 10), 10) << knob;
  }
}

}  // namespace
}  // namespace whorl::agent
