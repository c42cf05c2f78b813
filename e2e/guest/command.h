// The lines that the host sends to a guest over virtio-serial.
//
//   [id=N] status
//   [id=N] BEHAVIOUR [level=1..100] [seed=N] [for=SECONDS] [day=SECONDS]
//
// Plain values; anybody may use them.
#ifndef WHORL_E2E_GUEST_COMMAND_H_
#define WHORL_E2E_GUEST_COMMAND_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace whorl::guest {

// What a behaviour is told. `level` is its strength in percent, `day` the length
// of its fast day in seconds (0: no daily shape), `seconds` how long it lasts
// before the guest goes back to idle (0: until told otherwise).
struct Settings {
  int level = 100;
  std::uint64_t seed = 1;
  int seconds = 0;
  int day = 0;
};

struct Command {
  std::optional<std::int64_t> id;  // repeated in the answer
  std::string verb;                // "status" or a behaviour's name
  Settings settings;
};

// Either a command or why the line is none; never both.
struct Parsed {
  std::optional<Command> command;
  std::optional<std::int64_t> id;
  std::string error;
};

inline constexpr std::size_t kMaxLine = 256;

Parsed ParseCommand(std::string_view line);

}  // namespace whorl::guest

#endif  // WHORL_E2E_GUEST_COMMAND_H_
