#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/time.h"

namespace whorl::whatif {

// One VM while it was on one node. Amounts in cores; what it used is taken for
// what it wanted, which is too little wherever it was throttled.
struct Vm {
  std::string name;
  double size = 1;  // cores it has; it cannot use more. > 0
  std::optional<double> request;
  std::optional<double> limit;     // set by its owner
  std::vector<float> used;         // mean of each period; NaN = not measured: masked, never zero
  std::vector<std::uint8_t> here;  // 0 = not on this node in that period
};

// At the owner's limit, so that what it used may be less than what it wanted.
bool AtLimit(const Vm& vm, std::size_t period);

// What the input had that a steady recording has not; each is said by name.
struct Oddities {
  std::uint64_t masked = 0;        // VM-periods without a measurement while the VM was there
  std::uint64_t gaps = 0;          // runs of them, and absences of more than an hour
  std::uint64_t appeared = 0;      // VMs that were not there when the node's record began
  std::uint64_t vanished = 0;      // VMs that were gone before it ended
  std::uint64_t clock_steps = 0;   // samples older than one before them: dropped
  std::uint64_t repeated = 0;      // samples in a period that had one: averaged
  std::uint64_t above_size = 0;    // samples above the VM's cores: cut to them
  std::uint64_t at_limit = 0;      // VM-periods at the owner's limit: it may have wanted more
  std::uint64_t left_out_vms = 0;  // no sample, or none that is a number

  Oddities& operator+=(const Oddities& other);
};

// The VMs of one node on one grid of time.
struct Node {
  std::string name;
  Time begin{};
  Millis step{};                   // > 0
  std::optional<double> capacity;  // cores for these VMs; nullopt: nobody said
  std::vector<Vm> vms;             // by name, ascending; equally long
  Oddities odd;

  std::size_t periods() const { return vms.empty() ? 0 : vms.front().used.size(); }
  double hours() const { return static_cast<double>(step.count()) / 3.6e6; }  // of one period
};

struct Sample {
  Time at{};
  float used = 0;  // cores; NaN = not measured
};
// One VM on one node as a source tells it.
struct Track {
  std::string vm, node;
  double size = 1;
  std::optional<double> request, limit, node_capacity;
  std::vector<Sample> samples;  // in the order they were taken
};
struct Layout {
  std::optional<Millis> step = {};      // else the median step between samples
  std::optional<double> capacity = {};  // of each node, instead of what the source says
  std::size_t vms_per_node = 16;        // of tracks that name no node, in their order
};
// Nodes by name; nodes without a usable VM are left out. A span of more than
// kMostPeriods periods is cut at its end (said by Node::periods()).
inline constexpr std::size_t kMostPeriods = 1'000'000;
std::vector<Node> LayOut(std::vector<Track> tracks, const Layout& layout);

// The capacity taken when nobody said one: enough for 98 % of the periods.
double AssumedCapacity(const Node& node);

}  // namespace whorl::whatif
