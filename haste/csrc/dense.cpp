// Every multiply-add: six pixels by sixteen output channels in registers, weights streamed from one panel.
#include <algorithm>

#include "engine.h"

namespace HASTE_NAMESPACE {
namespace {

constexpr int TILE = 6;

template <int PIXELS>
void tile(const Conv& c, const float* const* x, size_t row, const float* w, float* sums) {
  v8 low[PIXELS] = {}, high[PIXELS] = {};
  for (int ky = 0; ky < c.kernel; ky++) {
    const float* p[PIXELS];
    for (int i = 0; i < PIXELS; i++) p[i] = x[i] + ky * row;
    for (int k = 0; k < c.run; k++, w += PANEL) {
      v8 w0 = load(w), w1 = load(w + 8);
      for (int i = 0; i < PIXELS; i++) {
        v8 a = splat(p[i][k]);
        low[i] += a * w0;
        high[i] += a * w1;
      }
    }
  }
  for (int i = 0; i < PIXELS; i++) {
    store(sums + i * PANEL, low[i]);
    store(sums + i * PANEL + 8, high[i]);
  }
}

}  // namespace

void conv_dense(const Conv& c, const Buffer& in, const Buffer& out, const Buffer* residual, int image, int panel) {
  const int shift = in.border - c.padding, pixels = c.height * c.width;
  const size_t row = (size_t)in.columns * in.stride * c.pitch;
  const float* w = c.panel(panel);
  const char* next = (const char*)(w + (size_t)c.kernel * c.run * PANEL);
  const size_t ahead = panel + 1 < c.panels() ? (size_t)c.kernel * c.run * PANEL * sizeof(float) : 0;
  const size_t slice = ahead / ((pixels + TILE - 1) / TILE) / 64 * 64 + 64;
  for (int first = 0, t = 0; first < pixels; first += TILE, t++) {
    const int n = std::min(TILE, pixels - first);
    const float* x[TILE];
    float sums[TILE * PANEL];
    for (int i = 0; i < n; i++) {
      const int q = first + i;
      x[i] = in.at(image, q / c.width * c.step * c.pitch + shift, q % c.width * c.step * c.pitch + shift);
    }
    for (size_t b = t * slice; b < std::min((t + 1) * slice, ahead); b += 64) __builtin_prefetch(next + b, 0, 2);
    switch (n) {
      case 6: tile<6>(c, x, row, w, sums); break;
      case 5: tile<5>(c, x, row, w, sums); break;
      case 4: tile<4>(c, x, row, w, sums); break;
      case 3: tile<3>(c, x, row, w, sums); break;
      case 2: tile<2>(c, x, row, w, sums); break;
      default: tile<1>(c, x, row, w, sums);
    }
    for (int i = 0; i < n; i++) {
      const int y = (first + i) / c.width, z = (first + i) % c.width;
      const float* r = residual ? residual->at(image, y + residual->border, z + residual->border) : nullptr;
      finish(c, sums + i * PANEL, panel, out.at(image, y + out.border, z + out.border) + panel * PANEL,
             r ? r + panel * PANEL : nullptr);
    }
  }
}

}  // namespace HASTE_NAMESPACE
