#ifndef WHORL_OPERATOR_BPF_SYSCALLS_H_
#define WHORL_OPERATOR_BPF_SYSCALLS_H_

/* Shared by the BPF programs and those that read their maps: plain C, so that
 * both compilers lay it out alike. */

#include "core/telemetry/sketch.h"

#define WHORL_SYSCALL_NUMBERS WHORL_SKETCH_NUMBERS /* above: counted as kWhorlSyscallOther */

enum whorl_syscall_class {
  kWhorlSyscallOther = 0,
  kWhorlSyscallDevice = 1, /* ioctl: for a VMM, running its vCPUs */
  kWhorlSyscallWait = 2,
  kWhorlSyscallIo = 3,
  kWhorlSyscallMemory = 4,
  kWhorlSyscallProcess = 5,
  kWhorlSyscallFile = 6,
  kWhorlSyscallNetwork = 7,
};
#define WHORL_SYSCALL_CLASSES 8

/* One per slot and CPU. Both wrap; differences are taken modulo their width. */
struct whorl_syscall_counts {
  unsigned long long by_class[WHORL_SYSCALL_CLASSES];
  unsigned int sketch[WHORL_SKETCH_BUCKETS];
};

/* What is remembered of one thread. */
struct whorl_thread {
  unsigned int window; /* the counting window it was last seen in */
  unsigned int pair;   /* its last two calls, whorl_sketch_pair */
  unsigned short seen; /* calls of this window so far, at most 2 */
  unsigned short counted;
};

enum whorl_exit_class {
  kWhorlExitOther = 0,
  kWhorlExitHalt = 1,
  kWhorlExitIo = 2,
  kWhorlExitMemory = 3,
  kWhorlExitInterrupt = 4,
  kWhorlExitMsr = 5,
};
#define WHORL_EXIT_CLASSES 6

/* One per slot and CPU. */
struct whorl_exit_counts {
  unsigned long long by_class[WHORL_EXIT_CLASSES];
};

#ifdef __cplusplus
#include <cstddef>
static_assert(sizeof(whorl_syscall_counts) == 64 + 1024, "the kernel side counts in 8 x 64 and 256 x 32 bits");
static_assert(offsetof(whorl_syscall_counts, sketch) == 64, "no padding between");
static_assert(sizeof(whorl_thread) == 12, "no padding");
static_assert(sizeof(whorl_exit_counts) == 48, "the kernel side counts in 6 x 64 bits");
#else
_Static_assert(sizeof(struct whorl_syscall_counts) == 64 + 1024, "user space reads 8 x 64 and 256 x 32 bits");
_Static_assert(__builtin_offsetof(struct whorl_syscall_counts, sketch) == 64, "no padding between");
_Static_assert(sizeof(struct whorl_thread) == 12, "no padding");
_Static_assert(sizeof(struct whorl_exit_counts) == 48, "user space reads 6 x 64 bits");
#endif

#endif /* WHORL_OPERATOR_BPF_SYSCALLS_H_ */
