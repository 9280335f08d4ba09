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
    v8 sum = {};
    for (int k = 0; k < c.depth; k += 8) sum += load(w.at(q) + k);
    for (int i = 0; i < 8; i++) p.mean[q] += sum[i];
    p.mean[q] /= (float)c.inputs;
  }
}

// Bits first..first + PLANES of the codes of sixteen channels; two vectors share each plane's value.
template <int PLANES>
void hash_planes(const Window& w, const float* mean, int first, int channel, v8 length0, v8 length1, i8* code) {
  const float* plane = w.c.planes[w.kind].data() + first;
  v8 low[PLANES] = {}, high[PLANES] = {};
  for (int q = 0, n = w.positions(); q < n; q++, plane += HASTE_MAX_PLANES) {
    const float* x = w.at(q) + channel;
    v8 x0 = load(x) - mean[q], x1 = load(x + 8) - mean[q];
    for (int l = 0; l < PLANES; l++) {
      v8 value = splat(plane[l]);
      low[l] += x0 * value;
      high[l] += x1 * value;
    }
  }
  for (int l = 0; l < PLANES; l++) {
    const float edge = DEAD_ZONE * w.c.plane_max[w.kind][first + l];
    const int bit = (int)(1u << (first + l));
    code[0] |= (low[l] > length0 * edge) & bit;
    code[1] |= (high[l] > length1 * edge) & bit;
  }
}

}  // namespace

PHASE void hash_channels(const Window& w, int level, Plan& p) {
  const Conv& c = w.c;
  const int n = w.positions();
  p.code.resize(c.depth), p.length.resize(c.depth), p.square.resize(c.depth);
  channel_means(w, p);
  const float* mean = p.mean.data();
  for (int k = 0; k < c.depth; k += 16) {
    v8 length[2] = {}, square[2] = {}, hashed[2] = {};
    for (int q = 0; q < n; q++)
      for (int v = 0; v < 2; v++) {
        v8 x = load(w.at(q) + k + 8 * v);
        length[v] += absolute(x);
        square[v] += x * x;
        hashed[v] += absolute(x - mean[q]);
      }
    i8 code[2] = {};
    int first = 0;
    for (; first + 6 <= level; first += 6) hash_planes<6>(w, mean, first, k, hashed[0], hashed[1], code);
    for (; first + 2 <= level; first += 2) hash_planes<2>(w, mean, first, k, hashed[0], hashed[1], code);
    if (first < level) hash_planes<1>(w, mean, first, k, hashed[0], hashed[1], code);
    for (int v = 0; v < 2; v++) {
      store(&p.length[k + 8 * v], length[v]);
      store(&p.square[k + 8 * v], square[v]);
      memcpy(&p.code[k + 8 * v], &code[v], sizeof code[v]);
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
