#pragma once

#include <array>
#include <cstdint>

#include "operator/bpf/syscalls.h"

namespace whorl {

// Class (whorl_syscall_class) of every x86-64 system call number.
std::array<std::uint8_t, WHORL_SYSCALL_NUMBERS> SyscallClasses();

}  // namespace whorl
