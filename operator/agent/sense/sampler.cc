#include "operator/agent/sense/sampler.h"

#include <algorithm>

namespace whorl::agent {
namespace {

// A scan reads the name of every process of the node: not each second.
constexpr Millis kLookAgain{2000};
constexpr Millis kFirstQuestions{2000};
constexpr std::size_t kScratchBytes = 65536;

}  // namespace

Sampler::Sampler(const VmFinder& finder, const KnobTree& tree, SyscallSampler* syscalls, DomainReader* domains,
                 const Clock& clock)
    : finder_(finder),
      tree_(tree),
      files_(finder.layout().version()),
      syscalls_(syscalls),
      domains_(domains),
      clock_(clock),
      scratch_(kScratchBytes) {}

const std::vector<VmReading>& Sampler::Tick(const std::vector<std::string>& pods) {
  if (domains_ != nullptr) domains_->CutIfStuck();
  Find(pods);
  const auto now = clock_.Monotonic();
  if (syscalls_ != nullptr) {
    syscalls_->Tick(now, std::any_of(vms_.begin(), vms_.end(), [](const auto& vm) { return vm.second.sensor.kvm(); }));
    if (domains_ != nullptr) domains_->Rest(syscalls_->Quiet(now));
  }
  readings_.resize(vms_.size());
  std::size_t count = 0;
  for (auto vm = vms_.begin(); vm != vms_.end();) {
    auto& out = readings_[count];
    out.reading.Clear();
    out.cpu = {};
    out.at = clock_.Now();
    if (auto sampled = vm->second.sensor.Sample(scratch_, out.reading); !sampled) {
      missing_[vm->first] = sampled.error().message;
      look_again_ = Millis{0};
      Forget(vm++);
      continue;
    }
    out.pod_uid = vm->first;
    out.pod_inode = vm->second.sensor.pod_inode();
    out.guest = vm->second.guest.Poll(now);
    out.sketch = nullptr;
    if (vm->second.syscall_slot) {
      syscalls_->Put(*vm->second.syscall_slot, vm->second.sensor.kvm(), out.reading);
      out.sketch = syscalls_->Sketch(*vm->second.syscall_slot);
    }
    if (domains_ != nullptr) {
      if (const auto stats = domains_->Take(vm->first)) {
        Put(*stats, out.at, out.reading);
        // A disk that was plugged or pulled makes the sums another source.
        if (vm->second.disks != 0 && vm->second.disks != stats->disks) {
          out.reading.valid.Clear(Feature::kDiskReadBytes);
          out.reading.valid.Clear(Feature::kDiskWriteBytes);
          out.reading.valid.Clear(Feature::kDiskOperations);
          out.reading.valid.Clear(Feature::kDiskFlushes);
          out.reading.valid.Clear(Feature::kDiskBusy);
        }
        vm->second.disks = stats->disks;
      }
    }
    if (const auto cpu = files_.Read(tree_, vm->second.sensor.place().dirs.pod_cpu)) out.cpu = *cpu;
    ++count;
    ++vm;
  }
  readings_.resize(count);
  MeasureOthers(now);
  return readings_;
}

void Sampler::Find(const std::vector<std::string>& pods) {
  bool changed = false;
  for (auto vm = vms_.begin(); vm != vms_.end();) {
    if (std::find(pods.begin(), pods.end(), vm->first) != pods.end()) {
      ++vm;
      continue;
    }
    Forget(vm++);
    changed = true;
  }
  std::erase_if(missing_,
                [&](const auto& entry) { return std::find(pods.begin(), pods.end(), entry.first) == pods.end(); });
  const bool all = std::all_of(pods.begin(), pods.end(), [&](const auto& uid) { return vms_.contains(uid); });
  const auto now = clock_.Monotonic();
  // A newly enrolled pod is looked for at once, one that stays missing now and then.
  const bool unknown = std::any_of(pods.begin(), pods.end(),
                                   [&](const auto& uid) { return !vms_.contains(uid) && !missing_.contains(uid); });
  if (!all && (unknown || now >= look_again_)) {
    look_again_ = now + kLookAgain;
    const auto places = finder_.Scan();
    for (const auto& uid : pods) {
      if (vms_.contains(uid)) continue;
      missing_[uid] = places ? "no QEMU process runs in a cgroup of the pod" : places.error().message;
      if (!places) continue;
      const auto* best = FindVm(*places, uid);
      if (best == nullptr) continue;
      auto sensor = VmSensor::Open(*best, finder_.proc_root());
      if (!sensor) {
        missing_[uid] = sensor.error().message;
        continue;
      }
      Vm vm{std::move(*sensor), GuestChannel(finder_.proc_root(), best->pid), std::nullopt, 0};
      if (syscalls_ != nullptr) {
        std::vector<std::uint64_t> cgroups;
        const bool v2 = finder_.layout().version() == CgroupVersion::kV2;
        if (const auto leaf = InodeOf(v2 ? best->dirs.leaf_v2 : best->dirs.leaf_memory)) cgroups.push_back(*leaf);
        if (auto slot = syscalls_->Watch(cgroups, now)) vm.syscall_slot = *slot;
      }
      vms_.emplace(uid, std::move(vm));
      missing_.erase(uid);
      changed = true;
    }
  }
  if (changed && domains_ != nullptr) {
    // The first questions to a libvirt are many.
    if (syscalls_ != nullptr) syscalls_->PutOff(now + kFirstQuestions);
    std::vector<VmPlace> places;
    places.reserve(vms_.size());
    for (const auto& [uid, vm] : vms_) places.push_back(vm.sensor.place());
    domains_->Watch(std::move(places));
  }
}

void Sampler::Forget(std::map<std::string, Vm>::iterator vm) {
  if (vm->second.syscall_slot) syscalls_->Unwatch(*vm->second.syscall_slot);
  vms_.erase(vm);
}

void Sampler::MeasureOthers(Millis now) {
  other_millicores_.reset();
  if (!all_pods_ && !vms_.empty()) {
    if (auto gauge = PodsGauge::Open(vms_.begin()->second.sensor.place().dirs)) all_pods_ = std::move(*gauge);
  }
  const auto all = all_pods_ ? all_pods_->UsageMicros() : Fail(Code::kNotFound, "no pod seen yet");
  if (!all) {
    before_.reset();
    return;
  }
  NodeUse use{now, *all, {}};
  bool measured = true;
  double enrolled = 0;
  for (const auto& vm : readings_) {
    if (!vm.reading.valid.Has(Feature::kCpuUsage)) {
      measured = false;
      continue;
    }
    const double micros = vm.reading.Get(Feature::kCpuUsage);
    use.pod_micros[vm.pod_uid] = micros;
    if (!before_) continue;
    const auto earlier = before_->pod_micros.find(vm.pod_uid);
    if (earlier == before_->pod_micros.end() || micros < earlier->second) {
      measured = false;
    } else {
      enrolled += micros - earlier->second;
    }
  }
  if (before_ && now > before_->at && *all >= before_->all_pods_micros && measured) {
    const double milliseconds = static_cast<double>((now - before_->at).count());
    const double others = (static_cast<double>(*all - before_->all_pods_micros) - enrolled) / milliseconds;
    // The files are not read in one instant: a little below 0 is that, not use.
    other_millicores_ = static_cast<std::int64_t>(std::max(others, 0.0));
  }
  before_ = std::move(use);
}

std::string Sampler::Trouble(const std::string& pod_uid) const {
  if (const auto missing = missing_.find(pod_uid); missing != missing_.end()) return missing->second;
  const auto vm = vms_.find(pod_uid);
  if (vm == vms_.end()) return "not enrolled";
  std::string trouble = vm->second.sensor.trouble();
  if (const auto& guest = vm->second.guest.trouble(); !guest.empty()) {
    trouble += (trouble.empty() ? "" : "; ") + ("what the guest says of itself is refused: " + guest);
  }
  if (domains_ != nullptr) {
    const auto libvirt = domains_->Trouble(pod_uid);
    if (!libvirt.empty()) trouble += (trouble.empty() ? "" : "; ") + libvirt;
  }
  return trouble;
}

}  // namespace whorl::agent
