#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/base/time.h"
#include "tests/bench/eval/vocabulary.h"

namespace whorl::eval {

// How well an evidence (larger = more anomalous, any scale) orders labelled
// rows. No threshold is chosen and no point is adjusted. Rows with equal
// evidence are one step, so that an order by accident earns nothing; a row
// without evidence (NaN) ranks below all others: what was not scored was not
// found. All return NaN when the labels are all the same.

// Average precision, the step-wise area under precision over recall.
double AucPr(std::span<const float> evidence, std::span<const std::uint8_t> label);
// The probability that an anomalous row outranks a normal one, ties counting half.
double AucRoc(std::span<const float> evidence, std::span<const std::uint8_t> label);

// Volume under the range-PR surface (Paparrizos et al., VLDB 2022) as the
// TSB-AD benchmark computes it: labels get a buffer of w/2 rows on either side
// that falls off as sqrt(1 - distance/w), w = 0..longest; precision and recall
// at 250 evenly spaced ranks; recall is damped by the share of anomalies
// touched at all; the mean of the areas over w.
double VusPr(std::span<const float> evidence, std::span<const std::uint8_t> label, std::size_t longest);

// The `longest` TSB-AD would use: the lag (3..300 rows) of the highest local
// maximum of the autocorrelation of `values`, 125 where there is none. NaNs
// count as the mean.
std::size_t DominantPeriod(std::span<const float> values);

// One alarm, half open rows; `end` is where it closed or the series ended.
struct Alarm {
  std::size_t begin = 0;
  std::size_t end = 0;
};

struct EventScore {
  std::size_t events = 0;
  std::size_t found = 0;           // an alarm was up in at least one of its rows
  std::size_t opened_inside = 0;   // an alarm opened in one of its rows
  std::size_t false_alarms = 0;    // touch no event
  double days = 0;                 // evaluated
  double alarm_share = 0;          // of the evaluated rows with an alarm up
  std::vector<double> delays_s{};  // of the found: from the event's first row to the first row with an alarm
};

// Events and alarms that end before `from` are not looked at; an alarm open
// since before counts from `from`. `events` in order.
EventScore ScoreEvents(std::span<const Alarm> alarms, std::span<const Segment> events, std::span<const std::int64_t> at,
                       Millis interval, std::size_t from);

// The share of `truth` (ascending or not, no repeats) among the first k of
// `named`, out of the most that k could name.
double RecallAtK(std::span<const std::int16_t> named, std::span<const std::uint16_t> truth, std::size_t k);

// Linear between order statistics, q in 0..1; NaN for none.
double Quantile(std::vector<double> values, double q);
// NaNs left out; NaN for none.
double Mean(std::span<const double> values);

}  // namespace whorl::eval
