// Zeros skipped: a list of live inputs for a row of a block of pixels serves every tap of that row and every panel.
#include <algorithm>

#include "engine.h"

namespace HASTE_NAMESPACE {
namespace {

struct Compress {
  uint64_t bytes[256];
  Compress() {
    for (int mask = 0; mask < 256; mask++) {
      bytes[mask] = 0;
      for (int bit = 0, n = 0; bit < 8; bit++)
        if (mask >> bit & 1) bytes[mask] |= (uint64_t)bit << (8 * n++);
    }
  }
};
const Compress compress;

template <int PIXELS>
void run_lists(const Segment* segments, int n, float* sums) {
  v8 low[PIXELS] = {}, high[PIXELS] = {};
  for (int s = 0; s < n; s++) {
    const Segment& g = segments[s];
    const float* x[PIXELS];
    for (int i = 0; i < PIXELS; i++) x[i] = g.x + i * g.distance;
    for (const uint16_t *e = g.list, *end = e + g.count; e < end; e++) {
      const size_t k = *e;
      const float* w = g.weights + k * PANEL;
      v8 w0 = load(w), w1 = load(w + 8);
      for (int i = 0; i < PIXELS; i++) {
        v8 a = splat(x[i][k]);
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

int make_list(const float* x, int run, int pixels, size_t distance, const uint8_t* keep, int depth, bool skip,
              uint16_t* out, int* all) {
  int n = 0, seen = 0, bytes = depth / 8, at = 0;
  for (int k = 0; k < run; k += 8) {
    v8 any = load(x + k);
    for (int i = 1; i < pixels; i++) any = (v8)((i8)any | (i8)load(x + k + i * distance));
    unsigned live = skip ? nonzero_bits(any) : 255u;
    seen += __builtin_popcount(live);
    if (keep) {
      live &= keep[at];
      if (++at == bytes) at = 0;
    }
    store_indices(out + n, compress.bytes[live], k);
    n += __builtin_popcount(live);
  }
  *all = seen;
  return n;
}

void run_segments(int pixels, const Segment* segments, int n, float* sums) {
  switch (pixels) {
    case 4: run_lists<4>(segments, n, sums); break;
    case 3: run_lists<3>(segments, n, sums); break;
    case 2: run_lists<2>(segments, n, sums); break;
    default: run_lists<1>(segments, n, sums);
  }
}

int exact_rows(const Conv& c) { return (c.height - 1) * c.step + c.kernel; }

void exact_lists(const Conv& c, const Buffer& in, int image, Lists& lists, int from, int to, Counts* counts) {
  const int block = std::min(c.method.skip_pixels, WIDE), blocks = (c.width + block - 1) / block;
  const int shift = in.border - c.padding;
  for (int row = from; row < to; row++) {
    int readers = 0;  // rows of outputs that read this one
    for (int y = 0; y < c.height; y++) readers += row >= y * c.step && row < y * c.step + c.kernel;
    for (int b = 0; readers && b < blocks; b++) {
      const int pixels = std::min(block, c.width - b * block), list = row * blocks + b;
      int all;
      lists.counts[list] = make_list(in.at(image, row * c.pitch + shift, b * block * c.step * c.pitch + shift), c.run,
                                     pixels, (size_t)c.step * c.pitch * in.stride, nullptr, c.depth, true, lists.list(list), &all);
      counts->executed += (int64_t)all * readers * pixels;
    }
  }
}

void conv_exact(const Conv& c, const Buffer& in, const Buffer& out, const Buffer* residual, int image, int panel,
                Lists& lists) {
  const int block = std::min(c.method.skip_pixels, WIDE), blocks = (c.width + block - 1) / block;
  const int shift = in.border - c.padding;
  const float* w = c.panel(panel);
  const char* next = (const char*)(w + (size_t)c.kernel * c.run * PANEL);
  const size_t ahead = panel + 1 < c.panels() ? (size_t)c.kernel * c.run * PANEL * sizeof(float) : 0;
  const size_t slice = ahead / (c.height * blocks) / 64 * 64 + 64;
  for (int y = 0, t = 0; y < c.height; y++)
    for (int b = 0; b < blocks; b++, t++) {
      const int pixels = std::min(block, c.width - b * block);
      Segment segments[7];
      float sums[WIDE * PANEL];
      for (size_t p = t * slice; p < std::min((t + 1) * slice, ahead); p += 64) __builtin_prefetch(next + p, 0, 2);
      for (int ky = 0; ky < c.kernel; ky++) {
        const int row = y * c.step + ky, list = row * blocks + b;
        segments[ky] = {lists.list(list), lists.counts[list],
                        in.at(image, row * c.pitch + shift, b * block * c.step * c.pitch + shift),
                        (size_t)c.step * c.pitch * in.stride, w + (size_t)ky * c.run * PANEL};
      }
      run_segments(pixels, segments, c.kernel, sums);
      for (int i = 0; i < pixels; i++) {
        const int z = b * block + i;
        const float* r = residual ? residual->at(image, y + residual->border, z + residual->border) : nullptr;
        finish(c, sums + i * PANEL, panel, out.at(image, y + out.border, z + out.border) + panel * PANEL,
               r ? r + panel * PANEL : nullptr);
      }
    }
}

}  // namespace HASTE_NAMESPACE
