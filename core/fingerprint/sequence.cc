#include "core/fingerprint/sequence.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "core/fingerprint/lanes.h"

namespace whorl {
namespace {

constexpr std::size_t kWindow = 40;  // calls
constexpr std::size_t kStep = kWindow / 2;
constexpr std::size_t kSequence = 5;  // calls
constexpr std::size_t kFolds = 5;
constexpr float kSteps = 65'535.0f;
constexpr float kOftenSteps = 4096.0f;  // 1 + ln of a count, up to 16, in 16 bits
// Windows nearer than this are one: a program repeats itself.
constexpr float kSameWindow = 0.03f;
// Of the spread over all traces, added to that of the neighbours: a few
// neighbours that agree exactly do not make the next one strange.
constexpr float kSpreadPart = 0.3f;
constexpr float kTailPart = 0.1f;
constexpr float kPerLn = 0.4342944819f;  // 1 / ln 10

std::uint64_t Mix(std::uint64_t x) {
  x *= 0x9e3779b97f4a7c15u;
  return x ^ x >> 32;
}

// Ordinary call numbers keep bins of their own; beyond them any 32 bits share.
std::uint32_t CallBin(std::uint32_t call, std::size_t bins) {
  return call < bins ? call : static_cast<std::uint32_t>(Mix(call) % bins);
}
// A run of calls, oldest first.
std::uint64_t Gram(SequenceModel::Calls calls) {
  std::uint64_t hash = 0;
  for (const std::uint32_t call : calls) hash = Mix(hash ^ call);
  return hash;
}

bool TestBit(std::span<const std::uint64_t> bits, std::uint64_t hash) {
  const std::uint64_t bit = hash % (bits.size() * 64);
  return (bits[bit / 64] >> bit % 64 & 1) != 0;
}
void SetBit(std::span<std::uint64_t> bits, std::uint64_t hash) {
  const std::uint64_t bit = hash % (bits.size() * 64);
  bits[bit / 64] |= std::uint64_t{1} << bit % 64;
}

// Calls each(hash) for every run of `length` calls; the whole trace where it is shorter.
template <typename Each>
void ForEachGram(SequenceModel::Calls calls, std::size_t length, Each each) {
  length = std::min(length, calls.size());
  for (std::size_t i = 0; i + length <= calls.size(); ++i) each(Gram(calls.subspan(i, length)));
}

// The beginnings of windows that cover all of `calls`, each kWindow long but for a shorter trace's only one.
template <typename Each>
void ForEachWindow(SequenceModel::Calls calls, Each each) {
  if (calls.size() <= kWindow) return each(calls);
  std::size_t begin = 0;
  for (; begin + kWindow <= calls.size(); begin += kStep) each(calls.subspan(begin, kWindow));
  if (begin - kStep + kWindow < calls.size()) each(calls.last(kWindow));
}

// Calls count(bin) for each call of the window, or each pair of calls.
template <typename Count>
void CountWindow(bool pairs, SequenceModel::Calls window, std::size_t bins, Count count) {
  if (pairs) {
    ForEachGram(window, 2, [&](std::uint64_t hash) { count(static_cast<std::uint32_t>(hash % bins)); });
  } else {
    for (const std::uint32_t call : window) count(CallBin(call, bins));
  }
}

}  // namespace

SequenceModel::SequenceModel(const Limits& limits) : limits_(limits), known_(kKnownBits / 64), in_traces_(kGramBins) {}

SequenceModel::Scratch::Scratch(const SequenceModel& model)
    : weights_(kGramBins, 0.0f),
      touched_(kGramBins),
      near_(model.limits_.traces),
      near_bits_(model.owner_words()),
      different_(kDifferentBits / 64),
      distances_(kLongest / kStep + 2) {}

void SequenceModel::Scratch::Count(std::uint32_t bin) {
  if (weights_[bin] == 0) touched_[touched_count_++] = static_cast<std::uint16_t>(bin);
  weights_[bin] += 1;
}

void SequenceModel::Scratch::TakeRoots() {
  float total = 0;
  for (std::size_t i = 0; i < touched_count_; ++i) total += weights_[touched_[i]];
  for (std::size_t i = 0; i < touched_count_; ++i) {
    float& weight = weights_[touched_[i]];
    weight = std::sqrt(weight / total);
  }
}

void SequenceModel::Scratch::Clear() {
  for (std::size_t i = 0; i < touched_count_; ++i) weights_[touched_[i]] = 0;
  touched_count_ = 0;
}

SequenceModel::Mixture SequenceModel::Keep(const Scratch& scratch) {
  const Mixture kept{static_cast<std::uint32_t>(parts_.size()), static_cast<std::uint32_t>(scratch.touched_count_)};
  for (std::size_t i = 0; i < scratch.touched_count_; ++i) {
    const std::uint16_t bin = scratch.touched_[i];
    parts_.push_back({bin, static_cast<std::uint16_t>(scratch.weights_[bin] * kSteps + 0.5f)});
  }
  return kept;
}

float SequenceModel::Overlap(const Mixture& mixture, const Scratch& scratch) const {
  float overlap = 0;
  const Part* part = parts_.data() + mixture.first;
  for (std::uint32_t i = 0; i < mixture.count; ++i)
    overlap += static_cast<float>(part[i].weight) * scratch.weights_[part[i].bin];
  return overlap / kSteps;
}

std::size_t SequenceModel::Learn(Calls calls, Scratch& scratch) {
  ++learnt_;
  std::size_t place = traces_.size();
  if (place == limits_.traces) {
    FindNeighbours(calls, kNobody, scratch);
    place = scratch.near_[0].trace;
    ForEachGram(calls, 3, [&](std::uint64_t hash) { scratch.Count(static_cast<std::uint32_t>(hash % kGramBins)); });
  } else {
    Trace fresh;
    ForEachGram(calls, 2, [&](std::uint64_t hash) { scratch.Count(static_cast<std::uint32_t>(hash % kBins)); });
    scratch.TakeRoots();
    fresh.pairs = Keep(scratch);
    scratch.Clear();
    ForEachGram(calls, 3, [&](std::uint64_t hash) { scratch.Count(static_cast<std::uint32_t>(hash % kGramBins)); });
    fresh.grams = {static_cast<std::uint32_t>(parts_.size()), static_cast<std::uint32_t>(scratch.touched_count_)};
    for (std::size_t i = 0; i < scratch.touched_count_; ++i) {
      const std::uint16_t bin = scratch.touched_[i];
      const float often = (1 + Log(scratch.weights_[bin])) * kOftenSteps;
      parts_.push_back({bin, static_cast<std::uint16_t>(std::min(often, kSteps))});  // until Settle
    }
    traces_.push_back(fresh);
  }
  for (std::size_t i = 0; i < scratch.touched_count_; ++i) ++in_traces_[scratch.touched_[i]];
  scratch.Clear();
  ForEachGram(calls, kSequence, [&](std::uint64_t hash) {
    SetBit(traces_[place].made, hash);
    SetBit(known_, hash);
    SetBit(known_, Mix(hash));
  });
  for (const Kind kind : {kCalls, kPairs}) LearnWindows(kind, calls, place, scratch);
  return place;
}

void SequenceModel::LearnWindows(Kind kind, Calls calls, std::size_t trace, Scratch& scratch) {
  Bank& bank = banks_[kind];
  std::size_t nearest = 0;  // programs repeat themselves: the last one is tried first
  ForEachWindow(calls, [&](Calls window) {
    CountWindow(kind == kPairs, window, kBins, [&](std::uint32_t bin) { scratch.Count(bin); });
    scratch.TakeRoots();
    float most = bank.windows.empty() ? -1 : Overlap(bank.windows[nearest], scratch);
    for (std::size_t w = 0; w < bank.windows.size() && most < 1 - kSameWindow; ++w) {
      const float overlap = Overlap(bank.windows[w], scratch);
      if (overlap > most) {
        most = overlap;
        nearest = w;
      }
    }
    if (most < 1 - kSameWindow && bank.windows.size() < limits_.windows) {
      nearest = bank.windows.size();
      bank.windows.push_back(Keep(scratch));
      bank.owners.resize(bank.owners.size() + owner_words(), 0);
    }
    bank.owners[nearest * owner_words() + trace / 64] |= std::uint64_t{1} << trace % 64;
    scratch.Clear();
  });
}

// ln of how few traces made it; 0 for what all make.
float SequenceModel::Rarity(std::size_t gram) const {
  return Log(static_cast<float>(learnt_ + 1) / static_cast<float>(in_traces_[gram] + 1));
}

void SequenceModel::Settle() {
  for (const Trace& trace : traces_) {
    const std::span<Part> grams = std::span(parts_).subspan(trace.grams.first, trace.grams.count);
    float squares = 0;
    for (const Part& gram : grams) {
      const float weight = static_cast<float>(gram.weight) / kOftenSteps * Rarity(gram.bin);
      squares += weight * weight;
    }
    const float length = std::sqrt(squares) + 1e-9f;
    for (Part& gram : grams) {
      const float weight = static_cast<float>(gram.weight) / kOftenSteps * Rarity(gram.bin);
      gram.weight = static_cast<std::uint16_t>(weight / length * kSteps + 0.5f);
    }
  }
}

void SequenceModel::FindNeighbours(Calls calls, std::size_t self, Scratch& scratch) const {
  ForEachGram(calls, 2, [&](std::uint64_t hash) { scratch.Count(static_cast<std::uint32_t>(hash % kBins)); });
  scratch.TakeRoots();
  std::size_t count = 0;
  for (std::size_t t = 0; t < traces_.size(); ++t) {
    if (t == self) continue;
    scratch.near_[count++] = {1 - Overlap(traces_[t].pairs, scratch), static_cast<std::uint32_t>(t)};
  }
  scratch.Clear();
  scratch.neighbours_ = std::min(count, kNeighbours);
  const auto begin = scratch.near_.begin();
  std::partial_sort(begin, begin + static_cast<std::ptrdiff_t>(scratch.neighbours_),
                    begin + static_cast<std::ptrdiff_t>(count), [](const Scratch::Near& a, const Scratch::Near& b) {
                      return a.distance != b.distance ? a.distance < b.distance : a.trace < b.trace;
                    });
}

SequenceModel::Raw SequenceModel::Measure(Calls calls, Scratch& scratch) const {
  Raw raw{};
  raw[kWindows] = StrangestWindows(kCalls, calls, scratch);
  raw[kPairWindows] = StrangestWindows(kPairs, calls, scratch);
  CountSequences(calls, scratch, raw);
  raw[kNearest] = NearestDistance(calls, scratch);
  return raw;
}

float SequenceModel::StrangestWindows(Kind kind, Calls calls, Scratch& scratch) const {
  const Bank& bank = banks_[kind];
  std::fill(scratch.near_bits_.begin(), scratch.near_bits_.end(), 0);
  for (std::size_t n = 0; n < scratch.neighbours_; ++n) {
    const std::uint32_t trace = scratch.near_[n].trace;
    scratch.near_bits_[trace / 64] |= std::uint64_t{1} << trace % 64;
  }
  const auto of_a_neighbour = [&](std::size_t window) {
    const std::uint64_t* owners = bank.owners.data() + window * owner_words();
    for (std::size_t i = 0; i < owner_words(); ++i) {
      if ((owners[i] & scratch.near_bits_[i]) != 0) return true;
    }
    return false;
  };
  std::size_t count = 0;
  ForEachWindow(calls, [&](Calls window) {
    CountWindow(kind == kPairs, window, kBins, [&](std::uint32_t bin) { scratch.Count(bin); });
    scratch.TakeRoots();
    float most = 0;
    for (std::size_t w = 0; w < bank.windows.size(); ++w) {
      if (of_a_neighbour(w)) most = std::max(most, Overlap(bank.windows[w], scratch));
    }
    scratch.Clear();
    scratch.distances_[count++] = std::max(1 - most, 0.0f);
  });
  const std::size_t strangest = std::max<std::size_t>(1, count / 5);
  const auto begin = scratch.distances_.begin();
  std::partial_sort(begin, begin + static_cast<std::ptrdiff_t>(strangest), begin + static_cast<std::ptrdiff_t>(count),
                    std::greater<>());
  float sum = 0;
  for (std::size_t i = 0; i < strangest; ++i) sum += scratch.distances_[i];
  return sum / static_cast<float>(strangest);
}

void SequenceModel::CountSequences(Calls calls, Scratch& scratch, Raw& raw) const {
  scratch.made_.fill(0);
  for (std::size_t n = 0; n < std::min(scratch.neighbours_, kClosest); ++n) {
    const auto& made = traces_[scratch.near_[n].trace].made;
    for (std::size_t i = 0; i < made.size(); ++i) scratch.made_[i] |= made[i];
  }
  std::fill(scratch.different_.begin(), scratch.different_.end(), 0);
  float different = 0, foreign = 0, novel = 0;
  ForEachGram(calls, kSequence, [&](std::uint64_t hash) {
    if (TestBit(scratch.different_, hash)) return;
    SetBit(scratch.different_, hash);
    different += 1;
    foreign += TestBit(scratch.made_, hash) ? 0.0f : 1.0f;
    novel += TestBit(known_, hash) && TestBit(known_, Mix(hash)) ? 0.0f : 1.0f;
  });
  raw[kForeign] = foreign / different;
  raw[kNovel] = Log(1 + novel);
}

float SequenceModel::NearestDistance(Calls calls, Scratch& scratch) const {
  ForEachGram(calls, 3, [&](std::uint64_t hash) { scratch.Count(static_cast<std::uint32_t>(hash % kGramBins)); });
  float squares = 0;
  for (std::size_t i = 0; i < scratch.touched_count_; ++i) {
    float& weight = scratch.weights_[scratch.touched_[i]];
    weight = (1 + Log(weight)) * Rarity(scratch.touched_[i]);
    squares += weight * weight;
  }
  float most = 0;
  for (const Trace& trace : traces_) most = std::max(most, Overlap(trace.grams, scratch));
  scratch.Clear();
  return std::max(1 - most / (std::sqrt(squares) + 1e-9f), 0.0f);
}

SequenceModel::Raw SequenceModel::Relative(const Raw& raw, const Scratch& scratch) const {
  const std::size_t peers = std::min(scratch.neighbours_, kPeers);
  Raw relative{};
  for (std::size_t s = 0; s < kStatistics; ++s) {
    if (s == kNovel) {  // nobody made them: it does not matter beside whom
      relative[s] = raw[s];
      continue;
    }
    float sum = 0, squares = 0;
    for (std::size_t n = 0; n < peers; ++n) {
      const float usual = traces_[scratch.near_[n].trace].usual[s];
      sum += usual;
      squares += usual * usual;
    }
    const float mean = sum / static_cast<float>(peers);
    const float variance = std::max(squares / static_cast<float>(peers) - mean * mean, 0.0f);
    relative[s] = (raw[s] - mean) / (std::sqrt(variance) + kSpreadPart * spread_[s] + 1e-6f);
  }
  return relative;
}

// A conformal p-value among the learnt ones; beyond their top tenth, where ranks
// run out, an exponential tail of the same mean excess.
float SequenceModel::Evidence(float relative, std::size_t statistic) const {
  const std::vector<float>& history = history_[statistic];
  const auto n = static_cast<float>(history.size());
  const float edge = history[static_cast<std::size_t>((1 - kTailPart) * n)];
  if (relative > edge)
    return std::min(-Log10(kTailPart) + (relative - edge) / tail_[statistic] * kPerLn, kMostEvidence);
  const auto below = std::lower_bound(history.begin(), history.end(), relative) - history.begin();
  return -Log10((1 + n - static_cast<float>(below)) / (n + 1));
}

SequenceModel SequenceModel::Fit(std::span<const Calls> traces, const Limits& limits) {
  std::vector<Calls> usable;
  for (const Calls calls : traces) {
    if (calls.size() >= 2) usable.push_back(calls.first(std::min(calls.size(), kLongest)));
  }
  SequenceModel model(limits);
  Scratch scratch(model);
  std::vector<std::size_t> kept_as(usable.size());
  for (std::size_t i = 0; i < usable.size(); ++i) kept_as[i] = model.Learn(usable[i], scratch);
  model.Settle();
  if (usable.size() < kLeastTraces) return model;

  std::vector<Raw> raw(usable.size());
  for (std::size_t fold = 0; fold < kFolds; ++fold) {
    SequenceModel others(limits);
    for (std::size_t i = 0; i < usable.size(); ++i) {
      if (i % kFolds != fold) others.Learn(usable[i], scratch);
    }
    others.Settle();
    for (std::size_t i = fold; i < usable.size(); i += kFolds) {
      others.FindNeighbours(usable[i], kNobody, scratch);
      raw[i] = others.Measure(usable[i], scratch);
    }
  }

  Raw mean{};
  for (std::size_t i = 0; i < usable.size(); ++i) {
    Trace& trace = model.traces_[kept_as[i]];
    ++trace.joined;
    for (std::size_t s = 0; s < kStatistics; ++s) {
      trace.usual[s] += (raw[i][s] - trace.usual[s]) / static_cast<float>(trace.joined);
      mean[s] += raw[i][s] / static_cast<float>(usable.size());
    }
  }
  for (std::size_t s = 0; s < kStatistics; ++s) {
    float squares = 0;
    for (const Raw& one : raw) squares += (one[s] - mean[s]) * (one[s] - mean[s]);
    model.spread_[s] = std::sqrt(squares / static_cast<float>(usable.size()));
  }
  for (std::size_t i = 0; i < usable.size(); ++i) {
    model.FindNeighbours(usable[i], kept_as[i], scratch);
    if (scratch.neighbours_ == 0) continue;
    const Raw relative = model.Relative(raw[i], scratch);
    for (std::size_t s = 0; s < kStatistics; ++s) model.history_[s].push_back(relative[s]);
  }
  for (std::size_t s = 0; s < kStatistics; ++s) {
    auto& history = model.history_[s];
    if (history.empty()) continue;
    std::sort(history.begin(), history.end());
    if (history.size() > kMostHistory) {
      for (std::size_t i = 0; i < kMostHistory; ++i) history[i] = history[i * history.size() / kMostHistory];
      history.resize(kMostHistory);
    }
    const auto edge = static_cast<std::size_t>((1 - kTailPart) * static_cast<float>(history.size()));
    float excess = 0;
    for (std::size_t i = edge; i < history.size(); ++i) excess += history[i] - history[edge];
    model.tail_[s] = std::max(excess / static_cast<float>(history.size() - edge), 1e-3f);
  }
  return model;
}

SequenceModel::Verdict SequenceModel::Judge(Calls calls, Scratch& scratch) const {
  Verdict verdict;
  calls = calls.first(std::min(calls.size(), kLongest));
  if (calls.size() < 2 || history_[0].empty()) return verdict;
  FindNeighbours(calls, kNobody, scratch);
  verdict.raw = Measure(calls, scratch);
  const Raw relative = Relative(verdict.raw, scratch);
  for (std::size_t s = 0; s < kStatistics; ++s) {
    verdict.evidence[s] = Evidence(relative[s], s);
    verdict.fused += verdict.evidence[s] / static_cast<float>(kStatistics);
  }
  return verdict;
}

std::size_t SequenceModel::bytes() const {
  std::size_t bytes = parts_.size() * sizeof(Part) + traces_.size() * sizeof(Trace) +
                      known_.size() * sizeof(std::uint64_t) + in_traces_.size() * sizeof(std::uint32_t);
  for (const Bank& bank : banks_)
    bytes += bank.windows.size() * sizeof(Mixture) + bank.owners.size() * sizeof(std::uint64_t);
  for (const auto& history : history_) bytes += history.size() * sizeof(float);
  return bytes;
}

}  // namespace whorl
