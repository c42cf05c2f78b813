#include "operator/agent/feature_page.h"

#include "core/telemetry/features.h"

namespace whorl::agent {
namespace {

std::string_view NameOf(Family family) {
  switch (family) {
    case Family::kSyscalls: return "VMM system calls";
    case Family::kCpu: return "CPU";
    case Family::kMemory: return "memory";
    case Family::kIo: return "network and disk";
  }
  return "unknown";
}

}  // namespace

std::string FeaturePage() {
  std::string page =
      "# Features\n\n"
      "What Whorl measures of every enrolled VM, once a second. This page is made by `whorl-agent features`;\n"
      "change `core/telemetry/features.h` and run it again.\n\n"
      "A *counter* is read as the kernel or libvirt keeps it and differenced over the time between two readings; a\n"
      "*gauge* is taken as it is. A source that cannot be read, or that has just been replaced by another (QEMU\n"
      "restarted, a vCPU, NIC or disk plugged), leaves its feature unmeasured at that tick: unmeasured is never "
      "zero.\n\n"
      "- **libvirt** figures come at most every 5 s, the others at every tick.\n"
      "- **dirty rate** is calculated for one VM of a node after the other, one a minute, by libvirt 7.2 and later "
      "(QEMU\n"
      "  hashes a few hundred pages per GiB twice, a second apart; the guest runs on). Its resolution is 1 MiB/s.\n"
      "- **VMM system calls** are counted in windows (1 s in 5 unless `--syscalls` says otherwise). At the end of a\n"
      "  window the counter grows by what was counted, scaled from the window to the time since the previous one, so\n"
      "  that its rate is unbiased. They are the calls QEMU makes, not the guest's own: those never reach the host.\n"
      "  Besides, the 3-grams of calls of each QEMU thread are hashed into 256 counters a window: the *sketch*\n"
      "  (`core/telemetry/sketch.h`). It is sent beside the features, for the model of usual call sequences.\n"
      "- System calls **of the guest** are no feature: `whorl-guest` tells them, opt-in and untrusted, in a block of\n"
      "  their own (`docs/reference/guest.md`).\n"
      "- **KVM exits** are counted in the same windows, for VMs whose vCPU threads are KVM's, on Linux 5.17 or later.\n"
      "  Under emulation they are unmeasured. The machines Whorl is tested on have no usable KVM: the program was "
      "checked\n"
      "  against a guest of known exits under nested, emulated SVM on Debian's 6.1; its Intel side never ran.\n"
      "- **guest usable memory**, **guest major faults** and **guest swapping** count only while the guest's balloon\n"
      "  driver reports.\n"
      "- **disk busy time** is what requests took, summed: more than 1000 ms/s when they overlap. Over *disk "
      "operations*\n"
      "  it is the mean latency.\n"
      "- Network directions are the guest's: *received* is what the host sent to the tap.\n\n"
      "| # | feature | unit | family | reading | source |\n"
      "|---|---|---|---|---|---|\n";
  for (const auto& f : kFeatures) {
    page += "| " + std::to_string(static_cast<int>(f.feature)) + " | " + std::string(f.name) + " | " +
            std::string(f.unit) + " | " + std::string(NameOf(f.family)) + " | " +
            (f.kind == Kind::kCounter ? "counter" : "gauge") + " | " + std::string(f.source) + " |\n";
  }
  return page;
}

}  // namespace whorl::agent
