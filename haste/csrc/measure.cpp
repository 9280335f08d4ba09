// What one thread of this machine can do at best: multiply-adds out of registers, and reading from memory.
#include <algorithm>
#include <chrono>
#include <vector>

#include "engine.h"
#include "measure.h"

namespace HASTE_NAMESPACE {
namespace {

constexpr int ROUNDS = 20, CHAINS = 10;

double seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

// Ten sums in registers, which is more than latency times units needs.
PHASE float multiply_adds(int n, float scale) {
  vec s0 = splat(scale), s1 = s0 + 1, s2 = s0 + 2, s3 = s0 + 3, s4 = s0 + 4;  // different, or they would be computed once
  vec s5 = s0 + 5, s6 = s0 + 6, s7 = s0 + 7, s8 = s0 + 8, s9 = s0 + 9;
  const vec a = splat(scale), b = splat(1 - scale);
  for (int i = 0; i < n; i++) {
    s0 = s0 * a + b, s1 = s1 * a + b, s2 = s2 * a + b, s3 = s3 * a + b, s4 = s4 * a + b;
    s5 = s5 * a + b, s6 = s6 * a + b, s7 = s7 * a + b, s8 = s8 * a + b, s9 = s9 * a + b;
  }
  return (s0 + s1 + s2 + s3 + s4 + s5 + s6 + s7 + s8 + s9)[0];
}

PHASE float read(const float* x, size_t n) {
  vec s[4] = {};
  for (size_t i = 0; i < n; i += 4 * LANES)
    for (int v = 0; v < 4; v++) s[v] += load(x + i + LANES * v);
  return (s[0] + s[1] + s[2] + s[3])[0];
}

}  // namespace

double peak_gflops() {
  constexpr int n = 50000;
  double best = 0;
  volatile float sink = 0;
  for (int round = 0; round < ROUNDS; round++) {
    const double start = seconds();
    sink = sink + multiply_adds(n, 0.5f);
    best = std::max(best, 2.0 * LANES * CHAINS * n / (seconds() - start) / 1e9);
  }
  return best;
}

double bandwidth_gbs() {
  const size_t n = (size_t)64 << 20 >> 2;  // 64 MB: more than a cache holds
  const Floats x(n);
  double best = 0;
  volatile float sink = 0;
  for (int round = 0; round < 5; round++) {
    const double start = seconds();
    sink = sink + read(x.get(), n);
    best = std::max(best, 4.0 * n / (seconds() - start) / 1e9);
  }
  return best;
}

}  // namespace HASTE_NAMESPACE
