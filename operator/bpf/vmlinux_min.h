#ifndef WHORL_OPERATOR_BPF_VMLINUX_MIN_H_
#define WHORL_OPERATOR_BPF_VMLINUX_MIN_H_

/* The few kernel types our BPF programs walk, by name only: CO-RE relocates every
 * access against the BTF of the running kernel, so offsets, order and missing
 * members here do not matter. */

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed char __s8;
typedef short __s16;
typedef int __s32;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u32 __wsum;

enum bpf_map_type {
  BPF_MAP_TYPE_HASH = 1,
  BPF_MAP_TYPE_ARRAY = 2,
  BPF_MAP_TYPE_PERCPU_ARRAY = 6,
  BPF_MAP_TYPE_TASK_STORAGE = 29,
};
enum { BPF_F_NO_PREALLOC = 1, BPF_LOCAL_STORAGE_GET_F_CREATE = 1 };

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

enum cgroup_subsys_id {
  memory_cgrp_id = 4, /* relocated: depends on the kernel's configuration */
};

struct kernfs_node {
  __u64 id;
};

struct cgroup {
  struct kernfs_node *kn;
};

struct cgroup_subsys_state {
  struct cgroup *cgroup;
};

struct css_set {
  struct cgroup_subsys_state *subsys[16];
};

struct task_struct {
  struct task_struct *group_leader;
  struct css_set *cgroups;
  char comm[16];
};

/* KVM's, of the modules kvm_intel and kvm_amd. */
union vmx_exit_reason {
  __u32 full;
};

struct vcpu_vt {
  union vmx_exit_reason exit_reason;
};

struct vcpu_vmx {
  union vmx_exit_reason exit_reason;
  struct vcpu_vt vt;
};

struct vmcb_control_area {
  __u32 exit_code;
  __u64 exit_info_1;
};

struct vmcb {
  struct vmcb_control_area control;
};

struct vcpu_svm {
  struct vmcb *vmcb;
};

struct bpf_raw_tracepoint_args {
  __u64 args[0];
};

#pragma clang attribute pop

#endif /* WHORL_OPERATOR_BPF_VMLINUX_MIN_H_ */
