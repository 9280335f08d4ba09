// Plan the buckets of a patch, merge inputs and filters, convolve what is left.
#include <algorithm>
#include <cmath>

#include "plan.h"

namespace HASTE_NAMESPACE {
namespace {

Plan& plan_of_thread() {
  static thread_local Plan plan;
  return plan;
}

int64_t fit_flops(int64_t merged, int64_t buckets, int64_t positions, bool products) {
  return (merged - buckets) * positions + (products ? 2 * positions * (merged + buckets) : 0);
}

// Sums, factors and residuals of the buckets that `column` numbers; members hold one entry a merged channel.
PHASE void fit(const Window& w, Patch& patch, const std::vector<uint8_t>* only) {
  const int n = w.positions(), depth = patch.depth;
  auto chosen = [&](int bucket) { return !only || (*only)[bucket]; };
  std::vector<float>& u = patch.inputs;
  for (int q = 0; q < n; q++)
    for (int j = 0; j < patch.buckets; j++)
      if (chosen(j)) u[(size_t)q * depth + j] = 0;
  std::vector<int> size(patch.buckets, 0);
  for (const Member& m : patch.members) {
    if (!chosen(m.bucket)) continue;
    size[m.bucket]++;
    for (int q = 0; q < n; q++) u[(size_t)q * depth + m.bucket] += w.at(q)[m.channel];
  }
  for (Member& m : patch.members) {
    if (!chosen(m.bucket)) continue;
    if (w.c.method.merge == HASTE_MEAN) {
      m.factor = 1.0f / (float)size[m.bucket];
      continue;
    }
    float dot = 0, norm = 0;
    for (int q = 0; q < n; q++) {
      const float v = u[(size_t)q * depth + m.bucket];
      dot += w.at(q)[m.channel] * v;
      norm += v * v;
    }
    m.factor = norm > 0 ? dot / norm : 0;
  }
}

float residual(const Window& w, const Patch& patch, const Member& m) {
  float sum = 0;
  for (int q = 0, n = w.positions(); q < n; q++) {
    const float d = w.at(q)[m.channel] - m.factor * patch.inputs[(size_t)q * patch.depth + m.bucket];
    sum += d * d;
  }
  return std::sqrt(sum);
}

// The verification law: members that fail leave, buckets that fail again are dissolved.
PHASE void verify(const Window& w, Patch& patch, const Plan& p, Counts* counts) {
  const Conv& c = w.c;
  double total = 0;
  for (int k = 0; k < c.inputs; k++) total += (double)p.square[k] * c.norms[k] * c.norms[k];
  const float bound = c.method.tolerance * (float)std::sqrt(total);
  for (int round = 0; round < 2; round++) {
    std::vector<uint8_t> touched(patch.buckets, 0), fails(patch.members.size(), 0);
    bool any = false;
    for (size_t i = 0; i < patch.members.size(); i++) {
      const Member& m = patch.members[i];
      fails[i] = residual(w, patch, m) * c.norms[m.channel] > bound;
      if (fails[i]) touched[m.bucket] = 1, any = true;
    }
    if (!any) return;
    std::vector<int> left(patch.buckets, 0);
    for (size_t i = 0; i < patch.members.size(); i++) left[patch.members[i].bucket] += !fails[i];
    size_t kept = 0;
    int64_t merged = 0, buckets = 0;
    for (int j = 0; j < patch.buckets; j++)
      if (touched[j] && left[j] > 1) merged += left[j], buckets++;
    for (size_t i = 0; i < patch.members.size(); i++) {
      const Member m = patch.members[i];
      const bool gone = touched[m.bucket] && (round == 1 || fails[i] || left[m.bucket] < 2);
      if (!gone) patch.members[kept++] = m;
    }
    patch.members.resize(kept);
    if (round == 0) counts->input_flops += fit_flops(merged, buckets, w.positions(), true);
    fit(w, patch, &touched);
  }
}

// Number the buckets that are left from 0 and throw their gaps out of the inputs.
PHASE void compact(const Window& w, Patch& patch) {
  std::vector<int> number(patch.buckets, -1);
  int buckets = 0;
  for (Member& m : patch.members) {
    if (number[m.bucket] < 0) number[m.bucket] = buckets++;
  }
  const int depth = round_up(buckets, 8), before = patch.depth;
  std::vector<float> inputs((size_t)w.positions() * depth, 0);
  for (int j = 0; j < patch.buckets; j++)
    for (int q = 0; number[j] >= 0 && q < w.positions(); q++)
      inputs[(size_t)q * depth + number[j]] = patch.inputs[(size_t)q * before + j];
  for (Member& m : patch.members) m.bucket = number[m.bucket];
  patch.inputs.swap(inputs);
  patch.buckets = buckets;
  patch.depth = depth;
}

PHASE void plan_buckets(const Window& w, Patch& patch, Plan& p, Counts* counts) {
  const Conv& c = w.c;
  patch.members.clear();
  patch.buckets = 0;
  p.column.assign(c.depth, -1);
  int64_t dropped = 0;
  for (int k = 0; k < c.inputs; k++) {
    const int leader = p.leader[k];
    dropped += leader < 0;
    if (leader < 0 || p.size[leader] < 2) continue;
    if (p.column[leader] < 0) p.column[leader] = patch.buckets++;
    patch.members.push_back({k, p.column[leader], 0});
  }
  const bool verified = c.method.tolerance >= 0, products = c.method.merge == HASTE_PROJECTION || verified;
  counts->input_flops += fit_flops((int64_t)patch.members.size(), patch.buckets, w.positions(), products);
  if (verified) counts->input_flops += 2 * (int64_t)w.positions() * c.inputs;
  patch.depth = round_up(patch.buckets, 8);
  patch.inputs.assign((size_t)w.positions() * patch.depth, 0);
  if (patch.buckets) {
    fit(w, patch, nullptr);
    if (verified) verify(w, patch, p, counts);
    compact(w, patch);
  }
  counts->input_flops += (int64_t)patch.buckets * w.positions();
  counts->channels += c.inputs;
  counts->buckets += c.inputs - dropped - (int64_t)patch.members.size() + patch.buckets;
}

// Lists of the channels that stay alone, read in place, and of the merged ones; counts what they leave.
PHASE void list_inputs(const Window& w, Patch& patch, Plan& p, Counts* counts) {
  const Conv& c = w.c;
  const bool skip = c.method.skip_pixels > 0;
  const int block = std::min(skip ? c.method.skip_pixels : WIDE, WIDE);
  const int blocks = (patch.columns + block - 1) / block, run = c.kernel * patch.depth;
  p.keep.assign(c.depth / 8, 0);
  for (int k = 0; k < c.inputs; k++)
    if (p.leader[k] >= 0) p.keep[k / 8] |= 1 << (k % 8);
  int64_t dropped = 0;
  for (int k = 0; k < c.inputs; k++) dropped += p.leader[k] < 0;
  for (const Member& m : patch.members) p.keep[m.channel / 8] &= ~(1 << (m.channel % 8));
  p.real.assign(patch.depth / 8, 0);
  for (int j = 0; j < patch.buckets; j++) p.real[j / 8] |= 1 << (j % 8);
  patch.single.shape(w.height * blocks, c.run);
  patch.merged.shape(w.height * blocks, run);
  patch.live.assign((size_t)c.kernel * run, 0);
  const int64_t whole = (int64_t)c.kernel * c.kernel * patch.rows * patch.columns;
  int64_t seen = 0, merged_taps = 0;
  for (int row = 0; row < w.height; row++) {
    int readers = 0;
    for (int y = 0; y < patch.rows; y++) readers += row >= y * c.step && row < y * c.step + c.kernel;
    for (int b = 0; b < blocks; b++) {
      const int list = row * blocks + b, pixels = std::min(block, patch.columns - b * block);
      int all, none;
      int& n = patch.single.counts[list];
      n = make_list(w.x + row * w.row + (size_t)b * block * c.step * w.pixel, c.run, pixels, c.step * w.pixel,
                    p.keep.data(), c.depth, skip, patch.single.list(list), &all);
      int& m = patch.merged.counts[list];
      m = 0;
      if (run)
        m = make_list(&patch.inputs[((size_t)row * w.width + b * block * c.step) * patch.depth], run, pixels,
                      (size_t)c.step * patch.depth, p.real.data(), patch.depth, skip, patch.merged.list(list), &none);
      counts->executed += (int64_t)(n + m) * readers * pixels;
      seen += (int64_t)all * readers * pixels;
      for (int y = 0; y < patch.rows; y++) {
        const int ky = row - y * c.step;
        if (ky < 0 || ky >= c.kernel) continue;
        for (int i = 0; i < m; i++) patch.live[ky * run + patch.merged.list(list)[i]] = 1;
      }
    }
  }
  counts->zeros += skip ? whole * c.inputs - seen : whole * dropped;
  std::vector<int> size(patch.buckets, 0);
  for (const Member& m : patch.members) size[m.bucket]++;
  for (int ky = 0; ky < c.kernel; ky++)
    for (int kx = 0; kx < c.kernel; kx++)
      for (int j = 0; j < patch.buckets; j++)
        if (patch.live[ky * run + kx * patch.depth + j]) merged_taps += size[j] - 1;
  counts->filters += merged_taps;
}

// One merged row of every tap: the sum of the members' rows, each times its factor; all taps, since a test of each
// would cost more than the rows that it spares.
template <int MEMBERS>
void merge_rows(const Conv& c, const Patch& patch, const Member* members, int count, const float* w, float* rows) {
  const int n = MEMBERS ? MEMBERS : count;
  for (int ky = 0; ky < c.kernel; ky++)
    for (int kx = 0; kx < c.kernel; kx++) {
      const float* tap = w + ((size_t)ky * c.run + (size_t)kx * c.depth) * PANEL;
      v8 low = {}, high = {};
      for (int m = 0; m < n; m++) {
        const float* f = tap + (size_t)members[m].channel * PANEL;
        low += load(f) * members[m].factor;
        high += load(f + 8) * members[m].factor;
      }
      float* row = rows + (((size_t)ky * c.kernel + kx) * patch.depth + members->bucket) * PANEL;
      store(row, low);
      store(row + 8, high);
    }
}

// The merged filters of one panel: [kernel row][kernel column, bucket][PANEL].
PHASE void merge_filters(const Conv& c, const Patch& patch, int panel, std::vector<float>& rows) {
  const size_t size = (size_t)c.kernel * c.kernel * patch.depth * PANEL;
  if (rows.size() < size) rows.resize(size);
  const float* w = c.panel(panel);
  const Member *member = patch.members.data(), *last = member + patch.members.size();
  while (member < last) {
    const Member* end = member + 1;
    while (end < last && end->bucket == member->bucket) end++;
    const int count = (int)(end - member);
    switch (count) {
      case 2: merge_rows<2>(c, patch, member, count, w, rows.data()); break;
      case 3: merge_rows<3>(c, patch, member, count, w, rows.data()); break;
      case 4: merge_rows<4>(c, patch, member, count, w, rows.data()); break;
      default: merge_rows<0>(c, patch, member, count, w, rows.data());
    }
    member = end;
  }
}

}  // namespace

int patch_count(const Conv& c) {
  const int side = c.method.patch_outputs;
  return ((c.height + side - 1) / side) * ((c.width + side - 1) / side);
}

void plan_patches(const Conv& c, const Buffer& in, int image, int level, std::vector<Patch>& patches, int from, int to,
                  Counts* counts) {
  const int side = c.method.patch_outputs, shift = in.border - c.padding;
  const int across = (c.width + side - 1) / side;
  Plan& plan = plan_of_thread();
  for (int i = from; i < to; i++) {
    Patch& patch = patches[i];
    patch.row = i / across * side;
    patch.column = i % across * side;
    patch.rows = std::min(side, c.height - patch.row);
    patch.columns = std::min(side, c.width - patch.column);
    const int kind = 2 * (patch.rows < side && c.height > side) + (patch.columns < side && c.width > side);
    const int scale = c.step * c.pitch;
    const float* x = in.at(image, patch.row * scale + shift, patch.column * scale + shift);
    Window w{c, x, (size_t)in.columns * in.stride * c.pitch, (size_t)in.stride * c.pitch, (patch.rows - 1) * c.step + c.kernel,
             (patch.columns - 1) * c.step + c.kernel, kind, nullptr};
    plan.offsets.resize(w.positions());
    for (int q = 0; q < w.positions(); q++) plan.offsets[q] = q / w.width * w.row + q % w.width * w.pixel;
    w.offsets = plan.offsets.data();
    hash_channels(w, level, plan);
    find_leaders(w, plan);
    plan_buckets(w, patch, plan, counts);
    std::stable_sort(patch.members.begin(), patch.members.end(),
                     [](const Member& a, const Member& b) { return a.bucket < b.bucket; });
    list_inputs(w, patch, plan, counts);
    counts->hash_flops += c.hash_flops[kind][level] * c.inputs;
  }
}

void conv_merged(const Conv& c, const Buffer& in, const Buffer& out, const Buffer* residual, int image, int panel,
                 std::vector<Patch>& patches, std::vector<float>& rows) {
  const int block = std::min(c.method.skip_pixels > 0 ? c.method.skip_pixels : WIDE, WIDE);
  const int shift = in.border - c.padding;
  const float* w = c.panel(panel);
  for (Patch& patch : patches) {
    const size_t run = (size_t)c.kernel * patch.depth;
    const int blocks = (patch.columns + block - 1) / block;
    const int width = (patch.columns - 1) * c.step + c.kernel;
    if (run) merge_filters(c, patch, panel, rows);
    for (int y = 0; y < patch.rows; y++)
      for (int b = 0; b < blocks; b++) {
        const int pixels = std::min(block, patch.columns - b * block), column = b * block * c.step;
        Segment segments[14];
        float sums[WIDE * PANEL];
        int n = 0;
        for (int ky = 0; ky < c.kernel; ky++) {
          const int row = y * c.step + ky, list = row * blocks + b;
          segments[n++] = {patch.single.list(list), patch.single.counts[list],
                           in.at(image, (patch.row * c.step + row) * c.pitch + shift,
                                 (patch.column * c.step + column) * c.pitch + shift),
                           (size_t)c.step * c.pitch * in.stride, w + (size_t)ky * c.run * PANEL};
          if (patch.merged.counts[list])
            segments[n++] = {patch.merged.list(list), patch.merged.counts[list],
                             &patch.inputs[((size_t)row * width + column) * patch.depth],
                             (size_t)c.step * patch.depth, &rows[ky * run * PANEL]};
        }
        run_segments(pixels, segments, n, sums);
        for (int i = 0; i < pixels; i++) {
          const int oy = patch.row + y, oz = patch.column + b * block + i;
          const float* r = residual ? residual->at(image, oy + residual->border, oz + residual->border) : nullptr;
          finish(c, sums + i * PANEL, panel, out.at(image, oy + out.border, oz + out.border) + panel * PANEL,
                 r ? r + panel * PANEL : nullptr);
        }
      }
  }
}

}  // namespace HASTE_NAMESPACE
