#include "operator/agent/act/directive_knobs.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <sstream>

namespace whorl::agent {
namespace {

namespace api = whorl::node::v1;

// One directive's knobs in the making.
class Wishes {
 public:
  Wishes(const api::Directive& directive, const DirectedPod& pod, const PodParts& parts, const KnobTree& tree,
         CgroupVersion version, api::Outcome& outcome)
      : directive_(directive),
        pod_(pod),
        parts_(parts),
        tree_(tree),
        v2_(version == CgroupVersion::kV2),
        out_(outcome) {}

  std::vector<WantedKnob> All() {
    Burst();
    Cores();
    Protection();
    Network();
    Disk();
    return std::move(wanted_);
  }

 private:
  void Refuse(const std::string& knob, std::string_view reason, const std::string& why) {
    auto& refused = *out_.add_knobs();
    refused.set_knob(knob);
    refused.set_refusal_reason(std::string(reason));
    refused.set_refusal_message(why);
  }
  void RefuseFor(const std::string& knob, const Error& error) {
    Refuse(knob, error.code == Code::kUnsupported || error.code == Code::kNotFound ? "Unavailable" : "WriteFailed",
           error.message);
  }

  void Burst() {
    if (!directive_.has_burst_micros()) return;
    const std::string knob = v2_ ? "cpu.max.burst" : "cpu.cfs_burst_us";
    const auto burst = directive_.burst_micros();
    const auto period = pod_.found.period_us.value_or(100000);
    const auto quota = directive_.has_quota_millicores() ? QuotaMicros(directive_.quota_millicores(), period)
                                                         : pod_.found.quota_us.value_or(-1);
    if (quota < 0) return Refuse(knob, "InvalidValue", "a pod without a quota has nothing to burst above; give it one");
    if (burst < 0 || burst > quota) {
      return Refuse(knob, "InvalidValue",
                    "a burst of " + std::to_string(burst) + " us must be between 0 and the quota of " +
                        std::to_string(quota) + " us");
    }
    wanted_.push_back({knob, std::to_string(burst)});
  }

  // A pod's cpuset, once set, cannot be emptied again while tasks run in it: there
  // is no way back, so this agent does not begin.
  void Cores() {
    if (directive_.cpus().empty()) return;
    Refuse("cpuset.cpus", "Unavailable",
           "this agent does not move VMs between cores: a pod's cpuset cannot be taken back while it runs");
  }

  void Protection() {
    const auto& memory = directive_.memory();
    if (!memory.has_min_bytes() && !memory.has_low_bytes() && !memory.has_high_bytes()) return;
    Refuse("memory.low", "Unavailable", "this agent sets no memory.min, memory.low or memory.high; lend by balloon");
  }

  std::optional<std::string> RateText(const std::string& knob, bool given, std::uint64_t bits) {
    if (directive_.network().quarantine()) return "drop";
    if (!given) return std::nullopt;
    if (bits >= kLeastBits && bits <= kMostBits) return std::to_string(bits) + "bit";
    Refuse(knob, "InvalidValue",
           std::to_string(bits) + " bits per second must be between " + std::to_string(kLeastBits) + " and " +
               std::to_string(kMostBits) + "; to cut a VM off, quarantine it");
    return std::nullopt;
  }

  void Network() {
    if (!directive_.has_network()) return;
    const auto& asked = directive_.network();
    const auto out = RateText("net.out", asked.has_out_bits_per_second(), asked.out_bits_per_second());
    const auto in = RateText("net.in", asked.has_in_bits_per_second(), asked.in_bits_per_second());
    if (!out && !in) return;
    const auto taps = parts_.Taps(pod_.dir);
    if (!taps) return RefuseFor("net", taps.error());
    for (const auto& tap : *taps) {
      if (out) wanted_.push_back({"net.out@" + tap, *out});
      if (in) wanted_.push_back({"net.in@" + tap, *in});
    }
  }

  void Disk() {
    if (!directive_.has_disk()) return;
    const auto& asked = directive_.disk();
    if (asked.has_weight()) Weight(asked.weight());
    const std::pair<const char*, std::optional<std::uint64_t>> limits[] = {
        {"rbps", Limit(asked.has_read_bytes_per_second(), asked.read_bytes_per_second())},
        {"wbps", Limit(asked.has_write_bytes_per_second(), asked.write_bytes_per_second())},
        {"riops", Limit(asked.has_read_operations_per_second(), asked.read_operations_per_second())},
        {"wiops", Limit(asked.has_write_operations_per_second(), asked.write_operations_per_second())}};
    if (std::none_of(std::begin(limits), std::end(limits),
                     [](const auto& limit) { return limit.second.has_value(); })) {
      return;
    }
    if (pod_.has_domain) return;
    const auto devices = parts_.Devices(pod_.dir);
    if (!devices) return RefuseFor("io.max", devices.error());
    for (const auto& device : *devices) {
      const auto knob = "io.max@" + device;
      const auto found = Found(knob);
      if (!found) {
        RefuseFor(knob, found.error());
        continue;
      }
      std::string text;
      for (const auto& [key, value] : limits) text += (text.empty() ? "" : " ") + Lower(*found, key, value);
      wanted_.push_back({knob, text});
    }
  }

  // A knob's text before anything of ours.
  Result<std::string> Found(const std::string& knob) {
    if (pod_.entry != nullptr) {
      const auto& held = pod_.entry->knobs;
      const auto it = std::find_if(held.begin(), held.end(), [&](const JournalKnob& k) { return k.file == knob; });
      if (it != held.end()) return it->found;
    }
    return tree_.Read(pod_.dir, knob);
  }

  // `key` of a line "rbps=max wbps=1000", as found or lower: a limit somebody
  // set is theirs, and is never raised.
  static std::string Lower(const std::string& found, const std::string& key,
                           const std::optional<std::uint64_t>& asked) {
    std::string value = "max";
    std::istringstream fields(found);
    for (std::string field; fields >> field;) {
      if (field.starts_with(key + "=")) value = field.substr(key.size() + 1);
    }
    std::uint64_t limit = 0;
    const auto [end, code] = std::from_chars(value.data(), value.data() + value.size(), limit);
    const bool unlimited = code != std::errc{} || end != value.data() + value.size();
    if (asked && (unlimited || *asked < limit)) value = std::to_string(*asked);
    return key + "=" + value;
  }

  std::optional<std::uint64_t> Limit(bool given, std::uint64_t value) {
    if (!given) return std::nullopt;
    if (value > 0) return value;
    Refuse("io.max", "InvalidValue", "a disk limit of 0 would stop the VM; the least is 1");
    return std::nullopt;
  }

  void Weight(std::uint32_t weight) {
    if (!v2_) return Refuse("io.weight", "Unavailable", "cgroup v1 has no io.weight");
    if (weight < 1 || weight > 10000) {
      return Refuse("io.weight", "InvalidValue", std::to_string(weight) + " must be between 1 and 10000");
    }
    if (const auto has = tree_.Read(pod_.dir, "io.weight"); !has) return RefuseFor("io.weight", has.error());
    wanted_.push_back({"io.weight", "default " + std::to_string(weight)});
  }

  const api::Directive& directive_;
  const DirectedPod& pod_;
  const PodParts& parts_;
  const KnobTree& tree_;
  const bool v2_;
  api::Outcome& out_;
  std::vector<WantedKnob> wanted_;
};

}  // namespace

std::vector<WantedKnob> KnobsOf(const api::Directive& directive, const DirectedPod& pod, const PodParts& parts,
                                const KnobTree& tree, CgroupVersion version, api::Outcome& outcome) {
  return Wishes(directive, pod, parts, tree, version, outcome).All();
}

}  // namespace whorl::agent
