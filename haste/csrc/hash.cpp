// Codes of the channels of a patch, and who shares one.
#include <algorithm>
#include <cstring>

#include "plan.h"

namespace HASTE_NAMESPACE {
namespace {

void channel_means(const Window& w, Plan& p) {
  const Conv& c = w.c;
  p.mean.assign(w.positions(), 0);
  for (int q = 0; c.method.centre && q < w.positions(); q++) {
    vec sum = {};
    for (int k = 0; k < c.depth; k += LANES) sum += load(w.at(q) + k);
    for (int i = 0; i < LANES; i++) p.mean[q] += sum[i];
    p.mean[q] /= (float)c.inputs;
  }
}

constexpr int VECTORS = SLICE / LANES;
constexpr int TOGETHER = 12 / VECTORS;  // planes whose sums are in registers at once

// Bits first..first + PLANES of the codes of a slice of channels; its vectors share each plane's value.
template <int PLANES>
void hash_planes(const Window& w, const float* mean, int first, int channel, const vec* length, ivec* code) {
  const float* plane = w.c.planes[w.kind].data() + first;
  vec sums[VECTORS][PLANES] = {};
  for (int q = 0, n = w.positions(); q < n; q++, plane += HASTE_MAX_PLANES) {
    vec x[VECTORS];
    for (int v = 0; v < VECTORS; v++) x[v] = load(w.at(q) + channel + LANES * v) - mean[q];
    for (int l = 0; l < PLANES; l++)
      for (int v = 0; v < VECTORS; v++) sums[v][l] += x[v] * splat(plane[l]);
  }
  for (int l = 0; l < PLANES; l++) {
    const float edge = DEAD_ZONE * w.c.plane_max[w.kind][first + l];
    for (int v = 0; v < VECTORS; v++) code[v] |= (sums[v][l] > length[v] * edge) & (int)(1u << (first + l));
  }
}

}  // namespace

PHASE void hash_channels(const Window& w, int level, Plan& p) {
  const Conv& c = w.c;
  const int n = w.positions();
  p.code.resize(c.depth), p.length.resize(c.depth), p.square.resize(c.depth);
  channel_means(w, p);
  const float* mean = p.mean.data();
  for (int k = 0; k < c.depth; k += SLICE) {
    vec length[VECTORS] = {}, square[VECTORS] = {}, hashed[VECTORS] = {};
    for (int q = 0; q < n; q++)
      for (int v = 0; v < VECTORS; v++) {
        const vec x = load(w.at(q) + k + LANES * v);
        length[v] += absolute(x);
        square[v] += x * x;
        hashed[v] += absolute(x - mean[q]);
      }
    ivec code[VECTORS] = {};
    int first = 0;
    for (; first + TOGETHER <= level; first += TOGETHER) hash_planes<TOGETHER>(w, mean, first, k, hashed, code);
    for (; first + 2 <= level; first += 2) hash_planes<2>(w, mean, first, k, hashed, code);
    if (first < level) hash_planes<1>(w, mean, first, k, hashed, code);
    for (int v = 0; v < VECTORS; v++) {
      store(&p.length[k + LANES * v], length[v]);
      store(&p.square[k + LANES * v], square[v]);
      memcpy(&p.code[k + LANES * v], &code[v], sizeof code[v]);
    }
  }
}

PHASE void find_leaders(const Window& w, Plan& p) {
  const Conv& c = w.c;
  int slots = 64;
  while (slots < 2 * c.inputs) slots *= 2;
  if ((int)p.slots.size() < slots) p.slots.assign(slots, 0), p.stamps.assign(slots, 0), p.keys.assign(slots, 0);
  p.stamp++;
  p.leader.assign(c.depth, -1);
  p.size.assign(c.depth, 0);
  for (int k = 0; k < c.inputs; k++) {
    if (c.method.drop_zero && p.length[k] == 0) continue;
    const uint32_t code = p.code[k];
    uint32_t s = (code * 2654435769u) >> 7 & (slots - 1);
    while (p.stamps[s] == p.stamp && p.keys[s] != code) s = (s + 1) & (slots - 1);
    if (p.stamps[s] != p.stamp) p.stamps[s] = p.stamp, p.keys[s] = code, p.slots[s] = k;
    p.leader[k] = p.slots[s];
    p.size[p.slots[s]]++;
  }
}

}  // namespace HASTE_NAMESPACE
