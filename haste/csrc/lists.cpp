// Zeros skipped: each position's live inputs, compacted once, serve every tap, every output and every panel.
#include <cmath>
#include <stdexcept>

#include "engine.h"

namespace HASTE_NAMESPACE {
namespace {

// `rows` outputs a side read position `at` (without border) this often along that side.
int readers(const Conv& c, int outputs, int at) {
  int n = 0;
  for (int y = 0; y < outputs; y++) n += at >= y * c.step && at < y * c.step + c.kernel;
  return n;
}

}  // namespace

void Lists::shape(int groups_, int group_, size_t positions_) {
  groups = groups_, group = group_, positions = positions_;
  const size_t starts_ = groups * positions, room = starts_ * group + LANES;  // a vector is written at once
  if (room > UINT32_MAX) throw std::length_error("a batch of activations is too large for its lists");
  if (starts.size() < starts_) starts.resize(starts_);
  if (values.size() < room) values.resize(room), entries.resize(room);
}

// The entries of n channels, a multiple of LANES, that are not (near) zero, from values[0] on; returns how many.
template <bool NEAR>
inline int live_entries(const float* x, const float* norms, float edge, int n, int base, float* values,
                        uint16_t* entries) {
  int count = 0;
  for (int k = 0; k < n; k += LANES) {
    const vec v = load(x + k);
    const unsigned live = NEAR ? not_within(absolute(v) * load(norms + k), edge) : nonzero(v);
    count += store_lanes(values + count, entries + count, v, live, base + k);
  }
  return count;
}

int make_list(const float* x, int n, int base, const uint16_t* keep, bool skip, float* values, uint16_t* entries,
              int* nonzero_) {
  int count = 0;
  for (int k = 0; k < n; k += LANES) {
    const vec v = load(x + k);
    const unsigned inside = n - k < LANES ? (1u << (n - k)) - 1 : ALL_LANES, live = nonzero(v) & inside;
    *nonzero_ += __builtin_popcount(live);
    const unsigned take = (skip ? live : inside) & (keep ? keep[k / LANES] : ALL_LANES);
    count += store_lanes(values + count, entries + count, v, take, base + k);
  }
  return count;
}

// Rows of the input that a convolution reads; a 1x1 convolution does not read what its stride leaves out.
int rows_read(const Conv& c, const Buffer& in) { return c.kernel > 1 ? in.height : c.height; }
int64_t entries_read(const Conv& c, const Buffer& in) {
  return (int64_t)c.inputs * (c.kernel > 1 ? in.height * in.width : c.height * c.width);
}

// The sum of (x |W_c|_F)^2 over one of these rows; in double, so that no order of summation moves what is near zero.
PHASE double row_energy(const Conv& c, const Buffer& in, int image, int row) {
  const bool all = c.kernel > 1;
  const int width = all ? in.width : c.width, step = all ? 1 : c.step, shift = in.border - (all ? 0 : c.padding);
  const float *norms = c.norms.get(), *x = in.at(image, row * step + shift, shift);
  constexpr int VECTORS = SLICE / LANES;
  dvec sums[2 * VECTORS] = {};
  for (int z = 0; z < width; z++, x += step * in.stride)
    for (int k = 0; k < c.depth; k += SLICE)  // what pads a pixel and the norms is zero
      for (int v = 0; v < VECTORS; v++) {
        const vec e = load(x + k + LANES * v) * load(norms + k + LANES * v);
        const dvec low = low_double(e), high = high_double(e);
        sums[2 * v] += low * low;
        sums[2 * v + 1] += high * high;
      }
  double total = 0;
  for (int i = 0; i < SLICE; i++) total += sums[i / (LANES / 2)][i % (LANES / 2)];
  return total;
}

// The largest |x| |W_c|_F that counts as zero at a level: threshold / L of the root mean square over the layer's input,
// given the energy of its rows; 0 where nothing is near zero.
float near_zero(const Conv& c, const Buffer& in, const double* energies, int level) {
  double total = 0;
  for (int row = 0; row < rows_read(c, in); row++) total += energies[row];
  const double edge = c.method.threshold / level * std::sqrt(total / (double)entries_read(c, in));
  if (!std::isfinite(edge)) return 0;
  const float below = (float)edge;
  return (double)below > edge ? std::nextafter(below, 0.0f) : below;
}

// Rows from..to of the bordered image with what counts as zero set to it; the border stays as it is.
PHASE void prune(const Conv& c, const Buffer& in, int image, float edge, int from, int to, float* out) {
  for (int row = from; row < to; row++)
    for (int column = 0; column < in.columns; column++) {
      const float* x = in.at(image, row, column);
      float* y = out + (size_t)in.at(row, column) * in.stride;
      for (int k = 0; k < in.stride; k += LANES) {
        const vec v = load(x + k);
        store(y + k, absolute(v) * load(c.norms.get() + k) <= edge ? vec{} : v);
      }
    }
}

// The lists of the rows from..to of an image's bordered input, and what they leave of its convolution.
PHASE void list_image(const Conv& c, const Buffer& in, int image, float edge, Lists& lists, size_t first, int from,
                      int to, Counts* counts) {
  const int shift = in.border - c.padding;
  std::vector<int> across(in.columns);
  for (int column = 0; column < in.columns; column++) across[column] = readers(c, c.width, column - shift);
  const int left = in.border, right = in.border + in.width;
  int64_t executed = 0;  // not in *counts at once, beside which another thread counts
  for (int row = from; row < to; row++) {
    const int down = row < in.border || row >= in.border + in.height ? 0 : readers(c, c.height, row - shift);
    for (int g = 0; g < lists.groups; g++) {
      const int channel = g * c.group, n = std::min(c.group, c.inputs - channel);
      const size_t position = lists.at(g, first + (size_t)row * (in.columns + 1));
      uint32_t *starts = &lists.starts[position], at = (uint32_t)(position * c.group);
      for (int column = 0; column < in.columns; column++) {
        starts[column] = at;
        const int read = column < left || column >= right ? 0 : down * across[column];
        if (!read) continue;
        const float *x = in.at(image, row, column) + channel, *norms = c.norms.get() + channel;
        float* values = lists.values.data() + at;
        uint16_t* entries = lists.entries.data() + at;
        // channels that pad the pixel are zero, and so is what pads the norms
        const int count = edge > 0 ? live_entries<true>(x, norms, edge, round_up(n, LANES), column * n, values, entries)
                                   : live_entries<false>(x, norms, edge, round_up(n, LANES), column * n, values, entries);
        at += (uint32_t)count;
        executed += (int64_t)count * read;
      }
      starts[in.columns] = at;
    }
  }
  counts->executed += executed;
}

}  // namespace HASTE_NAMESPACE
