#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "core/fingerprint/lanes.h"

namespace whorl {

// What the forest and the one-class machine look at: the leading whitened
// components, then the logarithms of what lies outside them, of the whole
// distance, of the innovation and of the level's distance, each in units of its
// own usual spread. Without the latter four the anomalies are thrown away.
inline constexpr std::size_t kCondensedInputs = 12;

// One condensed vector in steps of 1/16, -8 .. 8: a distance beyond that says
// nothing more about where a point lies.
struct CondensedPoint {
  static constexpr float kReach = 8.0f;
  static constexpr float kSteps = 16.0f;
  std::array<std::uint8_t, 16> at{};  // the last four are not used

  void Set(std::size_t i, float value);
  float operator[](std::size_t i) const { return (static_cast<float>(at[i]) - 128.0f) / kSteps; }
};

// Isolation Forest (Liu, Ting & Zhou, ICDM 2008) in small perfect trees that are
// grown anew one after the other, so that it follows what it accepts (as Online
// Isolation Forest does, Leveni et al., ICML 2024). Plain data of the VM that
// holds it: 3 KiB, of which a tick walks a quarter. The trees of a quarter lie
// together and are grown in turn with those of the others.
struct Forest {
  static constexpr std::size_t kTrees = 64;
  static constexpr std::size_t kDepth = 4;
  static constexpr std::size_t kInner = (1u << kDepth) - 1;
  static constexpr std::size_t kLeaves = 1u << kDepth;
  static constexpr std::size_t kSample = 32;   // points a tree is grown from
  static constexpr std::size_t kQuarters = 4;  // a walk takes in one of them

  struct Tree {
    std::array<std::uint8_t, 16> input{};
    std::array<std::uint8_t, 16> threshold{};  // goes right when above
    std::array<std::uint8_t, kLeaves> path{};  // length of the path to the leaf, in sixteenths
  };
  std::array<Tree, kTrees> trees{};
  std::uint8_t grown = 0;  // trees that stand
  std::uint8_t next = 0;   // the one to be grown anew

  bool ready() const { return grown == kTrees; }
  const Tree* Quarter(std::uint32_t which) const { return &trees[which % kQuarters * (kTrees / kQuarters)]; }
  // Mean path length of the trees of quarter `which` % 4.
  float Walk(const CondensedPoint& point, std::uint32_t which) const;
  // 2^(-path / c(kSample)), 0..1: above .5 is easier to isolate than most.
  static float Anomaly(float path);
  // Grows the next tree from a seeded choice of `points`; nothing below kSample points.
  void Grow(std::span<const CondensedPoint> points, std::uint64_t seed);
};

}  // namespace whorl
