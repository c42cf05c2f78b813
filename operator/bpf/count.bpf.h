#ifndef WHORL_OPERATOR_BPF_COUNT_BPF_H_
#define WHORL_OPERATOR_BPF_COUNT_BPF_H_

/* How one system call is counted, alike on the host and inside a guest. */

#include "operator/bpf/syscalls.h"

/* Set before loading. */
const volatile __u8 class_of[WHORL_SYSCALL_NUMBERS] = {};
/* Raised by user space at the start of every window: what a thread did in an
 * earlier one, or who had its number then, says nothing now. */
volatile __u32 window = 0;

/* Lives and ends with the thread, so its number may be given to another one.
 * Only threads that are counted, or whose verdict is not to be, have one. */
struct {
  __uint(type, BPF_MAP_TYPE_TASK_STORAGE);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, int);
  __type(value, struct whorl_thread);
} threads SEC(".maps");

static __always_inline void whorl_count(struct whorl_syscall_counts* mine, struct whorl_thread* thread, __u64 call) {
  __u64 number = whorl_sketch_number(call);
  mine->by_class[class_of[number] & (WHORL_SYSCALL_CLASSES - 1)] += 1;
  if (thread->seen < 2) {
    thread->seen += 1;
  } else {
    mine->sketch[whorl_sketch_bucket(thread->pair, number) & (WHORL_SKETCH_BUCKETS - 1)] += 1;
  }
  thread->pair = whorl_sketch_next(thread->pair, number);
}

#endif /* WHORL_OPERATOR_BPF_COUNT_BPF_H_ */
