// What planning one patch needs: its window, and the scratch of a thread.
#pragma once
#include "engine.h"

namespace HASTE_NAMESPACE {

// One patch's window seen in place, and what planning it needs; channels beyond `inputs` are padding.
struct Window {
  const Conv& c;
  const float* x;
  size_t row, pixel;
  int height, width, kind;
  const size_t* offsets;
  int positions() const { return height * width; }
  const float* at(int position) const { return x + offsets[position]; }
};

struct Plan {
  std::vector<uint32_t> code, keys;
  std::vector<int> slots, stamps, leader, size, column;
  std::vector<size_t> offsets;
  std::vector<uint16_t> keep;  // bits of LANES channels each
  std::vector<uint64_t> taps;  // of each bucket: those that read anything
  std::vector<float> mean, length, square;
  int stamp = 0;
};

void hash_channels(const Window& w, int level, Plan& p);

// Give every channel the first channel with its code as leader; -1 for dropped ones and padding.
void find_leaders(const Window& w, Plan& p);

}  // namespace HASTE_NAMESPACE
