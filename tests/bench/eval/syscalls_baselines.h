#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace whorl::eval {

using Threads = std::vector<std::vector<std::uint32_t>>;

// STIDE (Hofmeyr, Forrest and Somayaji, Journal of Computer Security 1998): the
// set of all windows of six consecutive calls seen in training. Exact, without limit.
class Stide {
 public:
  static constexpr std::size_t kWindow = 6;
  static constexpr std::size_t kFrame = 20;

  void Learn(const Threads& threads);
  // The share of a trace's windows that were never seen.
  double Mismatches(const Threads& threads) const;
  // The largest locality frame count: unseen windows among 20 consecutive ones.
  double LocalityFrame(const Threads& threads) const;
  std::size_t bytes() const;

 private:
  using Window = std::array<std::uint32_t, kWindow>;
  struct Hash {
    std::size_t operator()(const Window& window) const;
  };
  std::unordered_set<Window, Hash> seen_;
};

// Second-order Markov: the mean of -ln p(call | two before) over a trace, with
// one count added for each call known and for one that is not.
class Markov2 {
 public:
  void Learn(const Threads& threads);
  double Surprisal(const Threads& threads) const;
  std::size_t bytes() const;

 private:
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint64_t> pairs_;
  std::map<std::array<std::uint32_t, 3>, std::uint64_t> triples_;
  std::unordered_set<std::uint32_t> calls_;
};

}  // namespace whorl::eval
