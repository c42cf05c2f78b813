// Counts the system calls of watched QEMUs by class, and sketches in which order
// each of their threads makes them. The guest's own system calls never reach
// the host: what is counted is what the VMM asks of it.

// clang-format off: vmlinux_min.h brings the types the libbpf headers use.
#include "operator/bpf/vmlinux_min.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
// clang-format on

#include "operator/bpf/count.bpf.h"
#include "operator/bpf/watched.bpf.h"

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 256);
  __type(key, __u32);
  __type(value, struct whorl_syscall_counts);
} counts SEC(".maps");

// Only for `whorl-agent probe`: how many calls this machine makes at all.
const volatile __u8 count_everybody = 0;
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u64);
} everybody SEC(".maps");

SEC("raw_tp/sys_enter")
int count_sys_enter(struct bpf_raw_tracepoint_args *ctx) {
  if (count_everybody) {
    __u32 all = 0;
    __u64 *calls = bpf_map_lookup_elem(&everybody, &all);
    if (calls) *calls += 1;
  }
  struct task_struct *task = bpf_get_current_task_btf();
  __u32 *slot = slot_of(task);
  if (!slot) return 0;

  struct whorl_thread *thread = bpf_task_storage_get(&threads, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
  if (!thread) return 0;
  if (thread->window != window) {
    struct whorl_thread fresh = {.window = window, .counted = is_qemu(task) && !is_monitor(task)};
    *thread = fresh;
  }
  if (!thread->counted) return 0;

  struct whorl_syscall_counts *mine = bpf_map_lookup_elem(&counts, slot);
  if (mine) whorl_count(mine, thread, ctx->args[1]);
  return 0;
}

char gpl[] SEC("license") = "GPL";
