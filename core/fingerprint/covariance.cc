#include "core/fingerprint/covariance.h"

#include <utility>

namespace whorl {

void Covariance::Learn(const Features& z, const Features& root_gain) {
  Float8 cut[kGroups];
  for (std::size_t g = 0; g < kGroups; ++g) cut[g] = Clamp(z.group[g], Broadcast(-kLearnClip), Broadcast(kLearnClip));
  std::size_t v = 0;
  for (std::size_t block = 0; block < kGroups; ++block) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const Float8 zi = Broadcast(cut[block][lane]);
      const Float8 gi = Broadcast(root_gain.group[block][lane]);
      for (std::size_t g = 0; g <= block; ++g, ++v) {
        row[v] += gi * root_gain.group[g] * (zi * cut[g] - row[v]);
      }
    }
  }
}

float Covariance::At(std::size_t i, std::size_t j) const {
  if (i < j) std::swap(i, j);
  return row[RowStart(i) + j / kLanes][j % kLanes];
}

}  // namespace whorl
