#pragma once

#include <chrono>
#include <cstdint>

namespace whorl {

using Millis = std::chrono::milliseconds;
using Seconds = std::chrono::seconds;

// A point in time as the sampling host saw it, Unix epoch, whole milliseconds.
using Time = std::chrono::sys_time<Millis>;

inline std::int64_t ToUnixMillis(Time t) { return t.time_since_epoch().count(); }
inline Time FromUnixMillis(std::int64_t ms) { return Time{Millis{ms}}; }

}  // namespace whorl
