#pragma once

#include <ctime>

// Time of this thread on a core, so that other work on the machine only shows
// where it competes for memory.
inline double CoreSeconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}
inline double SecondsSince(double start) { return CoreSeconds() - start; }
