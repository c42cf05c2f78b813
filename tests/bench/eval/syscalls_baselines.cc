#include "tests/bench/eval/syscalls_baselines.h"

#include <algorithm>
#include <cmath>

namespace whorl::eval {
namespace {

// Calls step(window) for each run of N consecutive calls of each thread.
template <std::size_t N, typename Step>
void ForEachWindow(const std::vector<std::uint32_t>& calls, Step step) {
  std::array<std::uint32_t, N> window;
  for (std::size_t i = 0; i + N <= calls.size(); ++i) {
    std::copy_n(calls.begin() + static_cast<std::ptrdiff_t>(i), N, window.begin());
    step(window);
  }
}

}  // namespace

std::size_t Stide::Hash::operator()(const Window& window) const {
  std::uint64_t hash = 0;
  for (const std::uint32_t call : window) hash = (hash ^ call) * 0x9e3779b97f4a7c15u;
  return static_cast<std::size_t>(hash ^ hash >> 32);
}

void Stide::Learn(const Threads& threads) {
  for (const auto& calls : threads) ForEachWindow<kWindow>(calls, [&](const Window& w) { seen_.insert(w); });
}

double Stide::Mismatches(const Threads& threads) const {
  std::size_t windows = 0, unseen = 0;
  for (const auto& calls : threads) {
    ForEachWindow<kWindow>(calls, [&](const Window& w) {
      ++windows;
      unseen += seen_.contains(w) ? 0u : 1u;
    });
  }
  return windows == 0 ? 0 : static_cast<double>(unseen) / static_cast<double>(windows);
}

double Stide::LocalityFrame(const Threads& threads) const {
  std::size_t most = 0;
  for (const auto& calls : threads) {
    std::vector<std::uint8_t> unseen;
    std::size_t inside = 0;
    ForEachWindow<kWindow>(calls, [&](const Window& w) {
      unseen.push_back(seen_.contains(w) ? 0 : 1);
      inside += unseen.back();
      if (unseen.size() > kFrame) inside -= unseen[unseen.size() - 1 - kFrame];
      most = std::max(most, inside);
    });
  }
  return static_cast<double>(most);
}

std::size_t Stide::bytes() const { return seen_.size() * (sizeof(Window) + 2 * sizeof(void*)); }

void Markov2::Learn(const Threads& threads) {
  for (const auto& calls : threads) {
    for (const std::uint32_t call : calls) calls_.insert(call);
    ForEachWindow<3>(calls, [&](const std::array<std::uint32_t, 3>& w) {
      ++triples_[w];
      ++pairs_[{w[0], w[1]}];
    });
  }
}

double Markov2::Surprisal(const Threads& threads) const {
  double sum = 0, steps = 0;
  const double symbols = static_cast<double>(calls_.size()) + 1;
  for (const auto& calls : threads) {
    ForEachWindow<3>(calls, [&](const std::array<std::uint32_t, 3>& w) {
      const auto pair = pairs_.find({w[0], w[1]});
      const auto triple = triples_.find(w);
      const double of_pair = pair == pairs_.end() ? 0 : static_cast<double>(pair->second);
      const double of_triple = triple == triples_.end() ? 0 : static_cast<double>(triple->second);
      sum -= std::log((of_triple + 1) / (of_pair + symbols));
      ++steps;
    });
  }
  return steps == 0 ? 0 : sum / steps;
}

std::size_t Markov2::bytes() const { return pairs_.size() * 56 + triples_.size() * 56 + calls_.size() * 24; }

}  // namespace whorl::eval
