// What a guest can do: each behaviour does real work (computing, walking memory,
// writing to the disk, talking over the network) in small slices and says how
// long to rest after each. The random numbers come from the seed alone, so that
// the same command plays the same pattern again.
#ifndef WHORL_E2E_GUEST_BEHAVIOUR_H_
#define WHORL_E2E_GUEST_BEHAVIOUR_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "e2e/guest/command.h"

namespace whorl::guest {

// The outside of a guest: its disk, its network and its own files, all optional. Implemented
// over the kernel in main.cc and by a fake in the tests.
class Outside {
 public:
  virtual ~Outside() = default;
  virtual void WriteDisk(std::uint64_t offset, std::span<const std::byte> data) = 0;
  virtual void FlushDisk() = 0;
  virtual void ReadDisk(std::uint64_t offset, std::span<std::byte> data) = 0;
  virtual void Ping(std::size_t bytes) = 0;                    // the gateway answers with as much
  virtual void SendAway(std::span<const std::byte> data) = 0;  // nobody answers
  virtual void LookInto(std::uint64_t file) = 0;               // opens, examines, maps and closes one of its files
};

struct Slice {
  std::uint64_t iterations = 0;       // units of work done
  std::chrono::microseconds rest{0};  // how long to rest before the next slice
};

// Not thread-safe: belongs to the thread that steps it.
class Behaviour {
 public:
  virtual ~Behaviour() = default;
  // `load` in (0, 1]: the level, already shaped by the time of the fast day.
  virtual Slice Step(double load) = 0;
};

// A behaviour's name and the level and day length it has when none is given.
struct Usual {
  std::string_view name;
  int level;
  int day;
};

const Usual* FindBehaviour(std::string_view name);
std::string BehaviourNames();  // "idle, web, ..."
std::unique_ptr<Behaviour> MakeBehaviour(std::string_view name, std::uint64_t seed, Outside& outside);

// The load at `since` the start: level, times a day that swings between 20 and
// 100 % and starts in its middle.
double LoadAt(const Settings& settings, std::chrono::milliseconds since);

}  // namespace whorl::guest

#endif  // WHORL_E2E_GUEST_BEHAVIOUR_H_
