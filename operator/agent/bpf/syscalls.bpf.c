// Counts the system calls of watched QEMUs by class. The guest's own system
// calls never reach the host: what is counted is what the VMM asks of it.

// clang-format off: vmlinux_min.h brings the types the libbpf headers use.
#include "operator/agent/bpf/vmlinux_min.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
// clang-format on

#include "operator/agent/bpf/syscalls.h"

// Set before loading; the verifier drops the branch not taken.
const volatile __u8 use_cgroup_v2 = 0;
const volatile __u8 class_of[WHORL_SYSCALL_NUMBERS] = {};

// cgroup id -> slot. User space decides who is watched.
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 512);
  __type(key, __u64);
  __type(value, __u32);
} slots SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 256);
  __type(key, __u32);
  __type(value, struct whorl_syscall_counts);
} counts SEC(".maps");

static __u64 memory_cgroup_id(struct task_struct *task) {
  // Never relocated to 0: without a memory controller the program is not loaded.
  const int memory = bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id);
  struct cgroup_subsys_state *css = 0;
  struct css_set *set = BPF_CORE_READ(task, cgroups);
  if (bpf_core_read(&css, sizeof(css), &set->subsys[memory])) return 0;
  return BPF_CORE_READ(css, cgroup, kn, id);
}

SEC("raw_tp/sys_enter")
int count_sys_enter(struct bpf_raw_tracepoint_args *ctx) {
  struct task_struct *task = (struct task_struct *)bpf_get_current_task();
  // On a v1 or hybrid node every task sits in the root of the v2 tree.
  __u64 cgroup = use_cgroup_v2 ? bpf_get_current_cgroup_id() : memory_cgroup_id(task);
  __u32 *slot = bpf_map_lookup_elem(&slots, &cgroup);
  if (!slot) return 0;

  // virt-launcher and libvirtd share the container with QEMU; the leader's name
  // tells them apart, thread names do not.
  char name[8] = {};
  struct task_struct *leader = BPF_CORE_READ(task, group_leader);
  bpf_core_read(name, sizeof(name), &leader->comm);
  if (name[0] != 'q' || name[1] != 'e' || name[2] != 'm' || name[3] != 'u') return 0;

  struct whorl_syscall_counts *mine = bpf_map_lookup_elem(&counts, slot);
  if (!mine) return 0;
  __u64 number = ctx->args[1];
  __u8 class = kWhorlSyscallOther;
  if (number < WHORL_SYSCALL_NUMBERS) class = class_of[number];
  if (class < WHORL_SYSCALL_CLASSES) mine->by_class[class] += 1;
  return 0;
}

char gpl[] SEC("license") = "GPL";
