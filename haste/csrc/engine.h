// What the parts of the engine share: buffers, convolutions with packed weights, merge plans, scratch of one thread.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

#include "haste.h"
#include "simd.h"

namespace HASTE_NAMESPACE {

constexpr int PANEL = 16;  // output channels of one weight panel: two vectors
constexpr int WIDE = 4;    // widest block of pixels of the sparse kernels
constexpr float DEAD_ZONE = 1e-5f;

inline int round_up(int value, int to) { return (value + to - 1) / to * to; }

// Floats on a cache line, zeroed.
struct Floats {
  std::unique_ptr<float, void (*)(void*)> data{nullptr, std::free};
  explicit Floats(size_t n = 0);
  float* get() const { return data.get(); }
};

struct Buffer {
  int height, width, channels, border, stride, rows, columns;  // stride: channels with padding
  size_t image;                                                // floats of one image
  Floats floats;
  float* at(int n, int row, int column) const {  // of the bordered image
    return floats.get() + n * image + ((size_t)row * columns + column) * stride;
  }
};

// One convolution as the kernels see it.
struct Conv {
  int kernel, step, padding, relu, inputs, outputs, depth;  // depth: padded input channels, of one pixel
  int pitch;  // a 1x1 convolution of stride s reads every s-th pixel: pitch s, step 1; elsewhere 1
  int height, width, run;                                   // of the output; run = kernel * depth
  Floats weights;                                           // [panel][kernel row][kernel column, channel][PANEL]
  Floats bias;                                              // padded to whole panels
  std::vector<float> norms;                                 // |W_c|_F
  haste_method method;
  std::vector<float> planes[4];       // [position][plane]
  std::vector<float> plane_max[4];    // max |plane|
  std::vector<int64_t> hash_flops[4];
  const float* panel(int p) const { return weights.get() + (size_t)p * kernel * run * PANEL; }
  int panels() const { return (outputs + PANEL - 1) / PANEL; }
};

// Indices of the live inputs of a row of a block of pixels, one list a (input row, block).
struct Lists {
  std::vector<uint16_t> entries;
  std::vector<int> counts;
  int room = 0;
  void shape(int lists, int run) {
    room = run + 16;
    if (entries.size() < (size_t)lists * room) entries.resize((size_t)lists * room);
    if (counts.size() < (size_t)lists) counts.resize(lists);
  }
  uint16_t* list(int i) { return entries.data() + (size_t)i * room; }
};

struct Member {
  int channel, bucket;
  float factor;
};

// The merge plan of one patch, ready for every output panel.
struct Patch {
  int row, column, rows, columns;  // first output, outputs a side
  int buckets = 0, depth = 0;      // merged buckets, padded
  std::vector<Member> members;
  std::vector<float> inputs;       // [window position][bucket]
  std::vector<uint8_t> live;       // [kernel row][kernel column, bucket]: taps that read anything
  Lists single, merged;            // one list a (window row, block)
};

struct Counts {
  int64_t executed, zeros, filters, input_flops, hash_flops, channels, buckets;
};

// dense.cpp, sparse.cpp, merge.cpp: each for one image.
void conv_dense(const Conv& c, const Buffer& in, const Buffer& out, const Buffer* residual, int image, int panel);
int exact_rows(const Conv& c);  // input rows that lists are made of
void exact_lists(const Conv& c, const Buffer& in, int image, Lists& lists, int from, int to, Counts* counts);
void conv_exact(const Conv& c, const Buffer& in, const Buffer& out, const Buffer* residual, int image, int panel,
                Lists& lists);
int patch_count(const Conv& c);
void plan_patches(const Conv& c, const Buffer& in, int image, int level, std::vector<Patch>& patches, int from, int to,
                  Counts* counts);
void conv_merged(const Conv& c, const Buffer& in, const Buffer& out, const Buffer* residual, int image, int panel,
                 std::vector<Patch>& patches, std::vector<float>& rows);

// Make the list of inputs of `run` floats from x on, `pixels` times `distance` apart, that are not all zero.
int make_list(const float* x, int run, int pixels, size_t distance, const uint8_t* keep, int depth, bool skip,
              uint16_t* out, int* all);

// Add up to two lists' products to a block of pixels and return them in sums[pixel][PANEL].
struct Segment {
  const uint16_t* list;
  int count;
  const float* x;
  size_t distance;
  const float* weights;
};
void run_segments(int pixels, const Segment* segments, int n, float* sums);

inline void finish(const Conv& c, const float* sums, int panel, float* y, const float* residual) {
  for (int v = 0; v < PANEL; v += 8) {
    v8 s = load(sums + v) + load(c.bias.get() + panel * PANEL + v);
    if (residual) s += load(residual + v);
    store(y + v, c.relu ? positive(s) : s);
  }
}

}  // namespace HASTE_NAMESPACE
