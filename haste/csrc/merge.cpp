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
  for (int k = 0; k < c.inputs; k++) total += (double)p.square[k] * c.norms.get()[k] * c.norms.get()[k];
  const float bound = c.method.tolerance * (float)std::sqrt(total);
  for (int round = 0; round < 2; round++) {
    std::vector<uint8_t> touched(patch.buckets, 0), fails(patch.members.size(), 0);
    bool any = false;
    for (size_t i = 0; i < patch.members.size(); i++) {
      const Member& m = patch.members[i];
      fails[i] = residual(w, patch, m) * c.norms.get()[m.channel] > bound;
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
  const int depth = round_up(buckets, LANES), before = patch.depth;
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
  patch.depth = round_up(patch.buckets, LANES);
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

// The taps that read a window's position for any output of the patch: bit ky * K + kx.
uint64_t readers(const Conv& c, const Patch& patch, int row, int column) {
  const int step = c.kernel > 1 ? c.step : 1;
  uint64_t taps = 0;
  for (int ky = 0; ky < c.kernel; ky++)
    for (int kx = 0; kx < c.kernel; kx++) {
      const int y = row - ky, x = column - kx;
      const bool read = y >= 0 && x >= 0 && y % step == 0 && x % step == 0 && y / step < patch.rows && x / step < patch.columns;
      taps |= (uint64_t)read << (ky * c.kernel + kx);
    }
  return taps;
}

// The lists of one row and group of a window: of its channels where `keep` names them, else of its buckets, whose live
// taps are noted. Counts what they execute and returns what zeros alone would leave.
int64_t list_row(const Window& w, const Patch& patch, int row, int group, int channels, const uint16_t* keep,
                 uint64_t* taps, Lists& lists, size_t position, Counts* counts) {
  const Conv& c = w.c;
  const int first = group * c.group, n = std::min(c.group, channels - first);
  const size_t place = lists.at(group, position);
  uint32_t *starts = &lists.starts[place], at = (uint32_t)(place * c.group);
  int64_t seen = 0;
  for (int column = 0; column < w.width; column++) {
    const int q = row * w.width + column;
    const uint64_t reads = readers(c, patch, row, column);
    const float* x = taps ? &patch.inputs[(size_t)q * patch.depth] : w.at(q);
    int nonzero = 0;
    starts[column] = at;
    const int count = make_list(x + first, n, column * n, keep ? keep + first / LANES : nullptr, c.method.skip,
                                &lists.values[at], &lists.entries[at], &nonzero);
    for (int i = 0; taps && i < count; i++) taps[first + lists.entries[at + i] - column * n] |= reads;
    at += (uint32_t)count;
    counts->executed += (int64_t)count * __builtin_popcountll(reads);
    seen += (int64_t)nonzero * __builtin_popcountll(reads);
  }
  starts[w.width] = at;
  return seen;
}

// Lists of the channels that stay alone, and of the merged ones; counts what they leave.
PHASE void list_inputs(const Window& w, Patch& patch, Plan& p, Lists& lone, Counts* counts) {
  const Conv& c = w.c;
  const bool skip = c.method.skip;
  int64_t dropped = 0;
  p.keep.assign(c.depth / LANES, 0);
  for (int k = 0; k < c.inputs; k++) {
    if (p.leader[k] >= 0) p.keep[k / LANES] |= 1 << (k % LANES);
    else dropped++;
  }
  for (const Member& m : patch.members) p.keep[m.channel / LANES] &= ~(1 << (m.channel % LANES));
  patch.merged.first = patch.position;
  patch.merged.shape((patch.buckets + c.group - 1) / c.group, c.group, (size_t)w.height * (w.width + 1));
  p.taps.assign(patch.buckets, skip ? 0 : ~0ull);
  int64_t seen = 0;
  for (int row = 0; row < w.height; row++) {
    const size_t position = patch.position + (size_t)row * (w.width + 1);
    for (int g = 0; g < lone.groups; g++)
      seen += list_row(w, patch, row, g, c.inputs, p.keep.data(), nullptr, lone, position, counts);
    for (int g = 0; g < patch.merged.groups; g++)
      list_row(w, patch, row, g, patch.buckets, nullptr, p.taps.data(), patch.merged, position, counts);
  }
  const int64_t whole = (int64_t)c.kernel * c.kernel * patch.rows * patch.columns;
  counts->zeros += skip ? whole * c.inputs - seen : whole * dropped;
  const uint64_t every = (1ull << (c.kernel * c.kernel)) - 1;
  for (size_t i = 0; i < patch.members.size(); i++)
    if (i && patch.members[i].bucket == patch.members[i - 1].bucket)
      counts->filters += __builtin_popcountll(p.taps[patch.members[i].bucket] & every);
}

// The filter row of one bucket and tap: the sum of its members' rows, each times its factor.
template <int VECTORS>
const Member* merge_row(const Conv& c, const float* panel, int tap, const Member* member, const Member* last, float* row) {
  vec s[VECTORS] = {};
  const int bucket = member->bucket;
  for (; member < last && member->bucket == bucket; member++) {
    const float* w = panel + c.row(tap, member->channel) * VECTORS * LANES;
    for (int v = 0; v < VECTORS; v++) s[v] += load(w + LANES * v) * member->factor;
  }
  for (int v = 0; v < VECTORS; v++) store(row + LANES * v, s[v]);
  return member;
}

// The rows of the buckets from `member` on, up to a group of them; returns the first member that is left.
PHASE const Member* merge_rows(const Conv& c, int panel, int tap, const Member* member, const Member* last, float* rows) {
  const int width = c.width_of(panel);
  const float* w = c.panel(panel);
  with_vectors(width, [&](auto vectors) {
    for (int n = 0; n < c.group && member < last; n++, rows += width)
      member = merge_row<vectors.value>(c, w, tap, member, last, rows);
  });
  return member;
}

}  // namespace

void place_patches(const Conv& c, int image, std::vector<Patch>& patches, size_t* positions) {
  const int side = c.method.patch_outputs, step = c.kernel > 1 ? c.step : 1;
  for (int row = 0; row < c.height; row += side)
    for (int column = 0; column < c.width; column += side) {
      Patch p;
      p.image = image, p.row = row, p.column = column;
      p.rows = std::min(side, c.height - row), p.columns = std::min(side, c.width - column);
      p.height = (p.rows - 1) * step + c.kernel, p.width = (p.columns - 1) * step + c.kernel;
      p.position = *positions;
      *positions += (size_t)p.height * (p.width + 1);
      patches.push_back(std::move(p));
    }
}

void plan_patch(const Conv& c, const Buffer& in, const float* image, int level, Patch& patch, Lists& lone,
                Counts* counts, int64_t* hashing) {
  const int side = c.method.patch_outputs, shift = in.border - c.padding, hop = c.kernel > 1 ? 1 : c.step;
  const int kind = 2 * (patch.rows < side && c.height > side) + (patch.columns < side && c.width > side);
  Plan& plan = plan_of_thread();
  Window w{c,
           image + (size_t)in.at(patch.row * c.step + shift, patch.column * c.step + shift) * in.stride,
           (size_t)in.columns * in.stride * hop,
           (size_t)in.stride * hop,
           patch.height,
           patch.width,
           kind,
           nullptr};
  plan.offsets.resize(w.positions());
  for (int q = 0; q < w.positions(); q++) plan.offsets[q] = q / w.width * w.row + q % w.width * w.pixel;
  w.offsets = plan.offsets.data();
  {
    Stopwatch watch(hashing);
    hash_channels(w, level, plan);
    find_leaders(w, plan);
  }
  plan_buckets(w, patch, plan, counts);
  std::stable_sort(patch.members.begin(), patch.members.end(),
                   [](const Member& a, const Member& b) { return a.bucket < b.bucket; });
  list_inputs(w, patch, plan, lone, counts);
  counts->hash_flops += c.hash_flops[kind][level] * c.inputs;
}

void add_merged(const Conv& c, int panel, const Patch& patch, const Pixel* pixels, float* sums, int64_t* merging) {
  static thread_local Floats rows(CHUNK);
  const Member *member = patch.members.data(), *last = member + patch.members.size();
  const int width = c.width_of(panel);
  for (int group = 0; member < last; group++) {
    const Member* next = member;
    const int buckets = std::min(c.group, patch.buckets - group * c.group);
    for (int ky = 0; ky < c.kernel; ky++) {
      {
        Stopwatch watch(merging);
        for (int kx = 0; kx < c.kernel; kx++)
          next = merge_rows(c, panel, ky * c.kernel + kx, member, last, rows.get() + (size_t)kx * buckets * width);
      }
      sparse_chunk({ky, group * c.group, buckets, 0}, c.kernel, width, patch.merged, rows.get(), pixels,
                   patch.rows * patch.columns, sums);
    }
    member = next;
  }
}

}  // namespace HASTE_NAMESPACE
