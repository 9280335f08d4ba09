// What the parts of the engine share: buffers, convolutions with packed weights, lists of live inputs, merge plans.
#pragma once
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <type_traits>
#include <vector>

#include "haste.h"
#include "simd.h"

#define PHASE __attribute__((noinline))  // so that a profiler tells the phases apart

namespace HASTE_NAMESPACE {

constexpr int PANEL = 64;  // output channels of one weight panel
constexpr int SLICE = 16;  // a panel and a pixel are multiples of this
constexpr int WIDEST = 7;  // kernel
// Floats of a chunk of weights at most: 24 KB, or what the widest kernel needs for the channels of one vector.
constexpr int CHUNK = std::max(96, WIDEST * LANES) * PANEL;
constexpr float DEAD_ZONE = 1e-5f;

inline int round_up(int value, int to) { return (value + to - 1) / to * to; }

// Calls f with a constant: the vectors of a panel's width.
template <int VECTORS = PANEL / LANES, class F>
inline void with_vectors(int width, const F& f) {
  if constexpr (VECTORS > SLICE / LANES)
    if (width < VECTORS * LANES) return with_vectors<VECTORS - SLICE / LANES>(width, f);
  f(std::integral_constant<int, VECTORS>());
}

// Floats on a cache line, zeroed; on huge pages where there are many.
struct Floats {
  std::unique_ptr<float, void (*)(void*)> data{nullptr, std::free};
  explicit Floats(size_t n = 0);
  float* get() const { return data.get(); }
};

struct Buffer {
  int height, width, channels, border, stride, rows, columns;  // stride: channels with padding
  size_t image;                                                // floats of one image
  Floats floats;
  int at(int row, int column) const { return row * columns + column; }  // a position of the bordered image
  float* at(int n, int row, int column) const { return floats.get() + n * image + (size_t)at(row, column) * stride; }
};

// Rows of weights that are used together: one kernel row of one group of channels. They fill most of an L1 cache.
struct Chunk {
  int ky, channel, size;  // size: rows of one tap
  size_t row;             // the first of them in its panel
};

// One convolution as the kernels see it.
struct Conv {
  int kernel, step, padding, relu, inputs, outputs, depth;  // depth: padded input channels, of one pixel
  int height, width;                                        // of the output
  int group;                                                // input channels of a chunk
  std::vector<Chunk> chunks;                                // [group][kernel row]
  Floats weights;                                           // [panel][chunk][kernel column, channel][output of the panel]
  Floats bias;                                              // padded to whole slices
  haste_method method;
  Floats norms;                                             // |W_c|_F
  std::vector<float> planes[4];                             // [position][plane]
  std::vector<float> plane_max[4];                          // max |plane|
  std::vector<int64_t> hash_flops[4];

  size_t rows() const { return (size_t)kernel * kernel * inputs; }
  const float* panel(int p) const { return weights.get() + rows() * PANEL * p; }
  int panels() const { return (outputs + PANEL - 1) / PANEL; }
  int width_of(int panel) const { return std::min(PANEL, round_up(outputs, SLICE) - panel * PANEL); }
  int groups() const { return (inputs + group - 1) / group; }
  // The row of one channel's weights for one tap.
  size_t row(int tap, int channel) const {
    const int first = channel / group * group, size = std::min(group, inputs - first);
    return (size_t)first * kernel * kernel + (size_t)tap * size + (channel - first);
  }
};

// The live inputs of rows of positions, group by group of channels: values, and column * size + channel within the
// group, so that the entries of neighbouring positions are one list. A row has one position more than it is wide.
struct Lists {
  int groups = 0, group = 0;
  size_t positions = 0, first = 0;  // first: the number that the first position goes by
  std::vector<float> values;
  std::vector<uint16_t> entries;
  std::vector<uint32_t> starts;     // of each position's entries; one position's end is the next one's start
  void shape(int groups, int group, size_t positions);
  size_t at(int group, size_t position) const { return group * positions + position - first; }
};

struct Member {
  int channel, bucket;
  float factor;
};

// The merge plan of one patch, ready for every output panel.
struct Patch {
  int image, row, column, rows, columns;  // first output, outputs a side
  int height, width;                      // of the window
  size_t position;                        // of the window's first list among those of lone channels
  int buckets = 0, depth = 0;             // merged buckets, padded
  std::vector<Member> members;
  std::vector<float> inputs;              // [window position][bucket]
  Lists merged;
};

struct alignas(64) Counts {
  int64_t executed, zeros, filters, input_flops, hash_flops, channels, buckets;
};

// One output pixel and where its inputs begin: the first of its window, and the first of its lists.
struct Pixel {
  const float* input;
  size_t list;
  int pitch, column;  // positions from one row of lists to the next; that of the window's first column
  float *out;
  const float* residual;
};

// Adds the time of its life to *sum, where there is one.
class Stopwatch {
 public:
  explicit Stopwatch(int64_t* sum) : sum_(sum), start_(sum ? now() : 0) {}
  ~Stopwatch() {
    if (sum_) *sum_ += now() - start_;
  }
  Stopwatch(const Stopwatch&) = delete;

 private:
  static int64_t now() { return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1); }
  int64_t *sum_, start_;
};

// lists.cpp
int make_list(const float* x, int n, int base, const uint16_t* keep, bool skip, float* values, uint16_t* entries,
              int* nonzero);
int rows_read(const Conv& c, const Buffer& in);
int64_t entries_read(const Conv& c, const Buffer& in);
double row_energy(const Conv& c, const Buffer& in, int image, int row);
float near_zero(const Conv& c, const Buffer& in, const double* energies, int level);
void prune(const Conv& c, const Buffer& in, int image, float edge, int from, int to, float* out);
void list_image(const Conv& c, const Buffer& in, int image, float edge, Lists& lists, size_t first, int from, int to,
                Counts* counts);

// gemm.cpp
void start(const Conv& c, int panel, int pixels, float* sums);
void dense(const Conv& c, const Buffer& in, int panel, const Pixel* pixels, int n, float* sums);
void sparse(const Conv& c, const Lists& lists, int panel, const Pixel* pixels, int n, float* sums);
void sparse_chunk(const Chunk& chunk, int taps, int width, const Lists& lists, const float* weights,
                  const Pixel* pixels, int n, float* sums);
void finish(const Conv& c, int panel, const Pixel* pixels, int n, const float* sums);

// merge.cpp
void place_patches(const Conv& c, int image, std::vector<Patch>& patches, size_t* positions);
void plan_patch(const Conv& c, const Buffer& in, const float* image, int level, Patch& patch, Lists& lone,
                Counts* counts, int64_t* hashing);
void add_merged(const Conv& c, int panel, const Patch& patch, const Pixel* pixels, float* sums, int64_t* merging);

}  // namespace HASTE_NAMESPACE
