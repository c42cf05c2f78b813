#include "core/engine/vm_state.h"

#include <algorithm>

namespace whorl {
namespace {

constexpr std::size_t kFirstBlock = 8;
constexpr std::size_t kLargestBlock = (std::size_t{2} << 20) / sizeof(VmState);

}  // namespace

void VmStore::Grow() {
  if (left_ == 0) {
    left_ = std::clamp(states_.size(), kFirstBlock, kLargestBlock);
    blocks_.push_back(std::make_unique<VmState[]>(left_));
    next_ = blocks_.back().get();
  }
  states_.push_back(next_++);
  memories_.push_back(std::make_unique<VmMemory>());
  --left_;
}

}  // namespace whorl
