// The only file of whorl-guest that includes libbpf and the generated skeleton.
#include "operator/guest/counter.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <system_error>
#include <utility>
#include <vector>

#include "operator/bpf/classes.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wcast-qual"
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wshadow"
#include "guest.skel.h"
#pragma GCC diagnostic pop

namespace whorl::guest {
namespace {

static_assert(static_cast<int>(CallClass::kNetwork) == kWhorlSyscallNetwork && kCallClassCount == WHORL_SYSCALL_CLASSES,
              "the kernel side counts in the wire's order");

std::string last_warning;

__attribute__((format(printf, 2, 0))) int KeepWarning(libbpf_print_level level, const char* format, va_list arguments) {
  if (level != LIBBPF_WARN) return 0;
  char line[256];
  if (std::vsnprintf(line, sizeof(line), format, arguments) > 0) {
    last_warning = line;
    while (!last_warning.empty() && last_warning.back() == '\n') last_warning.pop_back();
  }
  return 0;
}

tl::unexpected<Error> Refused(int error, const char* what) {
  std::string message = std::string(what) + ": " + std::generic_category().message(error);
  if (!last_warning.empty()) message += " (" + last_warning + ")";
  return Fail(error == EPERM || error == EACCES ? Code::kUnauthorized : Code::kUnsupported, std::move(message));
}

struct Destroy {
  void operator()(guest_bpf* skeleton) const { guest_bpf__destroy(skeleton); }
};

class BpfCounter : public CallCounter {
 public:
  BpfCounter(std::unique_ptr<guest_bpf, Destroy> skeleton, int cpus)
      : skeleton_(std::move(skeleton)), per_cpu_(static_cast<std::size_t>(cpus)) {}
  ~BpfCounter() override { Detach(); }

  Status Open() override {
    skeleton_->bss->window = skeleton_->bss->window + 1;
    if (link_ == nullptr) link_ = bpf_program__attach(skeleton_->progs.count_sys_enter);
    if (link_ == nullptr) return Refused(errno, "attaching");
    return Read(base_);
  }

  Status Close(bool detach, GuestWindow& window) override {
    if (auto read = Read(now_); !read) return read;
    if (detach) Detach();
    for (std::size_t i = 0; i < window.calls.size(); ++i) {
      window.calls[i] = static_cast<std::uint32_t>(now_.by_class[i] - base_.by_class[i]);
    }
    for (std::size_t i = 0; i < window.sketch.size(); ++i) window.sketch[i] = now_.sketch[i] - base_.sketch[i];
    return {};
  }

 private:
  void Detach() {
    if (link_ != nullptr) bpf_link__destroy(std::exchange(link_, nullptr));
  }
  Status Read(whorl_syscall_counts& sum) {
    const std::uint32_t only = 0;
    const std::size_t size = per_cpu_.size() * sizeof(per_cpu_[0]);
    if (bpf_map__lookup_elem(skeleton_->maps.counts, &only, sizeof(only), per_cpu_.data(), size, 0) != 0) {
      return Refused(errno, "reading the counts");
    }
    sum = {};
    for (const auto& cpu : per_cpu_) {
      for (std::size_t i = 0; i < WHORL_SYSCALL_CLASSES; ++i) sum.by_class[i] += cpu.by_class[i];
      for (std::size_t i = 0; i < WHORL_SKETCH_BUCKETS; ++i) sum.sketch[i] += cpu.sketch[i];
    }
    return {};
  }

  const std::unique_ptr<guest_bpf, Destroy> skeleton_;
  std::vector<whorl_syscall_counts> per_cpu_;
  whorl_syscall_counts base_{}, now_{};
  bpf_link* link_ = nullptr;
};

}  // namespace

Result<std::unique_ptr<CallCounter>> LoadCallCounter() {
  libbpf_set_print(KeepWarning);
  const int cpus = libbpf_num_possible_cpus();
  if (cpus <= 0) return Refused(-cpus, "counting the CPUs");
  std::unique_ptr<guest_bpf, Destroy> skeleton(guest_bpf__open());
  if (!skeleton) return Refused(errno, "opening the BPF program");
  skeleton->rodata->own = static_cast<unsigned>(::getpid());
  const auto classes = SyscallClasses();
  std::memcpy(skeleton->rodata->class_of, classes.data(), classes.size());
  if (const int error = guest_bpf__load(skeleton.get()); error != 0) return Refused(-error, "loading the BPF program");
  return std::make_unique<BpfCounter>(std::move(skeleton), cpus);
}

}  // namespace whorl::guest
