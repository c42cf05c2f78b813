#pragma once

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>

namespace whorl::fake {

// A process in a network namespace of its own, as a pod has one, and a folder
// that names it as a cgroup would. Real interfaces, but nobody else's. Needs
// root; ok() says whether it came about.
class PodNet {
 public:
  // `cgroup` is created; the process is listed in a child of it, as a
  // container's would be.
  explicit PodNet(std::string cgroup) : cgroup_(std::move(cgroup)) { Start(); }
  ~PodNet() { End(); }
  PodNet(const PodNet&) = delete;
  PodNet& operator=(const PodNet&) = delete;

  bool ok() const { return pid_ > 0; }
  const std::string& cgroup() const { return cgroup_; }

  // Ends the process and starts another one, in another namespace.
  void Restart() {
    End();
    Start();
  }
  void End() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

  // Runs on a thread inside the namespace.
  void Inside(const std::function<void()>& body) const {
    std::thread([&] {
      const int net = ::open(("/proc/" + std::to_string(pid_) + "/ns/net").c_str(), O_RDONLY | O_CLOEXEC);
      if (net >= 0 && ::setns(net, CLONE_NEWNET) == 0) body();
      if (net >= 0) ::close(net);
    }).join();
  }

  // What a shell command inside prints, with its errors.
  std::string Run(const std::string& command) const {
    std::string text;
    Inside([&] {
      FILE* const pipe = ::popen(("{ " + command + "\n} 2>&1").c_str(), "r");
      if (pipe == nullptr) return;
      std::array<char, 4096> buffer;
      for (std::size_t got; (got = ::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;)
        text.append(buffer.data(), got);
      ::pclose(pipe);
    });
    return text;
  }

  // A tap, up; its descriptor plays the VM's side and is not blocking. -1: none.
  int AddTap(const std::string& name, int more_flags = 0) const {
    int tap = -1;
    Inside([&] {
      tap = ::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
      ifreq request{};
      std::strncpy(request.ifr_name, name.c_str(), IFNAMSIZ - 1);
      request.ifr_flags = static_cast<short>(IFF_TAP | IFF_NO_PI | more_flags);
      if (tap >= 0 && ::ioctl(tap, TUNSETIFF, &request) != 0) {
        ::close(tap);
        tap = -1;
      }
    });
    Run("ip link set " + name + " up");
    return tap;
  }

 private:
  void Start() {
    std::filesystem::create_directories(cgroup_ + "/compute");
    int ready[2];
    if (::pipe2(ready, O_CLOEXEC) != 0) return;
    const pid_t child = ::fork();
    if (child == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      const char made = ::unshare(CLONE_NEWNET) == 0 ? 1 : 0;
      if (::write(ready[1], &made, 1) != 1) ::_exit(1);
      for (;;) ::pause();
    }
    ::close(ready[1]);
    char made = 0;
    pid_ = child;
    if (::read(ready[0], &made, 1) != 1 || made == 0) End();
    ::close(ready[0]);
    if (pid_ <= 0) return;
    std::ofstream(cgroup_ + "/cgroup.procs") << "";
    std::ofstream(cgroup_ + "/compute/cgroup.procs") << pid_ << "\n";
    Run("ip link set lo up");
  }

  const std::string cgroup_;
  pid_t pid_ = 0;
};

}  // namespace whorl::fake
