#include "operator/agent/sense/guest_channel.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "tests/fake/temp_dir.h"

namespace whorl::agent {
namespace {

std::string Line(std::uint32_t sequence) {
  GuestWindow window;
  window.sequence = sequence;
  window.millis = 1000;
  return FormatGuestLine(window);
}

// A launcher's file system with QEMU's end of the channel in it.
class GuestChannelTest : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(Folder()); }
  std::string Folder() const { return dir_.path() + "/42/root/var/run/whorl"; }
  void Listen() {
    listening_ = Fd(::socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const auto path = Folder() + "/guest-telemetry.sock";
    ASSERT_LT(path.size(), sizeof address.sun_path);
    std::memcpy(address.sun_path, path.data(), path.size());
    ASSERT_EQ(::bind(listening_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(::listen(listening_.get(), 1), 0);
  }
  void Accept() { qemu_ = Fd(::accept(listening_.get(), nullptr, nullptr)); }
  void Say(const std::string& text) {
    ASSERT_EQ(::send(qemu_.get(), text.data(), text.size(), MSG_DONTWAIT), static_cast<ssize_t>(text.size()));
  }

  fake::TempDir dir_;
  Fd listening_, qemu_;
  GuestChannel channel_{dir_.path(), 42};
};

TEST_F(GuestChannelTest, AVmWithoutTheChannelSaysNothingAndIsNoTrouble) {
  EXPECT_EQ(channel_.Poll(Millis{0}), nullptr);
  EXPECT_EQ(channel_.trouble(), "");
}

TEST_F(GuestChannelTest, ReadsTheLastWindowAndFindsAQemuThatRestarted) {
  Listen();
  EXPECT_EQ(channel_.Poll(Millis{0}), nullptr);
  Accept();
  Say("\n" + Line(5) + Line(6));
  ASSERT_NE(channel_.Poll(Millis{1000}), nullptr);
  qemu_ = Fd();
  listening_ = Fd();
  EXPECT_EQ(channel_.Poll(Millis{2000}), nullptr);
  std::filesystem::remove(Folder() + "/guest-telemetry.sock");
  Listen();
  EXPECT_EQ(channel_.Poll(Millis{9000}), nullptr) << "not asked each second";
  channel_.Poll(Millis{10'000});
  Accept();
  Say("\n" + Line(1));
  const auto* window = channel_.Poll(Millis{11'000});
  ASSERT_NE(window, nullptr);
  EXPECT_EQ(window->sequence, 1u);
}

TEST_F(GuestChannelTest, AGuestThatFloodsIsReadSlowlyAndStillEnds) {
  Listen();
  channel_.Poll(Millis{0});
  Accept();
  const std::string noise(1000, 'x');
  std::size_t sent = 0;
  while (sent < 20 * noise.size() && ::send(qemu_.get(), noise.data(), noise.size(), MSG_DONTWAIT) > 0)
    sent += noise.size();
  ASSERT_GT(sent, GuestChannel::kMostBytes);
  EXPECT_EQ(channel_.Poll(Millis{1000}), nullptr);
  char left = 0;
  EXPECT_EQ(::recv(qemu_.get(), &left, 1, MSG_DONTWAIT), -1) << "nothing is ever sent to a guest";
  Say("\n" + Line(3));
  EXPECT_NE(channel_.Poll(Millis{2000}), nullptr);
}

TEST_F(GuestChannelTest, ALinkInsteadOfTheSocketIsNotFollowed) {
  const auto outside = dir_.path() + "/outside.sock";
  std::filesystem::create_symlink(outside, Folder() + "/guest-telemetry.sock");
  listening_ = Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, outside.data(), outside.size());
  ASSERT_EQ(::bind(listening_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(listening_.get(), 1), 0);
  EXPECT_EQ(channel_.Poll(Millis{0}), nullptr);
  EXPECT_EQ(::accept(listening_.get(), nullptr, nullptr), -1) << "somebody connected";
}

}  // namespace
}  // namespace whorl::agent
