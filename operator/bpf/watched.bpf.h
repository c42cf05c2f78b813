#ifndef WHORL_OPERATOR_BPF_WATCHED_BPF_H_
#define WHORL_OPERATOR_BPF_WATCHED_BPF_H_

/* Which VM a task belongs to. */

/* Set before loading; the verifier drops the branch not taken. */
const volatile __u8 use_cgroup_v2 = 0;

/* cgroup id -> slot. User space decides who is watched. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 512);
  __type(key, __u64);
  __type(value, __u32);
} slots SEC(".maps");

static __always_inline __u64 memory_cgroup_id(struct task_struct* task) {
  /* Never relocated to 0: without a memory controller the program is not loaded. */
  const int memory = bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id);
  /* Plain loads, which the verifier lets through for a task it knows by type:
   * calls of a reading helper would be paid by every system call of the host. */
  return task->cgroups->subsys[memory]->cgroup->kn->id;
}

/* Null for a task that nobody watches. On a v1 or hybrid node every task sits
 * in the root of the v2 tree. */
static __always_inline __u32* slot_of(struct task_struct* task) {
  __u64 cgroup = use_cgroup_v2 ? bpf_get_current_cgroup_id() : memory_cgroup_id(task);
  return bpf_map_lookup_elem(&slots, &cgroup);
}

/* virt-launcher and libvirtd share the container with QEMU; the leader's name
 * tells them apart, thread names do not. */
static __always_inline __u32 is_qemu(struct task_struct* task) {
  char name[8] = {};
  struct task_struct* leader = BPF_CORE_READ(task, group_leader);
  bpf_core_read(name, sizeof(name), &leader->comm);
  return name[0] == 'q' && name[1] == 'e' && name[2] == 'm' && name[3] == 'u';
}

/* QEMU's monitor has a thread of its own under libvirt. It reads a question byte
 * by byte, a thousand calls each, of whoever asks (virt-handler, a scrape, we):
 * that says nothing about the VM. */
static __always_inline __u32 is_monitor(struct task_struct* task) {
  char name[8] = {};
  bpf_core_read(name, sizeof(name), &task->comm);
  return name[0] == 'I' && name[1] == 'O' && name[2] == ' ' && name[3] == 'm' && name[4] == 'o' && name[5] == 'n' &&
         name[6] == '_';
}

#endif /* WHORL_OPERATOR_BPF_WATCHED_BPF_H_ */
