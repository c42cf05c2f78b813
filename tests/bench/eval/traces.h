#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/base/time.h"
#include "operator/trace/vm_traces.h"
#include "tests/bench/eval/vocabulary.h"

namespace whorl::eval {

// The readers of ../shared/data's layouts. All refuse with kInvalid what they
// cannot read as a trace (a missing column, no rows, labels other than 0 and 1,
// times in another unit), and mask and count what is wrong only here and there.

// smd, asd: part (train, then test), t (number of the sample in its part),
// label (test only), then one column per metric.
Result<Series> ReadServerTrace(Table table, std::string name, std::string set, Millis interval);

// segments.csv: machine, start, end (rows of the test part), dims (1-based,
// ';' between). Adds what belongs to `series` to series.blamed.
Status AddBlamed(Table table, Series& series);

// nab: t (Unix s), value, label. train_rows is NAB's probation.
Result<Series> ReadNabTrace(Table table, std::string name);

// windows.csv: file, start, end (UTC, both inside). Replaces series.events.
Status AddNabWindows(Table table, Series& series);

// NAB scores nothing in the first 15 % of a file, at most 750 rows.
std::size_t NabProbation(std::size_t rows);

// Those of what VMs used are shared with kubectl whorl replay.
using trace::ReadAzureTrace;
using trace::ReadBitbrainsTrace;
using trace::ReadResourceTrace;

// The data sets of a folder laid out as ../shared/data/anomaly: for each of
// `sets` ("smd", "asd", "nab") that has a folder, its series by name. kNotFound
// when no file was found at all. A file that cannot be read is an error, with its name.
Result<std::vector<Series>> ReadAnomalyFolder(const std::filesystem::path& folder,
                                              const std::vector<std::string>& sets);
// Likewise as ../shared/data/vm_demand (azure*.csv*, bitbrains*.csv*).
Result<std::vector<Series>> ReadDemandFolder(const std::filesystem::path& folder);
// The tables of several resources beside them (bitbrains_rnd_*.csv*); none is no error.
Result<std::vector<Series>> ReadResourceFolder(const std::filesystem::path& folder);

}  // namespace whorl::eval
