#include <array>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "core/baseline/baseline.h"

namespace whorl {
namespace {

// Layout: magic, version, feature count, fields in order, CRC-32 of all before
// it. Little endian, as every machine Whorl runs on.
constexpr std::array<char, 4> kMagic{'W', 'H', 'B', 'L'};
constexpr std::uint32_t kVersion = 2;

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
  bool complete() const { return !short_ && in_.empty(); }

 private:
  std::string_view in_;
  bool short_ = false;
};

// The one list of fields, so that what is written is what is read.
template <typename Visitor, typename B>
void Visit(Visitor& visit, B& b) {
  visit(b.scaling.center.group);
  visit(b.scaling.spread_squared.group);
  visit(b.scaling.count.group);
  visit(b.covariance.row);
  visit(b.whitening.column);
  visit(b.whitening.variance.group);
  visit(b.whitening.leading);
  for (auto& c : b.scorer.detector) {
    visit(c);
  }
  visit(b.scorer.mean);
  visit(b.scorer.runs);
  visit(b.scorer.smooth);
  visit(b.scorer.run);
  visit(b.samples);
  visit(b.next_refresh);
  visit(b.learnt_ms);
  visit(b.interval_ms);
}

bool Within(float x, float lo, float hi) { return x >= lo && x <= hi; }  // false for NaN
bool AllWithin(const Features& v, float lo, float hi) {
  for (std::size_t f = 0; f < kFeatureCount; ++f) {
    if (!Within(v[f], lo, hi)) return false;
  }
  return true;
}

bool Sane(const Calibration& c) {
  double sum = 0;
  for (const float bin : c.bins()) {
    if (!Within(bin, 0, 1e9f)) return false;
    sum += static_cast<double>(bin);
  }
  if (!Within(c.increment(), 0.9f, 2e4f) || !Within(c.total(), 0, 1e9f)) return false;
  return std::abs(sum - static_cast<double>(c.total())) <= 0.01 * (1.0 + sum);
}

// A checksum only says that the blob is what somebody wrote.
bool Sane(const Baseline& b) {
  constexpr float kMany = 1e6f;
  if (!AllWithin(b.scaling.center, -1, 120) || !AllWithin(b.scaling.spread_squared, 0, 1e4f) ||
      !AllWithin(b.scaling.count, 0, kMany)) {
    return false;
  }
  for (const Float8& v : b.covariance.row) {
    for (std::size_t i = 0; i < kLanes; ++i) {
      if (!Within(v[i], -100, 100)) return false;
    }
  }
  if (b.whitening.leading > kMaxLeading) return false;
  if (b.whitening.ready()) {
    if (!AllWithin(b.whitening.variance, 1e-3f, 1e4f)) return false;
    for (const auto& column : b.whitening.column) {
      for (std::size_t g = 0; g < kGroups; ++g) {
        const Float8 part = FromHalf(column + g * kLanes);
        for (std::size_t i = 0; i < kLanes; ++i) {
          if (!Within(part[i], -100, 100)) return false;
        }
      }
    }
  }
  for (const Calibration& c : b.scorer.detector) {
    if (!Sane(c)) return false;
  }
  return Sane(b.scorer.mean) && Sane(b.scorer.runs) && Within(b.scorer.run, 0, 40) &&
         Within(b.scorer.smooth, 0, Calibration::kMostEvidence) && b.learnt_ms >= 0 &&
         b.learnt_ms < std::int64_t{1} << 50 && Within(b.interval_ms, 0, 1e9f) && b.samples < 1u << 31 &&
         b.next_refresh <= b.samples + b.samples / 2 + 2 * kRefreshEvery;
}

}  // namespace

std::string Save(const Baseline& baseline) {
  Writer write;
  write.out.reserve(sizeof(Baseline) + 64);
  write(kMagic);
  write(kVersion);
  write(static_cast<std::uint32_t>(kFeatureCount));
  Visit(write, baseline);
  write(static_cast<std::uint8_t>(baseline.learnt));
  write(Crc(write.out));
  return std::move(write.out);
}

Status Load(std::string_view blob, Baseline& baseline) {
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
  std::uint8_t learnt = 0;
  Reader read(body.substr(kHeader));
  Visit(read, loaded);
  read(learnt);
  if (!read.complete() || learnt > 1 || !Sane(loaded)) {
    return Fail(Code::kCorrupt, "baseline: holds impossible values; the VM learns anew");
  }
  loaded.learnt = learnt == 1;
  loaded.scorer.started = true;
  baseline = loaded;
  return {};
}

}  // namespace whorl
