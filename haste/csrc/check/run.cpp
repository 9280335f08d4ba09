// Batches for random networks, and one call of the engine.
#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "network.h"

Batch::Batch(Random& random, const Network& network, int n, int level) : n(n) {
  const haste_buffer& in = network.input();
  images.reserve(1), levels.reserve(1);
  images.resize((size_t)n * in.channels * in.height * in.width);
  for (float& v : images) v = network.whole ? (float)random.whole(-3, 3) : random.real();
  levels.resize((size_t)network.count() * n);
  std::vector<int> own(n, level);
  for (int i = 0; i < n; i++)
    if (level < HASTE_DENSE) own[i] = random.chance(60) ? random.whole(1, HASTE_MAX_PLANES) : random.whole(-1, 0);
  for (size_t k = 0; k < levels.size(); k++) {
    const int offset = own[k % n] > 0 ? random.whole(-2, 2) : 0;  // layers differ by a little
    const int zeros = own[k % n] > 0 && random.chance(33) ? HASTE_ZEROS : 0;  // what a calibration makes of a level
    levels[k] = zeros + (offset ? std::min<int>(HASTE_MAX_PLANES, std::max(1, own[k % n] + offset)) : own[k % n]);
  }
}

Batch::Batch(const Network& network, const Batch& of, int image) : n(1) {
  const size_t size = of.images.size() / of.n;
  images.assign(of.images.begin() + image * size, of.images.begin() + (image + 1) * size);
  for (int k = 0; k < network.count(); k++) levels.push_back(of.levels[(size_t)k * of.n + image]);
}

bool Result::operator==(const Result& other) const {
  return !failed && !other.failed && counts == other.counts && logits.size() == other.logits.size() &&
         !memcmp(logits.data(), other.logits.data(), logits.size() * sizeof(float));
}

Result Result::of(const Network& network, int image) const {
  const int n = (int)logits.size() / network.outputs();
  Result one;
  one.failed = failed;
  const auto own = logits.begin() + (size_t)image * network.outputs();
  one.logits.assign(own, own + network.outputs());
  for (int k = 0; k < network.count(); k++) {
    const auto first = counts.begin() + ((size_t)k * n + image) * HASTE_COUNTS;
    one.counts.insert(one.counts.end(), first, first + HASTE_COUNTS);
  }
  return one;
}

Engine::Engine(const haste_implementation& implementation, const Network& network, int threads)
    : implementation_(implementation),
      network_(network),
      program_(implementation.create(network.buffers.data(), (int)network.buffers.size(), network.operations.data(),
                                     network.count(), threads),
               implementation.destroy) {
  if (!program_) throw std::runtime_error(implementation.error());
}

Result Engine::run(const Batch& batch) const {
  Result r;
  r.logits.reserve(1), r.counts.reserve(1);  // a batch of no image has addresses all the same
  r.logits.assign((size_t)batch.n * network_.outputs(), -1);
  r.counts.assign((size_t)network_.count() * batch.n * HASTE_COUNTS, -1);
  std::vector<int64_t> times((size_t)network_.count() * HASTE_TIMES);
  r.failed = implementation_.run(program_.get(), batch.images.data(), batch.n, batch.levels.data(), r.logits.data(),
                                 r.counts.data(), batch.n % 2 ? times.data() : nullptr);
  return r;
}
