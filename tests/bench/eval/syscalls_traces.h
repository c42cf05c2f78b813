#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "tests/bench/eval/vocabulary.h"

namespace whorl::eval {

// What one trace is for: some are learnt from, the others are judged.
enum class TraceSet : std::uint8_t { kTrain, kTestNormal, kTestAttack };

// System calls in the order they were made, one sequence per thread. A call is
// its number, or a hash of its name where the source gives names.
struct CallTrace {
  std::string name;
  std::string family;  // of the attack, or of the program
  TraceSet set = TraceSet::kTrain;
  std::vector<std::vector<std::uint32_t>> threads;
};

struct CallTraces {
  std::vector<CallTrace> traces;
  std::uint64_t rows_dropped = 0;    // without a single readable call, or an event without thread or name
  std::uint64_t len_mismatches = 0;  // column len says something else than calls; calls are believed
};

// Reads either layout, told apart by the header:
//   trace,set,family,attack,len,calls     one row per trace, calls = numbers 0..2^31-1, spaces between;
//                                         set = train_normal | valid_normal | attack
//   recording,split,dir,syscall,tid,...   one row per event, those with dir=entry are taken;
//                                         split = training, validation (learnt) | test_normal | test_attack
// kInvalid, with the line: a missing column, an unknown set or split, no trace at all.
Result<CallTraces> ReadCallTraces(Table table);

}  // namespace whorl::eval
