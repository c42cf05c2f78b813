#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace whorl {

// What the call sequences of a group of programs usually look like, learnt once
// from whole traces (one per thread), for sources where the sequence itself is
// visible: recordings, containers, whorl-guest. Memory is bounded whatever is
// learnt (some 5 MiB with the default limits and a thousand traces);
// the same traces in the same order give the same model, byte for byte.
// Thread-safe once fitted, each thread with its own Scratch.
//
// A group holds programs that differ: what is foreign in a web server is
// ordinary in a compiler. So every question is asked beside the learnt traces
// most like the one judged (its neighbours), and its answer is compared with
// the answers those neighbours got when they were judged without themselves.
class SequenceModel {
 public:
  using Calls = std::span<const std::uint32_t>;

  struct Limits {
    std::size_t traces = 1024;   // learnt ones kept apart; later ones join the most similar
    std::size_t windows = 4096;  // likewise, of each kind
  };

  // The statistics, each grows with unusualness. Sequences are runs of five calls.
  enum Statistic : std::uint8_t {
    kWindows,      // distance of the strangest fifth of its windows of 40 calls from any window of its neighbours
    kPairWindows,  // the same, windows taken as mixtures of pairs of calls
    kForeign,      // share of its different sequences that its closest neighbours never made
    kNovel,        // how many different sequences nobody ever made, logarithm
    kNearest,      // distance from the most similar learnt trace, by runs of three calls, rare ones weighing more
    kStatistics
  };

  // Buffers of a judging thread; Judge allocates nothing.
  class Scratch;

  struct Verdict {
    std::array<float, kStatistics> raw{};       // as measured
    std::array<float, kStatistics> evidence{};  // -log10 p of each, 0..kMostEvidence
    float fused = 0;                            // their mean
  };
  static constexpr float kMostEvidence = 4.0f;

  // Learns from traces of usual behaviour and calibrates on them out of sample:
  // each is judged by a model of the other four fifths. Traces without a single
  // pair of calls are left out. Call numbers are any 32 bits.
  static SequenceModel Fit(std::span<const Calls> traces, const Limits& limits);
  static SequenceModel Fit(std::span<const Calls> traces) { return Fit(traces, Limits{}); }

  // Of the first kLongest calls. No evidence (0) for a trace without a pair of
  // calls, or from a model that learnt fewer than kLeastTraces.
  static constexpr std::size_t kLongest = 65'536;
  static constexpr std::size_t kLeastTraces = 20;
  Verdict Judge(Calls calls, Scratch& scratch) const;

  std::size_t traces() const { return traces_.size(); }
  std::size_t windows() const { return banks_[kCalls].windows.size() + banks_[kPairs].windows.size(); }
  std::size_t bytes() const;

 private:
  static constexpr std::size_t kBins = 1024;               // of mixtures of calls and of pairs, hashed
  static constexpr std::size_t kGramBins = 16'384;         // of runs of three calls
  static constexpr std::size_t kSequenceBits = 16'384;     // of one trace's sequences
  static constexpr std::size_t kKnownBits = 1u << 21;      // of all traces' sequences, two bits each
  static constexpr std::size_t kDifferentBits = 1u << 17;  // tells a judged trace's sequences apart
  static constexpr std::size_t kNeighbours = 40;           // whose windows count
  static constexpr std::size_t kClosest = 15;              // of them, whose sequences count
  static constexpr std::size_t kPeers = 10;                // of them, whose own statistics are compared with
  static constexpr std::size_t kNobody = ~std::size_t{0};

  enum Kind : std::uint8_t { kCalls, kPairs, kKinds };  // what a window is a mixture of

  using Raw = std::array<float, kStatistics>;
  // A mixture: the square root of each share that is not zero. Two mixtures'
  // overlap is the sum of products; 1 - overlap is the squared Hellinger distance.
  struct Part {
    std::uint16_t bin;
    std::uint16_t weight;  // 0..1 in 65,535 steps
  };
  struct Mixture {
    std::uint32_t first = 0;  // in parts_
    std::uint32_t count = 0;
  };
  struct Trace {
    Mixture pairs;
    Mixture grams;  // runs of three calls, weighed by rarity, of length 1
    std::array<std::uint64_t, kSequenceBits / 64> made{};
    Raw usual{};  // its statistics, judged by a model without it
    std::uint32_t joined = 0;
  };
  struct Bank {
    std::vector<Mixture> windows;
    std::vector<std::uint64_t> owners;  // owner_words() per window, a bit per trace that has one like it
  };

  explicit SequenceModel(const Limits& limits);
  std::size_t Learn(Calls calls, Scratch& scratch);  // returns the trace it is kept as
  void LearnWindows(Kind kind, Calls calls, std::size_t trace, Scratch& scratch);
  void Settle();  // after the last trace: rarity is known
  Mixture Keep(const Scratch& scratch);
  float Overlap(const Mixture& mixture, const Scratch& scratch) const;
  void FindNeighbours(Calls calls, std::size_t self, Scratch& scratch) const;
  Raw Measure(Calls calls, Scratch& scratch) const;  // beside the neighbours found
  float StrangestWindows(Kind kind, Calls calls, Scratch& scratch) const;
  void CountSequences(Calls calls, Scratch& scratch, Raw& raw) const;
  float NearestDistance(Calls calls, Scratch& scratch) const;
  float Rarity(std::size_t gram) const;
  Raw Relative(const Raw& raw, const Scratch& scratch) const;
  float Evidence(float relative, std::size_t statistic) const;
  std::size_t owner_words() const { return (limits_.traces + 63) / 64; }

  Limits limits_;
  std::vector<Part> parts_;
  std::vector<Trace> traces_;
  std::array<Bank, kKinds> banks_;
  std::vector<std::uint64_t> known_;
  std::vector<std::uint32_t> in_traces_;  // how many traces made a run of three calls
  std::uint32_t learnt_ = 0;              // traces
  Raw spread_{};                          // standard deviation of each statistic over the learnt
  // Relative statistics of the learnt, ascending, at most kMostHistory evenly
  // chosen, and the mean excess of their top tenth.
  static constexpr std::size_t kMostHistory = 4096;
  std::array<std::vector<float>, kStatistics> history_;
  Raw tail_{};
};

class SequenceModel::Scratch {
 public:
  explicit Scratch(const SequenceModel& model);

 private:
  friend class SequenceModel;
  struct Near {
    float distance;
    std::uint32_t trace;
  };
  void Count(std::uint32_t bin);
  void TakeRoots();  // counts become square roots of shares
  void Clear();

  std::vector<float> weights_;  // by bin; zero but for those touched
  std::vector<std::uint16_t> touched_;
  std::size_t touched_count_ = 0;
  std::vector<Near> near_;  // all traces, the neighbours first
  std::size_t neighbours_ = 0;
  std::vector<std::uint64_t> near_bits_;
  std::array<std::uint64_t, kSequenceBits / 64> made_{};  // by the closest neighbours
  std::vector<std::uint64_t> different_;
  std::vector<float> distances_;  // of a trace's windows
};

}  // namespace whorl
