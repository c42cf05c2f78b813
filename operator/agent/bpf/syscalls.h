#ifndef WHORL_OPERATOR_AGENT_BPF_SYSCALLS_H_
#define WHORL_OPERATOR_AGENT_BPF_SYSCALLS_H_

/* Shared by syscalls.bpf.c and sense/syscalls.cc: plain C, so that
 * both compilers lay it out alike. */

#define WHORL_SYSCALL_NUMBERS 512 /* above: counted as kWhorlSyscallOther */

enum whorl_syscall_class {
  kWhorlSyscallOther = 0,
  kWhorlSyscallVcpu = 1,
  kWhorlSyscallWait = 2,
  kWhorlSyscallIo = 3,
};
#define WHORL_SYSCALL_CLASSES 4

/* One per slot and CPU. */
struct whorl_syscall_counts {
  unsigned long long by_class[WHORL_SYSCALL_CLASSES];
};

#ifdef __cplusplus
#include <cstddef>
static_assert(sizeof(whorl_syscall_counts) == 32, "the kernel side counts in 4 x 64 bits");
static_assert(offsetof(whorl_syscall_counts, by_class) == 0, "no padding in front");
#else
_Static_assert(sizeof(struct whorl_syscall_counts) == 32, "user space reads 4 x 64 bits");
_Static_assert(__builtin_offsetof(struct whorl_syscall_counts, by_class) == 0, "no padding in front");
#endif

#endif /* WHORL_OPERATOR_AGENT_BPF_SYSCALLS_H_ */
