// Counts why the vCPUs of watched QEMUs leave guest mode, by class. Since Linux
// 5.17 the tracepoint itself names only the vCPU and whose hardware it is; the
// reason stands in what KVM keeps of that hardware.

// clang-format off: vmlinux_min.h brings the types the libbpf headers use.
#include "operator/bpf/vmlinux_min.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
// clang-format on

#include "operator/bpf/syscalls.h"
#include "operator/bpf/watched.bpf.h"

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 256);
  __type(key, __u32);
  __type(value, struct whorl_exit_counts);
} exits SEC(".maps");

#define KVM_ISA_VMX 1
#define KVM_ISA_SVM 2

// Intel SDM volume 3, appendix C.
static __always_inline __u32 vmx_class(__u32 reason) {
  switch (reason & 0xffff) {
    case 12: // HLT
    case 36: // MWAIT
    case 40: // PAUSE
      return kWhorlExitHalt;
    case 30: // I/O instruction
    case 49: // EPT misconfiguration: how KVM marks emulated device memory
      return kWhorlExitIo;
    case 48: // EPT violation
    case 62: // page-modification log full
      return kWhorlExitMemory;
    case 1:  // external interrupt
    case 7:  // interrupt window
    case 8:  // NMI window
    case 43: // TPR below threshold
    case 44: // APIC access
    case 45: // virtualized EOI
    case 52: // preemption timer
    case 56: // APIC write
      return kWhorlExitInterrupt;
    case 31: // RDMSR
    case 32: // WRMSR
      return kWhorlExitMsr;
    default: return kWhorlExitOther;
  }
}

// AMD APM volume 2, appendix C. A nested page fault with a reserved bit set
// (bit 3 of its first information field) is emulated device memory.
static __always_inline __u32 svm_class(__u32 code, __u64 info) {
  switch (code) {
    case 0x77: // PAUSE
    case 0x78: // HLT
    case 0x8b: // MWAIT
    case 0x8c: // MWAIT, armed
    case 0xa6: // idle HLT
      return kWhorlExitHalt;
    case 0x7b: // I/O instruction
      return kWhorlExitIo;
    case 0x400: // nested page fault
      return info & 8 ? kWhorlExitIo : kWhorlExitMemory;
    case 0x60:  // physical interrupt
    case 0x61:  // NMI
    case 0x64:  // virtual interrupt
    case 0x401: // AVIC
    case 0x402: // AVIC, not accelerated
      return kWhorlExitInterrupt;
    case 0x7c: // MSR
      return kWhorlExitMsr;
    default: return kWhorlExitOther;
  }
}

// Types of modules that are not loaded are unknown to the kernel's BTF; what
// reads them is then dead code that the verifier drops.
static __always_inline __u32 class_of_exit(void *vcpu, __u32 isa) {
  if (isa == KVM_ISA_VMX) {
    if (bpf_core_field_exists(struct vcpu_vmx, exit_reason)) {
      struct vcpu_vmx *vmx = vcpu;
      return vmx_class(BPF_CORE_READ(vmx, exit_reason.full));
    }
    // Since Linux 6.16.
    if (bpf_core_field_exists(struct vcpu_vmx, vt)) {
      struct vcpu_vmx *vmx = vcpu;
      return vmx_class(BPF_CORE_READ(vmx, vt.exit_reason.full));
    }
  }
  if (isa == KVM_ISA_SVM && bpf_core_field_exists(struct vcpu_svm, vmcb)) {
    struct vcpu_svm *svm = vcpu;
    struct vmcb *vmcb = BPF_CORE_READ(svm, vmcb);
    return svm_class(BPF_CORE_READ(vmcb, control.exit_code), BPF_CORE_READ(vmcb, control.exit_info_1));
  }
  return kWhorlExitOther;
}

SEC("raw_tp/kvm_exit")
int count_kvm_exit(struct bpf_raw_tracepoint_args *ctx) {
  __u32 *slot = slot_of(bpf_get_current_task_btf());
  if (!slot) return 0;  // only QEMU's vCPU threads run guests: no need to ask for its name
  struct whorl_exit_counts *mine = bpf_map_lookup_elem(&exits, slot);
  if (!mine) return 0;
  __u32 class = class_of_exit((void *)ctx->args[0], (__u32)ctx->args[1]);
  if (class < WHORL_EXIT_CLASSES) mine->by_class[class] += 1;
  return 0;
}

char gpl[] SEC("license") = "GPL";
