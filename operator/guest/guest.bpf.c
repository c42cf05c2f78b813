// Counts the system calls of this machine, a guest, by class, and sketches in
// which order its threads make them; those of whorl-guest itself left out.

// clang-format off: vmlinux_min.h brings the types the libbpf headers use.
#include "operator/bpf/vmlinux_min.h"
#include <bpf/bpf_helpers.h>
// clang-format on

#include "operator/bpf/count.bpf.h"

// Process id of whorl-guest; set before loading.
const volatile __u32 own = 0;

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct whorl_syscall_counts);
} counts SEC(".maps");

SEC("raw_tp/sys_enter")
int count_sys_enter(struct bpf_raw_tracepoint_args *ctx) {
  if (bpf_get_current_pid_tgid() >> 32 == own) return 0;
  struct task_struct *task = bpf_get_current_task_btf();
  struct whorl_thread *thread = bpf_task_storage_get(&threads, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
  if (!thread) return 0;
  if (thread->window != window) {
    struct whorl_thread fresh = {.window = window, .counted = 1};
    *thread = fresh;
  }
  __u32 only = 0;
  struct whorl_syscall_counts *mine = bpf_map_lookup_elem(&counts, &only);
  if (mine) whorl_count(mine, thread, ctx->args[1]);
  return 0;
}

char gpl[] SEC("license") = "GPL";
