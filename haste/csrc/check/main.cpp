// haste_check [percent of the networks] [first seed]: one line a law and implementation; 1 where one does not hold.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>

#include "laws.h"

namespace {

void describe(const Network& network) {
  for (size_t i = 0; i < network.buffers.size(); i++) {
    const haste_buffer& b = network.buffers[i];
    printf("  buffer %zu: %d x %d, %d channels, border %d\n", i, b.height, b.width, b.channels, b.border);
  }
  for (const haste_operation& o : network.operations) {
    const haste_method& m = o.method;
    printf("  kind %d: %d -> %d, residual %d, K %d, stride %d, padding %d, relu %d", o.kind, o.in, o.out, o.residual,
           o.kernel, o.stride, o.padding, o.relu);
    if (m.enabled)
      printf("; T %d, skip %d, merge %d, centre %d, drop_zero %d, tolerance %g, threshold %g", m.patch_outputs, m.skip,
             m.merge, m.centre, m.drop_zero, m.tolerance, m.threshold);
    printf("\n");
  }
}

bool holds(const haste_implementation& implementation, const Law& law, int networks, uint32_t first) {
  const auto start = std::chrono::steady_clock::now();
  for (uint32_t seed = first; seed < first + networks; seed++) {
    try {
      Random random(seed);
      law.check(implementation, random, seed % 2);
    } catch (const std::exception& error) {
      printf("%s: %s: NOT at seed %u: %s\n", implementation.name, law.name, seed, error.what());
      Random random(seed);
      describe(Network(random, seed % 2));
      return false;
    }
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  printf("%s: %s: %d networks, %.1f s\n", implementation.name, law.name, networks, took.count());
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  setvbuf(stdout, nullptr, _IOLBF, 0);
  const int percent = argc > 1 ? atoi(argv[1]) : 100;
  const uint32_t first = argc > 2 ? (uint32_t)atoi(argv[2]) : 1;
  bool all = true;
  for (int i = 0; const haste_implementation* implementation = haste_available(i); i++)
    for (int k = 0; k < law_count; k++)
      all = holds(*implementation, laws[k], (laws[k].networks * percent + 99) / 100, first) && all;
  return all ? 0 : 1;
}
