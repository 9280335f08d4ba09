// Lists and plans first, then bands of pixels by panels of outputs, shared out to the threads.
#include "conv.h"

#include <atomic>
#include <cstring>

namespace HASTE_NAMESPACE {
namespace {

constexpr int BAND = 256;      // most pixels of a band: their sums, 64 KB, stay in the second-level cache
constexpr int SHARES = 2;      // pieces of work a thread at least, so that threads finish together
constexpr int SMALLEST = 32;   // pixels that a band needs to be worth a chunk's way into the cache

enum Form { DENSE, ZEROS, PATCHES, FORMS };

Form form_of(const Conv& c, int level) {
  if (!c.method.enabled || level == HASTE_DENSE) return DENSE;
  const bool merges = level > 0 && level < HASTE_ZEROS && c.method.merge != HASTE_NO_MERGE;
  return merges ? PATCHES : c.method.skip ? ZEROS : DENSE;
}

// One piece of work: pixels from..to, patches first..last where there are any.
struct Band {
  Form form;
  int from, to, first, last;
};

struct alignas(64) Watches {
  int64_t hashing = 0, merging = 0;
};

class Run {
 public:
  Run(const Conv& c, Workspace& space, Pool& pool, const Buffer& in, const Buffer& out, const Buffer* residual, int n,
      const int32_t* levels, int64_t* times)
      : c(c), space(space), pool(pool), in(in), out(out), residual(residual), n(n), levels(levels), times(times) {
    watches.assign(pool.threads(), {});
    space.counts.assign((size_t)pool.threads() * n, Counts{});
    space.edges.assign(n, 0);
    if ((int)space.pruned.size() < n) space.pruned.resize(n);
    for (int i = 0; i < n; i++) images[form_of(c, levels[i])].push_back(i);
  }

  void make_lists() {
    if (images[ZEROS].empty() && images[PATCHES].empty()) return;
    Stopwatch watch(times ? &times[HASTE_LISTING] : nullptr);
    if (c.method.threshold > 0) find_edges();
    positions = (size_t)in.rows * (in.columns + 1);
    if (!images[ZEROS].empty()) space.zeros.shape(c.groups(), c.group, positions * images[ZEROS].size());
    space.patches.clear();
    size_t windows = 0;
    for (int i : images[PATCHES]) place_patches(c, i, space.patches, &windows);
    if (windows) space.lone.shape(c.groups(), c.group, windows);
    pool.run([&](int t) {
      for (size_t i = 0; i < images[ZEROS].size(); i++) {
        const int image = images[ZEROS][i];
        list_image(c, in, image, space.edges[image], space.zeros, i * positions, share(in.rows, t),
                   share(in.rows, t + 1), counts(t, image));
      }
      const int patches = (int)space.patches.size();
      for (int p = share(patches, t); p < share(patches, t + 1); p++) {
        Patch& patch = space.patches[p];
        plan_patch(c, in, input(patch.image), levels[patch.image], patch, space.lone, counts(t, patch.image),
                   times ? &watches[t].hashing : nullptr);
      }
    });
  }

  void multiply() {
    Stopwatch watch(times ? &times[HASTE_MULTIPLYING] : nullptr);
    cut();
    const int bands = (int)this->bands.size(), items = bands * c.panels();
    std::atomic<int> next{0};
    pool.run([&](int t) {
      static thread_local Floats scratch((size_t)BAND * PANEL);
      static thread_local std::vector<float> large;
      for (int item; (item = next.fetch_add(1)) < items;) {
        const Band& band = this->bands[item % bands];
        float* sums = scratch.get();
        if (band.to - band.from > BAND) {  // one patch that is larger than a band
          large.resize((size_t)(band.to - band.from) * PANEL);
          sums = large.data();
        }
        compute(band, item / bands, sums, times ? &watches[t].merging : nullptr);
      }
    });
  }

  // Counts over the threads; of the time, hashing and merging are parts of what surrounds them.
  void total(int64_t* totals) const {
    for (int t = 0; times && t < pool.threads(); t++) {
      const int64_t hashing = watches[t].hashing / pool.threads(), merging = watches[t].merging / pool.threads();
      times[HASTE_HASHING] += hashing, times[HASTE_LISTING] -= hashing;
      times[HASTE_MERGING] += merging, times[HASTE_MULTIPLYING] -= merging;
    }
    const int64_t whole = (int64_t)c.kernel * c.kernel * c.inputs * c.height * c.width;
    for (int i = 0; i < n; i++) {
      Counts sum{};
      for (int t = 0; t < pool.threads(); t++)
        for (int k = 0; k < HASTE_COUNTS; k++) ((int64_t*)&sum)[k] += ((const int64_t*)counts(t, i))[k];
      const Form form = form_of(c, levels[i]);
      if (form == DENSE) sum.executed = whole;
      if (form == ZEROS) sum.zeros = whole - sum.executed;
      if (form != DENSE && levels[i] > 0 && c.method.threshold > 0)
        sum.hash_flops += HASTE_THRESHOLD_FLOPS * entries_read(c, in);
      memcpy(totals + (size_t)i * HASTE_COUNTS, &sum, HASTE_COUNTS * sizeof *totals);
    }
  }

 private:
  int share(int of, int thread) const { return (int)((int64_t)of * thread / pool.threads()); }
  Counts* counts(int thread, int image) const { return &space.counts[(size_t)thread * n + image]; }
  const float* input(int image) const {
    return space.edges[image] > 0 ? space.pruned[image].data() : in.at(image, 0, 0);
  }

  void find_edges() {
    std::vector<int> steered;
    for (int i = 0; i < n; i++)
      if (levels[i] > 0 && form_of(c, levels[i]) != DENSE) steered.push_back(i);
    if (steered.empty()) return;
    const int rows = rows_read(c, in), all = rows * (int)steered.size();
    space.energies.resize(all);
    pool.run([&](int t) {
      for (int r = share(all, t); r < share(all, t + 1); r++)
        space.energies[r] = row_energy(c, in, steered[r / rows], r % rows);
    });
    for (size_t i = 0; i < steered.size(); i++)
      space.edges[steered[i]] = near_zero(c, in, &space.energies[i * rows], levels[steered[i]] % HASTE_ZEROS);
    if (images[PATCHES].empty()) return;
    for (int i : images[PATCHES])
      if (space.pruned[i].size() < in.image + LANES) space.pruned[i].resize(in.image + LANES);  // a vector is read past the end
    pool.run([&](int t) {
      for (int i : images[PATCHES])
        if (space.edges[i] > 0)
          prune(c, in, i, space.edges[i], share(in.rows, t), share(in.rows, t + 1), space.pruned[i].data());
    });
  }

  Pixel pixel(int image, int y, int x, size_t list, int pitch, int column) const {
    const int shift = in.border - c.padding;
    return {in.at(image, y * c.step + shift, x * c.step + shift), list, pitch, column,
            out.at(image, y + out.border, x + out.border),
            residual ? residual->at(image, y + residual->border, x + residual->border) : nullptr};
  }

  // Every output pixel of the batch, form by form, and the bands they fall into.
  void cut() {
    space.pixels.clear();
    const int shift = in.border - c.padding, pitch = in.columns + 1;
    for (Form form : {DENSE, ZEROS}) {
      const int from = (int)space.pixels.size();
      for (size_t i = 0; i < images[form].size(); i++)
        for (int y = 0; y < c.height; y++)
          for (int x = 0; x < c.width; x++)
            space.pixels.push_back(pixel(images[form][i], y, x,
                                         i * positions + (size_t)(y * c.step + shift) * pitch + x * c.step + shift,
                                         pitch, x * c.step + shift));
      const int pixels = (int)space.pixels.size() - from, most = most_pixels(pixels);
      const int parts = (pixels + most - 1) / most;
      for (int b = 0; b < parts; b++)
        bands.push_back({form, from + (int)((int64_t)pixels * b / parts), from + (int)((int64_t)pixels * (b + 1) / parts), 0, 0});
    }
    cut_patches();
  }

  void cut_patches() {
    const int step = c.kernel > 1 ? c.step : 1, patches = (int)space.patches.size();
    const int most = most_pixels((int)images[PATCHES].size() * c.height * c.width);
    if (images[PATCHES].empty()) return;
    for (int p = 0; p < patches; p++) {
      const Patch& patch = space.patches[p];
      const int from = (int)space.pixels.size(), pixels = patch.rows * patch.columns;
      for (int y = 0; y < patch.rows; y++)
        for (int x = 0; x < patch.columns; x++)
          space.pixels.push_back(pixel(patch.image, patch.row + y, patch.column + x,
                                       patch.position + (size_t)y * step * (patch.width + 1) + x * step,
                                       patch.width + 1, x * step));
      if (!p || bands.back().to + pixels - bands.back().from > most)
        bands.push_back({PATCHES, from, from + pixels, p, p + 1});
      else
        bands.back().to += pixels, bands.back().last++;
    }
  }

  int most_pixels(int pixels) const {
    if (pool.threads() == 1) return BAND;
    const int shares = (pool.threads() * SHARES + c.panels() - 1) / c.panels();
    return std::min(BAND, std::max(SMALLEST, (pixels + shares - 1) / shares));
  }

  void compute(const Band& band, int panel, float* sums, int64_t* merging) const {
    const Pixel* pixels = &space.pixels[band.from];
    const int count = band.to - band.from;
    start(c, panel, count, sums);
    if (band.form == DENSE) dense(c, in, panel, pixels, count, sums);
    else sparse(c, band.form == ZEROS ? space.zeros : space.lone, panel, pixels, count, sums);
    for (int p = band.first, done = 0; p < band.last; p++) {
      const Patch& patch = space.patches[p];
      add_merged(c, panel, patch, pixels + done, sums + (size_t)done * PANEL, merging);
      done += patch.rows * patch.columns;
    }
    finish(c, panel, pixels, count, sums);
  }

  const Conv& c;
  Workspace& space;
  Pool& pool;
  const Buffer &in, &out;
  const Buffer* residual;
  const int n;
  const int32_t* levels;
  int64_t* times;
  std::vector<Watches> watches;  // by thread
  std::vector<int> images[FORMS];
  std::vector<Band> bands;
  size_t positions = 0;
};

}  // namespace

void convolve(const Conv& c, Workspace& space, Pool& pool, const Buffer& in, const Buffer& out, const Buffer* residual,
              int n, const int32_t* levels, int64_t* counts, int64_t* times) {
  Run run(c, space, pool, in, out, residual, n, levels, times);
  run.make_lists();
  run.multiply();
  run.total(counts);
}

}  // namespace HASTE_NAMESPACE
