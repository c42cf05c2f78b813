#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <memory>
#include <type_traits>

#include "core/baseline/baseline.h"

namespace whorl {
namespace {

// Layout: magic, version, feature count, fields in order, CRC-32 of all before
// it. Little endian, as every machine Whorl runs on.
constexpr std::array<char, 4> kMagic{'W', 'H', 'B', 'L'};
constexpr std::uint32_t kVersion = 5;

constexpr std::array<std::uint32_t, 256> CrcTable() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t c = i;
    for (int bit = 0; bit < 8; ++bit) c = (c & 1u) != 0 ? 0xedb88320u ^ (c >> 1) : c >> 1;
    table[i] = c;
  }
  return table;
}
constexpr auto kCrcTable = CrcTable();

std::uint32_t Crc(std::string_view bytes) {
  std::uint32_t c = 0xffffffffu;
  for (const char b : bytes) c = kCrcTable[(c ^ static_cast<unsigned char>(b)) & 0xffu] ^ (c >> 8);
  return ~c;
}

class Writer {
 public:
  template <typename T>
  void operator()(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    std::array<char, sizeof(T)> bytes{};
    std::memcpy(bytes.data(), &value, sizeof(T));
    out.append(bytes.data(), bytes.size());
  }
  void operator()(const bool& value) { (*this)(static_cast<std::uint8_t>(value)); }
  std::string out;
};

class Reader {
 public:
  explicit Reader(std::string_view in) : in_(in) {}
  template <typename T>
  void operator()(T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    if (in_.size() < sizeof(T)) {
      short_ = true;
      in_ = {};
      return;
    }
    std::memcpy(&value, in_.data(), sizeof(T));
    in_.remove_prefix(sizeof(T));
  }
  // Not every byte is a bool.
  void operator()(bool& value) {
    std::uint8_t byte = 0;
    (*this)(byte);
    short_ |= byte > 1;
    value = byte == 1;
  }
  bool complete() const { return !short_ && in_.empty(); }

 private:
  std::string_view in_;
  bool short_ = false;
};

// The one list of fields, so that what is written is what is read.
template <typename Visitor, typename S>
void VisitScaling(Visitor& visit, S& s) {
  visit(s.center.group);
  visit(s.spread_squared.group);
  visit(s.count.group);
}
template <typename Visitor, typename B, typename M>
void Visit(Visitor& visit, B& b, M& m) {
  VisitScaling(visit, b.scaling);
  visit(b.season.group);
  visit(b.innovation.previous.group);
  visit(b.innovation.carry.group);
  visit(b.innovation.known);
  visit(b.held.group);
  visit(b.look.group);
  visit(b.age);
  visit(b.whitening.part);
  visit(b.whitening.scale.group);
  visit(b.whitening.leading);
  visit(b.slow.group);
  for (auto& c : b.scorer.detector) visit(c);
  visit(b.scorer.fused);
  visit(b.scorer.smooth);
  visit(b.scorer.last);
  visit(b.scorer.before);
  visit(b.scorer.evidence);
  visit(b.scorer.seen);
  visit(b.scorer.temper);
  visit(b.scorer.fused_now);
  visit(b.scorer.calibrated_now);
  visit(b.scorer.episode);
  visit(b.loda.bin);
  visit(b.loda.total);
  visit(b.one_class.landmark);
  visit(b.one_class.weight);
  visit(b.one_class.gamma);
  visit(b.one_class.offset);
  visit(b.one_class.trained_on);
  visit(b.forest.trees);
  visit(b.forest.grown);
  visit(b.forest.next);
  visit(b.log_mean);
  visit(b.log_square);
  visit(b.path);
  visit(b.covariance.row);
  visit(b.samples);
  visit(b.next_refresh);
  visit(b.learnt_ms);
  visit(b.interval_ms);
  visit(b.generous);

  visit(m.hours.sum.group);
  visit(m.hours.weight.group);
  visit(m.hours.hour);
  visit(m.hours.mean);
  visit(m.hours.visits);
  visit(m.sketch);
  visit(m.guest);
  visit(m.point);
  visit(m.kept);
  visit(m.offered);
  visit(m.trained_at);
  visit(m.grown_at);
  VisitScaling(visit, m.other);
  visit(m.has_other);
  visit(m.regime);
  visit(m.anchor.group);
  visit(m.day_sum.group);
  visit(m.day_count);
  visit(m.day);
  visit(m.anchor_day);
  visit(m.drift_told);
}

bool Within(float x, float lo, float hi) { return x >= lo && x <= hi; }  // false for NaN
bool AllWithin(const Features& v, float lo, float hi) {
  for (std::size_t f = 0; f < kFeatureCount; ++f) {
    if (!Within(v[f], lo, hi)) return false;
  }
  return true;
}
template <std::size_t N>
bool AllWithin(const std::array<float, N>& values, float lo, float hi) {
  return std::all_of(values.begin(), values.end(), [&](float x) { return Within(x, lo, hi); });
}

// Scaled readings: logarithms live, plain numbers in traces.
constexpr float kFar = 1e20f;
constexpr float kMany = 1e7f;

bool Sane(const Calibration& c) {
  double sum = 0;
  for (const float bin : c.bins()) {
    if (!Within(bin, 0, 1e9f)) return false;
    sum += static_cast<double>(bin);
  }
  if (!Within(c.increment(), 0.9f, 2e4f) || !Within(c.total(), 0, 1e9f)) return false;
  return std::abs(sum - static_cast<double>(c.total())) <= 0.01 * (1.0 + sum);
}

bool Sane(const Scaling& s) {
  return AllWithin(s.center, -kFar, kFar) && AllWithin(s.spread_squared, 0, kFar) && AllWithin(s.count, 0, kMany);
}

bool Sane(const Whitening& w) { return w.leading <= kMaxLeading && AllWithin(w.scale, 0, 1e3f); }

bool Sane(const Scorer& s) {
  return std::all_of(s.detector.begin(), s.detector.end(), [](const Calibration& c) { return Sane(c); }) &&
         Sane(s.fused) && AllWithin(s.smooth, 0, 1e6f) && AllWithin(s.last, 0, 1e6f) && AllWithin(s.before, 0, 1e6f) &&
         AllWithin(s.evidence, 0, Calibration::kMostEvidence) && Within(s.temper, 0.1f, 10) &&
         Within(s.fused_now, 0, Calibration::kMostEvidence) && Within(s.calibrated_now, 0, Calibration::kMostEvidence);
}

bool Sane(const OneClass& machine) {
  if (!machine.ready()) return true;
  return AllWithin(machine.weight, -1e6f, 1e6f) && Within(machine.gamma, 0, 1e6f) &&
         Within(machine.offset, 1e-9f, 1e6f);
}

bool Sane(const Forest& forest) {
  if (forest.grown > Forest::kTrees || forest.next >= Forest::kTrees) return false;
  for (const Forest::Tree& tree : forest.trees) {
    for (const std::uint8_t input : tree.input) {
      if (input >= kCondensedInputs) return false;
    }
  }
  return true;
}

bool Sane(const HourProfile& hours) {
  for (const auto& row : hours.mean) {
    for (std::size_t g = 0; g < kGroups; ++g) {
      const Float8 values = FromHalf(row.data() + g * kLanes);
      for (std::size_t i = 0; i < kLanes; ++i) {
        if (!std::isfinite(values[i])) return false;
      }
    }
  }
  return AllWithin(hours.sum, -kFar, kFar) && AllWithin(hours.weight, 0, kMany) && hours.hour >= -1;
}

bool Sane(const LongMemory& m) {
  return Sane(m.hours) && m.sketch.Plausible() && m.guest.Plausible() && m.kept <= LongMemory::kPoints &&
         Sane(m.other) && (m.regime == 1 || m.regime == 2) && AllWithin(m.anchor, -kFar, kFar) &&
         AllWithin(m.day_sum, -kFar, kFar) && Within(m.day_count, 0, kMany);
}

// A checksum only says that the blob is what somebody wrote.
bool Sane(const Baseline& b) {
  for (const Float8& v : b.covariance.row) {
    for (std::size_t i = 0; i < kLanes; ++i) {
      if (!Within(v[i], -100, 100)) return false;
    }
  }
  return Sane(b.scaling) && AllWithin(b.season, -kFar, kFar) && AllWithin(b.innovation.previous, -kClip, kClip) &&
         AllWithin(b.innovation.carry, -100, 100) && AllWithin(b.held, -kClip, kClip) &&
         AllWithin(b.look, -kClip, kClip) && Sane(b.whitening) && AllWithin(b.slow, -kClip, kClip) && Sane(b.scorer) &&
         Sane(b.one_class) && Sane(b.forest) && AllWithin(b.log_mean, -100, 100) && AllWithin(b.log_square, 0, 1e4f) &&
         Within(b.path, 0, 16) && b.learnt_ms >= 0 && b.learnt_ms < std::int64_t{1} << 50 &&
         Within(b.interval_ms, 0, 1e9f) && b.samples < 1u << 31 &&
         b.next_refresh <= b.samples + b.samples / 2 + 2 * kRefreshEvery;
}

}  // namespace

std::string Save(const Baseline& baseline, const LongMemory& memory) {
  Writer write;
  write.out.reserve(sizeof(Baseline) + sizeof(LongMemory) + 64);
  write(kMagic);
  write(kVersion);
  write(static_cast<std::uint32_t>(kFeatureCount));
  Visit(write, baseline, memory);
  write(static_cast<std::uint8_t>(baseline.learnt));
  write(Crc(write.out));
  return std::move(write.out);
}

Status Load(std::string_view blob, Baseline& baseline, LongMemory& memory) {
  constexpr std::size_t kHeader = sizeof(kMagic) + 2 * sizeof(std::uint32_t);
  std::uint32_t crc = 0;
  if (blob.size() < kHeader + sizeof(crc) || std::memcmp(blob.data(), kMagic.data(), kMagic.size()) != 0) {
    return Fail(Code::kCorrupt, "baseline: not a checkpoint of Whorl; the VM learns anew");
  }
  const std::string_view body = blob.substr(0, blob.size() - sizeof(crc));
  std::memcpy(&crc, blob.data() + body.size(), sizeof(crc));
  if (crc != Crc(body)) return Fail(Code::kCorrupt, "baseline: checksum does not match; the VM learns anew");

  std::uint32_t version = 0, features = 0;
  std::memcpy(&version, blob.data() + kMagic.size(), sizeof version);
  std::memcpy(&features, blob.data() + kMagic.size() + sizeof version, sizeof features);
  if (version != kVersion || features != kFeatureCount) {
    return Fail(Code::kUnsupported, "baseline: version " + std::to_string(version) + " with " +
                                        std::to_string(features) + " features, this program reads version " +
                                        std::to_string(kVersion) + " with " + std::to_string(kFeatureCount) +
                                        "; the VM learns anew");
  }
  Baseline loaded;
  auto remembered = std::make_unique<LongMemory>();
  std::uint8_t learnt = 0;
  Reader read(body.substr(kHeader));
  Visit(read, loaded, *remembered);
  read(learnt);
  if (!read.complete() || learnt > 1 || !Sane(loaded) || !Sane(*remembered)) {
    return Fail(Code::kCorrupt, "baseline: holds impossible values; the VM learns anew");
  }
  loaded.learnt = learnt == 1;
  baseline = loaded;
  memory = *remembered;
  return {};
}

}  // namespace whorl
