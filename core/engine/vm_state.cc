#include "core/engine/vm_state.h"

#include <sys/mman.h>

#include <algorithm>
#include <memory>
#include <new>
#include <type_traits>

namespace whorl {
namespace {

constexpr std::size_t kFirstBlock = 8;
constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kLargestBlock = kHugePage / sizeof(VmState);
static_assert(std::is_trivially_destructible_v<VmState>);

}  // namespace

void VmStore::Release::operator()(VmState* block) const { ::operator delete(block, std::align_val_t{alignment}); }

void VmStore::Grow() {
  if (left_ == 0) {
    left_ = std::clamp(states_.size(), kFirstBlock, kLargestBlock);
    const bool whole = left_ == kLargestBlock;
    const std::size_t alignment = whole ? kHugePage : alignof(VmState);
    void* memory = ::operator new(whole ? kHugePage : left_ * sizeof(VmState), std::align_val_t{alignment});
    // A kernel that has none to give backs it with small pages.
    if (whole) static_cast<void>(::madvise(memory, kHugePage, MADV_HUGEPAGE));
    next_ = static_cast<VmState*>(memory);
    std::uninitialized_value_construct_n(next_, left_);
    blocks_.emplace_back(next_, Release{alignment});
  }
  states_.push_back(next_++);
  memories_.push_back(std::make_unique<VmMemory>());
  --left_;
}

}  // namespace whorl
