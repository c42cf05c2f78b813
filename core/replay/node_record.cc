#include "core/replay/node_record.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <span>
#include <utility>

namespace whorl::whatif {
namespace {

constexpr Millis kAbsence{3'600'000};  // silent for longer: it was not there
constexpr double kAtLimit = 0.97;
constexpr double kRounding = 1.005;  // sources round; only what is above this is cut and counted

std::string Number(std::size_t n) {
  std::string digits = std::to_string(n);
  return (digits.size() < 2 ? "0" : "") + digits;
}

Millis MedianStep(const std::vector<Track>& tracks) {
  std::vector<std::int64_t> steps;
  for (const Track& track : tracks) {
    for (std::size_t i = 1; i < track.samples.size(); ++i) {
      const std::int64_t step = (track.samples[i].at - track.samples[i - 1].at).count();
      if (step > 0) steps.push_back(step);
    }
  }
  if (steps.empty()) return Millis{300'000};
  const auto middle = steps.begin() + static_cast<std::ptrdiff_t>(steps.size() / 2);
  std::nth_element(steps.begin(), middle, steps.end());
  return Millis{std::max<std::int64_t>(*middle, 1)};
}

// Samples that can stand in a row of time; the others are counted.
std::vector<Sample> Ordered(const Track& track, Oddities& odd) {
  std::vector<Sample> kept;
  kept.reserve(track.samples.size());
  for (Sample sample : track.samples) {
    if (!kept.empty() && sample.at < kept.back().at) {
      ++odd.clock_steps;
      continue;
    }
    const auto size = static_cast<float>(track.size);
    if (!(sample.used >= 0)) sample.used = std::nanf("");
    odd.above_size += sample.used > size * static_cast<float>(kRounding);
    sample.used = std::isnan(sample.used) ? sample.used : std::min(sample.used, size);
    kept.push_back(sample);
  }
  return kept;
}

Vm OnGrid(const Track& track, std::span<const Sample> samples, const Node& node, std::size_t periods, Oddities& odd) {
  Vm vm;
  vm.name = track.vm;
  vm.size = track.size;
  vm.request = track.request;
  vm.limit = track.limit;
  vm.used.assign(periods, std::nanf(""));
  vm.here.assign(periods, 0);
  std::vector<std::uint16_t> count(periods, 0);
  std::optional<std::size_t> before;
  const auto absence = static_cast<std::size_t>(std::max<std::int64_t>(kAbsence / node.step, 1));
  for (const Sample& sample : samples) {
    const auto at = static_cast<std::size_t>((sample.at - node.begin) / node.step);
    if (at >= periods) break;
    vm.here[at] = 1;
    if (before && at > *before + 1) {
      ++odd.gaps;
      // A short silence is a gap in what is known; a long one is an absence.
      if (at - *before <= absence)
        std::fill(vm.here.begin() + static_cast<std::ptrdiff_t>(*before),
                  vm.here.begin() + static_cast<std::ptrdiff_t>(at), 1);
    }
    before = at;
    if (std::isnan(sample.used)) continue;
    odd.repeated += count[at] > 0;
    const auto n = static_cast<float>(count[at]);
    vm.used[at] = count[at] == 0 ? sample.used : (vm.used[at] * n + sample.used) / (n + 1);
    if (count[at] < 60'000) ++count[at];
  }
  for (std::size_t t = 0; t < periods; ++t) {
    odd.masked += vm.here[t] != 0 && std::isnan(vm.used[t]);
    odd.at_limit += AtLimit(vm, t);
  }
  odd.appeared += vm.here.front() == 0;
  odd.vanished += vm.here.back() == 0;
  return vm;
}

}  // namespace

Oddities& Oddities::operator+=(const Oddities& o) {
  masked += o.masked, gaps += o.gaps, appeared += o.appeared, vanished += o.vanished;
  clock_steps += o.clock_steps, repeated += o.repeated, above_size += o.above_size;
  at_limit += o.at_limit, left_out_vms += o.left_out_vms;
  return *this;
}

bool AtLimit(const Vm& vm, std::size_t period) {
  return vm.limit && static_cast<double>(vm.used[period]) >= kAtLimit * *vm.limit;
}

std::vector<Node> LayOut(std::vector<Track> tracks, const Layout& layout) {
  const Millis step = layout.step.value_or(MedianStep(tracks));
  // Where nobody says where a VM ran, a node is as many VMs as fit, in their order.
  std::size_t placed = 0;
  std::map<std::string, std::map<std::string, Track>> nodes;  // by node, by VM
  for (Track& track : tracks) {
    if (track.node.empty()) track.node = "node-" + Number(1 + placed++ / std::max<std::size_t>(layout.vms_per_node, 1));
    auto& vms = nodes[track.node];
    const auto found = vms.find(track.vm);
    if (found == vms.end()) {
      vms.emplace(track.vm, std::move(track));
      continue;
    }
    // The same VM in another file: one record after the other.
    auto& one = found->second.samples;
    const auto middle = static_cast<std::ptrdiff_t>(one.size());
    one.insert(one.end(), track.samples.begin(), track.samples.end());
    if (middle > 0 && track.samples.size() > 0 && track.samples.front().at < one.front().at)
      std::rotate(one.begin(), one.begin() + middle, one.end());
  }

  std::vector<Node> out;
  for (auto& [name, vms] : nodes) {
    Node node;
    node.name = name;
    node.step = step;
    node.capacity = layout.capacity;
    std::vector<std::pair<const Track*, std::vector<Sample>>> usable;
    std::optional<Time> first, last;
    for (const auto& [vm, track] : vms) {
      auto samples = Ordered(track, node.odd);
      const bool any = std::any_of(samples.begin(), samples.end(), [](const Sample& s) { return !std::isnan(s.used); });
      if (!any || !(track.size > 0)) {
        ++node.odd.left_out_vms;
        continue;
      }
      first = std::min(first.value_or(samples.front().at), samples.front().at);
      last = std::max(last.value_or(samples.back().at), samples.back().at);
      if (!node.capacity) node.capacity = track.node_capacity;
      usable.emplace_back(&track, std::move(samples));
    }
    if (usable.empty()) continue;
    // On whole steps of the clock, so that hours and days are the wall's.
    node.begin = Time{Millis{first->time_since_epoch() / step * step.count()}};
    const auto periods = std::min<std::size_t>(kMostPeriods, static_cast<std::size_t>((*last - node.begin) / step) + 1);
    for (const auto& [track, samples] : usable) {
      node.vms.push_back(OnGrid(*track, samples, node, periods, node.odd));
    }
    out.push_back(std::move(node));
  }
  return out;
}

double AssumedCapacity(const Node& node) {
  std::vector<double> sums(node.periods(), 0);
  for (const Vm& vm : node.vms) {
    for (std::size_t t = 0; t < sums.size(); ++t) {
      if (!std::isnan(vm.used[t])) sums[t] += static_cast<double>(vm.used[t]);
    }
  }
  if (sums.empty()) return 0;
  const auto place = static_cast<std::ptrdiff_t>(0.98 * static_cast<double>(sums.size() - 1));
  std::nth_element(sums.begin(), sums.begin() + place, sums.end());
  return std::max(sums[static_cast<std::size_t>(place)], 0.016 * static_cast<double>(node.vms.size()));
}

}  // namespace whorl::whatif
