#include "tests/bench/eval/injections.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <utility>
#include <vector>

#include "tests/bench/eval/metrics.h"

namespace whorl::eval {
namespace {

constexpr int kTries = 1000;
constexpr std::int64_t kDayMs = 86'400'000;
constexpr double kCalm = 2;

struct Spread {
  double usual = 0;
  double deviation = 0;
};

Spread SpreadOf(std::vector<double> values) {
  const double usual = Quantile(values, 0.5);
  double squares = 0;
  for (double& v : values) {
    v = std::abs(v - usual);
    squares += v * v;
  }
  const auto n = static_cast<double>(values.size());
  const double deviation = 1.4826 * Quantile(std::move(values), 0.5);
  // More than half of the values alike: the MAD is blind, the root mean square is not.
  return {usual, deviation > 0 ? deviation : std::sqrt(squares / n)};
}

double Most(const Series& series, std::size_t column) {
  return series.columns[column].ends_with("_pct") ? 100.0 : std::numeric_limits<double>::infinity();
}

std::vector<double> Column(const Series& series, std::size_t column, std::size_t begin, std::size_t end) {
  std::vector<double> values;
  for (std::size_t r = begin; r < end; ++r) values.push_back(static_cast<double>(series.Value(r, column)));
  return values;
}

// One column around one place: rows [place, place + length).
struct Site {
  const Series& series;
  std::size_t column;
  std::size_t place;
  std::size_t length;
  std::size_t day;  // rows of a day

  double At(std::size_t row) const { return static_cast<double>(series.Value(row, column)); }
  std::vector<double> DayBefore() const { return Column(series, column, place - day, place); }

  // The window and as much before it are no farther than kCalm deviations from `centre(row)`.
  template <typename Centre>
  bool CalmAround(Centre centre, double deviation) const {
    for (std::size_t r = place - length; r < place + length; ++r) {
      if (std::abs(At(r) - centre(r)) > kCalm * deviation) return false;
    }
    return true;
  }
};

using Values = std::optional<std::vector<double>>;  // of the window; nullopt: no place for this change

Values Runaway(const Site& site, const Spread& spread) {
  if (spread.usual <= 0) return std::nullopt;
  const double most = Most(site.series, site.column);
  std::vector<double> values;
  for (std::size_t r = site.place; r < site.place + site.length; ++r) {
    values.push_back(std::min(5 * std::max(site.At(r), spread.usual), most));
    if (values.back() < 2 * std::max(site.At(r), spread.usual)) return std::nullopt;
  }
  return values;
}

Values Stall(const Site& site, const Spread& spread) {
  if (spread.usual <= 0) return std::nullopt;
  const auto before = site.DayBefore();
  const auto low = std::count_if(before.begin(), before.end(), [&](double v) { return v < 0.05 * spread.usual; });
  if (static_cast<double>(low) > 0.05 * static_cast<double>(before.size())) return std::nullopt;
  return std::vector<double>(site.length, 0.01 * spread.usual);
}

Values LevelShift(const Site& site, const Spread& spread) {
  if (spread.deviation <= 0) return std::nullopt;
  const double most = Most(site.series, site.column);
  std::vector<double> values;
  for (std::size_t r = site.place; r < site.place + site.length; ++r) {
    values.push_back(std::min(site.At(r) + 3 * spread.deviation, most));
    if (values.back() < site.At(r) + 2.5 * spread.deviation) return std::nullopt;
  }
  return values;
}

// 0 at night to 1 in the middle of the series' own day.
double DayShape(const Series& series, std::size_t row) {
  constexpr double kTurn = 2 * std::numbers::pi;
  const auto of_day = static_cast<double>((series.at[row] - series.at[0]) % kDayMs) / static_cast<double>(kDayMs);
  return (1 - std::cos(kTurn * of_day)) / 2;
}

// A third at night, all of it at the peak: never more than was recorded.
constexpr double kNight = 1.0 / 3;
double DailyFactor(const Series& series, std::size_t row) { return kNight + (1 - kNight) * DayShape(series, row); }

void Scale(Series& series, std::size_t row, double factor) {
  for (std::size_t c = 0; c < series.columns.size(); ++c) {
    series.values[row * series.columns.size() + c] *= static_cast<float>(factor);
  }
}

Series WithDailyPattern(Series series) {
  for (std::size_t r = 0; r < series.rows(); ++r) Scale(series, r, DailyFactor(series, r));
  return series;
}

// The peak is a place to lose a column's pattern if what is lost stands out of the column's own noise.
bool CanLosePattern(const Site& site) {
  const Spread spread = SpreadOf(site.DayBefore());
  return (1 - kNight) * spread.usual >= 3 * spread.deviation && spread.usual > 0 &&
         site.CalmAround([&](std::size_t) { return spread.usual; }, spread.deviation);
}

// Rows follow each other at the interval and hold all values, a day before the
// place and through it.
bool Whole(const Series& series, std::size_t begin, std::size_t end) {
  for (std::size_t r = begin; r < end; ++r) {
    if (r > begin &&
        std::abs(series.at[r] - series.at[r - 1] - series.interval.count()) * 10 > series.interval.count()) {
      return false;
    }
    for (std::size_t c = 0; c < series.columns.size(); ++c) {
      if (std::isnan(series.Value(r, c))) return false;
    }
  }
  return true;
}

Values ValuesFor(Change change, const Site& site) {
  const Spread spread = SpreadOf(site.DayBefore());
  if (!site.CalmAround([&](std::size_t) { return spread.usual; }, spread.deviation)) return std::nullopt;
  switch (change) {
    case Change::kRunaway: return Runaway(site, spread);
    case Change::kStall: return Stall(site, spread);
    case Change::kLevelShift: return LevelShift(site, spread);
    case Change::kLostDaily: break;
  }
  return std::nullopt;
}

void Put(std::size_t column, std::size_t place, const std::vector<double>& values, Series& series) {
  for (std::size_t k = 0; k < values.size(); ++k) {
    series.values[(place + k) * series.columns.size() + column] = static_cast<float>(values[k]);
  }
}

// All columns change, or none.
std::optional<Series> ChangeAll(const Series& series, Change change, const Site& site) {
  std::vector<std::vector<double>> columns;
  for (std::size_t c = 0; c < series.columns.size(); ++c) {
    auto values = ValuesFor(change, {series, c, site.place, site.length, site.day});
    if (!values) return std::nullopt;
    columns.push_back(std::move(*values));
  }
  std::optional<Series> changed(series);
  for (std::size_t c = 0; c < columns.size(); ++c) Put(c, site.place, columns[c], *changed);
  return changed;
}

// All columns lose the pattern; at least one must be quiet enough to show it.
std::optional<Series> LosePattern(const Series& recorded, const Series& patterned, const Site& site) {
  if (DayShape(recorded, site.place) < 0.97 || DayShape(recorded, site.place + site.length - 1) < 0.97) {
    return std::nullopt;
  }
  bool shows = false;
  for (std::size_t c = 0; c < recorded.columns.size() && !shows; ++c) {
    shows = CanLosePattern({recorded, c, site.place, site.length, site.day});
  }
  if (!shows) return std::nullopt;
  std::optional<Series> changed(patterned);
  for (std::size_t r = site.place; r < site.place + site.length; ++r) {
    Scale(*changed, r, kNight / DailyFactor(recorded, r));
  }
  return changed;
}

}  // namespace

std::string_view ChangeName(Change change) {
  switch (change) {
    case Change::kRunaway: return "runaway";
    case Change::kStall: return "stall";
    case Change::kLevelShift: return "level_shift";
    case Change::kLostDaily: return "lost_daily";
  }
  return "unknown";
}

std::optional<Injected> Inject(const Series& series, Change change, std::size_t earliest, Random& random) {
  if (series.interval.count() <= 0) return std::nullopt;
  const auto length = static_cast<std::size_t>(std::max<std::int64_t>(1, kChangeMs / series.interval.count()));
  const auto day = static_cast<std::size_t>(kDayMs / series.interval.count());
  if (day < 2 * length) return std::nullopt;
  const std::size_t first = std::max(earliest, day);
  if (series.rows() < first + length + 1) return std::nullopt;
  const std::size_t before = change == Change::kLostDaily ? 3 * day : day;
  std::optional<Series> patterned;
  if (change == Change::kLostDaily) patterned = WithDailyPattern(series);
  for (int i = 0; i < kTries; ++i) {
    const std::size_t place = first + random.Below(series.rows() - length - first);
    if (place < before || !Whole(series, place - day, place + length)) continue;
    const Site site{series, 0, place, length, day};
    auto changed = patterned ? LosePattern(series, *patterned, site) : ChangeAll(series, change, site);
    if (changed) return Injected{std::move(*changed), std::move(patterned), place, place + length};
  }
  return std::nullopt;
}

}  // namespace whorl::eval
