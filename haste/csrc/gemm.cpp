// Matrix products over pixels. A chunk of weights stays in the first-level cache while every pixel of a band uses it;
// the band's sums, PANEL floats a pixel, wait in the second-level cache from one chunk to the next.
#include "engine.h"

namespace HASTE_NAMESPACE {
namespace {

constexpr int TILE = 6;   // pixels of the dense form
constexpr int WIDE = LANES == 16 ? 4 : 2;  // vectors of it: 24 of 32 registers are sums, or 12 of 16
constexpr int CHAINS = 8;  // multiply-adds under way at once: latency times units
constexpr int HINT = 2;   // the second-level cache
constexpr int FEW = 128;  // steps at which asking ahead repays

// Asks for the next chunk while this one is used, a share at every step; many steps leave it to the processor.
struct Ahead {
  const char *next, *end;
  size_t share = 0;
  Ahead(const float* weights, size_t floats, int steps) : next((const char*)(weights + floats)), end(next) {
    if (steps > FEW) return;
    end += floats * sizeof(float);
    share = (floats * sizeof(float) / 64 + steps - 1) / steps * 64;
  }
  // One line; the processor drops what comes in bursts, so it is best asked for between multiplications.
  void line(const char* until) {
    __builtin_prefetch(next, 0, HINT);
    next = next < until ? next + 64 : until;
  }
  const char* until() const { return std::min(next + share, end); }
  void rest(const char* until) {
    for (; next < until; next += 64) __builtin_prefetch(next, 0, HINT);
  }
};

// PIXELS pixels by VECTORS vectors of outputs, every input; asks ahead between the multiplications.
template <int PIXELS, int VECTORS>
void tile(const Chunk& chunk, int taps, const Pixel* pixels, size_t offset, int distance, const float* w, int width,
          float* sums, Ahead& ahead) {
  const char* until = ahead.until();
  vec s[PIXELS][VECTORS];
  const float* x[PIXELS];
  for (int i = 0; i < PIXELS; i++) {
    for (int v = 0; v < VECTORS; v++) s[i][v] = load(sums + i * PANEL + v * LANES);
    x[i] = pixels[i].input + offset;
  }
  for (int t = 0; t < taps; t++) {
#pragma GCC unroll 4  // so that the branch predictor knows where the loop ends
    for (int k = 0; k < chunk.size; k++, w += width) {
      vec row[VECTORS];
      for (int v = 0; v < VECTORS; v++) row[v] = load(w + v * LANES);
      for (int i = 0; i < PIXELS; i++) {
        const vec a = splat(x[i][k]);
        for (int v = 0; v < VECTORS; v++) s[i][v] += a * row[v];
      }
      for (int v = 0; v < VECTORS; v += 2) ahead.line(until);
    }
    for (int i = 0; i < PIXELS; i++) x[i] += distance;
  }
  ahead.rest(until);
  for (int i = 0; i < PIXELS; i++)
    for (int v = 0; v < VECTORS; v++) store(sums + i * PANEL + v * LANES, s[i][v]);
}

// The first of n pixels, as many as a tile has.
template <int VECTORS>
void tile_of(int n, const Chunk& chunk, int taps, const Pixel* pixels, size_t offset, int distance, const float* w,
             int width, float* sums, Ahead& ahead) {
  switch (std::min(TILE, n)) {
    case 6: return tile<6, VECTORS>(chunk, taps, pixels, offset, distance, w, width, sums, ahead);
    case 5: return tile<5, VECTORS>(chunk, taps, pixels, offset, distance, w, width, sums, ahead);
    case 4: return tile<4, VECTORS>(chunk, taps, pixels, offset, distance, w, width, sums, ahead);
    case 3: return tile<3, VECTORS>(chunk, taps, pixels, offset, distance, w, width, sums, ahead);
    case 2: return tile<2, VECTORS>(chunk, taps, pixels, offset, distance, w, width, sums, ahead);
    default: tile<1, VECTORS>(chunk, taps, pixels, offset, distance, w, width, sums, ahead);
  }
}

// The live inputs of one pixel for one chunk.
struct List {
  const float *weights, *value, *last;
  const uint16_t* entry;
};

// One pixel by VECTORS vectors of outputs, live inputs only; narrow panels take turns over sets of sums. The next
// pixel's list is looked up before this one's is used, for the end of a list is not foreseen by the processor.
template <int VECTORS, int SETS, bool AHEAD>
void sparse_pixels(const Chunk& chunk, int taps, const Lists& lists, const float* weights, const Pixel* pixels, int n,
                   float* sums) {
  constexpr int WIDTH = VECTORS * LANES;
  const size_t column = (size_t)chunk.size * WIDTH;
  const uint32_t* starts = lists.starts.data() + (ptrdiff_t)lists.at(chunk.channel / lists.group, 0);
  auto list_of = [&](const Pixel& pixel) {
    const uint32_t* start = starts + pixel.list + (size_t)chunk.ky * pixel.pitch;
    return List{weights - pixel.column * column, lists.values.data() + *start, lists.values.data() + start[taps],
                lists.entries.data() + *start};
  };
  Ahead ahead(weights, taps * column, n);
  List next = list_of(pixels[0]);
  for (int i = 0; i < n; i++, sums += PANEL) {
    const char* until = ahead.until();
    const auto [w, first, last, entries] = next;
    next = list_of(pixels[std::min(i + 1, n - 1)]);
    __builtin_prefetch(next.value);
    __builtin_prefetch(next.entry);
    const float* value = first;
    const uint16_t* entry = entries;
    vec s[SETS][VECTORS] = {};
    for (int v = 0; v < VECTORS; v++) s[0][v] = load(sums + LANES * v);
    for (; value + 2 * SETS <= last; value += 2 * SETS, entry += 2 * SETS)
      for (int j = 0; j < 2 * SETS; j++) {
        const vec x = splat(value[j]);
        const float* row = w + (size_t)entry[j] * WIDTH;
        for (int v = 0; v < VECTORS; v++) s[j % SETS][v] += x * load(row + LANES * v);
        if (AHEAD) ahead.line(until);
      }
    for (; value < last; value++, entry++) {
      const vec x = splat(*value);
      const float* row = w + (size_t)*entry * WIDTH;
      for (int v = 0; v < VECTORS; v++) s[0][v] += x * load(row + LANES * v);
    }
    if (AHEAD) ahead.rest(until);
    for (int v = 0; v < VECTORS; v++) {
      for (int c = 1; c < SETS; c++) s[0][v] += s[c][v];
      store(sums + LANES * v, s[0][v]);
    }
  }
}

}  // namespace

void start(const Conv& c, int panel, int pixels, float* sums) {
  const float* bias = c.bias.get() + panel * PANEL;
  for (int i = 0, width = c.width_of(panel); i < pixels; i++)
    for (int v = 0; v < width; v += LANES) store(sums + (size_t)i * PANEL + v, load(bias + v));
}

PHASE void dense(const Conv& c, const Buffer& in, int panel, const Pixel* pixels, int n, float* sums) {
  const int width = c.width_of(panel), slices = (width + WIDE * LANES - 1) / (WIDE * LANES);
  for (const Chunk& chunk : c.chunks) {
    const float* w = c.panel(panel) + chunk.row * width;
    const size_t offset = (size_t)in.at(chunk.ky, 0) * in.stride + chunk.channel;
    Ahead ahead(w, (size_t)c.kernel * chunk.size * width, (n + TILE - 1) / TILE * slices);
    for (int i = 0; i < n; i += TILE)
      for (int slice = 0; slice < width; slice += WIDE * LANES)
        with_vectors<WIDE>(std::min(WIDE * LANES, width - slice), [&](auto vectors) {
          tile_of<vectors.value>(n - i, chunk, c.kernel, pixels + i, offset, in.stride, w + slice, width,
                                 sums + (size_t)i * PANEL + slice, ahead);
        });
  }
}

void sparse_chunk(const Chunk& chunk, int taps, int width, const Lists& lists, const float* weights,
                  const Pixel* pixels, int n, float* sums) {
  with_vectors(width, [&](auto vectors) {
    constexpr int SETS = CHAINS / vectors.value;
    if (width == PANEL && n <= FEW)
      sparse_pixels<vectors.value, SETS, true>(chunk, taps, lists, weights, pixels, n, sums);
    else
      sparse_pixels<vectors.value, SETS, false>(chunk, taps, lists, weights, pixels, n, sums);
  });
}

PHASE void sparse(const Conv& c, const Lists& lists, int panel, const Pixel* pixels, int n, float* sums) {
  const int width = c.width_of(panel);
  for (const Chunk& chunk : c.chunks)
    sparse_chunk(chunk, c.kernel, width, lists, c.panel(panel) + chunk.row * width, pixels, n, sums);
}

PHASE void finish(const Conv& c, int panel, const Pixel* pixels, int n, const float* sums) {
  for (int i = 0, width = c.width_of(panel); i < n; i++, sums += PANEL)
    for (int v = 0; v < width; v += LANES) {
      vec s = load(sums + v);
      if (pixels[i].residual) s += load(pixels[i].residual + panel * PANEL + v);
      if (c.relu) s = positive(s);
      const int left = c.outputs - panel * PANEL - v;  // what pads a pixel stays zero, whatever its inputs are
      for (int j = left < 0 ? 0 : left; j < LANES; j++) s[j] = 0;
      store(pixels[i].out + panel * PANEL + v, s);
    }
}

}  // namespace HASTE_NAMESPACE
