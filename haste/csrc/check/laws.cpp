// The laws of the native engine, on networks drawn at random.
#include "laws.h"

#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <thread>

#include "plain.h"

namespace {

// Of the sum of the absolute terms of a logit: sums in another order, layer upon layer, or in the last one alone.
constexpr double TOLERANCE = 1e-4, TOLERANCE_OF_WHOLE = 1e-5;

void require(bool holds, const std::string& what) {
  if (!holds) throw std::runtime_error(what);
}

bool same_value(double expected, double got, double tolerance) {
  if (std::isnan(expected) || std::isnan(got)) return std::isnan(expected) && std::isnan(got);
  if (std::isinf(expected) || std::isinf(got)) return expected == got;
  return std::fabs(expected - got) <= tolerance;
}

// Which values are zero is told alike only where no sum rounds: `exact`.
void require_plain(const Network& network, const Batch& batch, const Result& result, bool exact) {
  require(!result.failed, "a run failed");
  const size_t size = batch.images.size() / batch.n;
  for (int i = 0; i < batch.n; i++) {
    const Plain expected = plain(network, &batch.images[i * size]);
    for (int o = 0; o < network.outputs(); o++) {
      const double tolerance = (network.whole ? TOLERANCE_OF_WHOLE : TOLERANCE) * expected.scale[o] + 1e-6;
      const double got = result.logits[(size_t)i * network.outputs() + o];
      require(same_value(expected.logits[o], got, tolerance),
              "image " + std::to_string(i) + ", logit " + std::to_string(o) + ": " +
                  std::to_string(expected.logits[o]) + " expected, " + std::to_string(got) + " given");
    }
    for (int k = 0; k < network.count(); k++) {
      const haste_operation& op = network.operations[k];
      if (op.kind != HASTE_CONV) continue;
      const int64_t* counts = &result.counts[((size_t)k * batch.n + i) * HASTE_COUNTS];
      const bool sparse = op.method.enabled && op.method.skip && batch.levels[(size_t)k * batch.n + i] != HASTE_DENSE;
      const std::string at = "operation " + std::to_string(k) + ", image " + std::to_string(i);
      require(counts[0] + counts[1] == expected.whole[k], at + ": what is executed and skipped is not the whole");
      if (!sparse) require(counts[1] == 0, at + ": a dense image skips");
      else if (exact) require(counts[0] == expected.live[k], at + ": not what zeros leave is executed");
    }
  }
}

void plain_loops(const haste_implementation& implementation, Random& random, bool whole) {
  const Network network(random, whole);
  const Engine engine(implementation, network, random.whole(1, 4));
  for (int level : {HASTE_DENSE, HASTE_EXACT}) {
    const Batch batch(random, network, random.whole(1, 3), level);
    require_plain(network, batch, engine.run(batch), whole);
  }
}

void thread_counts(const haste_implementation& implementation, Random& random, bool whole) {
  const Network network(random, whole);
  const Batch batch(random, network, random.whole(1, 5));
  const Result alone = Engine(implementation, network, 1).run(batch);
  for (int threads = 2; threads <= 4; threads++)
    require(Engine(implementation, network, threads).run(batch) == alone,
            std::to_string(threads) + " threads differ from one");
}

void images_alone(const haste_implementation& implementation, Random& random, bool whole) {
  const Network network(random, whole);
  const Engine engine(implementation, network, random.whole(1, 2));
  const Batch batch(random, network, 4);
  const Result together = engine.run(batch);
  for (int i = 0; i < batch.n; i++)
    require(engine.run(Batch(network, batch, i)) == together.of(network, i), "an image differs from itself in a batch");
  require(engine.run(batch) == together, "a batch differs from itself after other calls");
}

void odd_floats(const haste_implementation& implementation, Random& random, bool whole) {
  const Network network(random, whole);
  const Engine engine(implementation, network, random.whole(1, 2));
  const float infinity = std::numeric_limits<float>::infinity();
  for (float value : {std::nanf(""), infinity, -infinity, 1e-42f, -1e-42f, -0.0f}) {
    for (int level : {-2, -2, (int)HASTE_DENSE, (int)HASTE_EXACT}) {
      const Batch batch(random, network, 2, level);
      Batch odd = batch;
      const int size = (int)batch.images.size() / 2;
      for (int i = random.whole(1, 3); i > 0; i--) odd.images[random.whole(0, size - 1)] = value;
      const Result before = engine.run(batch), result = engine.run(odd);
      if (level != -2) require_plain(network, odd, result, whole && !(std::fabs(value) < 1));
      require(result.of(network, 1) == before.of(network, 1), "an odd float reaches the next image");
      require(engine.run(batch) == before, "an odd float reaches the next call");
    }
  }
}

void many_programs(const haste_implementation& implementation, Random& random, bool whole) {
  const Network network(random, whole);
  const Batch batch(random, network, 2);
  const Result expected = Engine(implementation, network, 1).run(batch);
  for (int i = 0; i < 10; i++) {
    const Engine engine(implementation, network, 1 + i % 4);
    if (i % 3 == 0) continue;  // made and never called
    for (int n : {3, 1, 0, 5}) require(!engine.run(Batch(random, network, n)).failed, "a run failed");
    require(engine.run(batch) == expected, "a program differs after batches of other sizes");
  }
}

void refuse(const haste_implementation& implementation, const Network& network, int count, int threads,
            const char* what) {
  haste_program* program = implementation.create(network.buffers.data(), (int)network.buffers.size(),
                                                 network.operations.data(), count, threads);
  if (program) implementation.destroy(program);
  require(!program, std::string(what) + " is accepted");
  require(*implementation.error(), std::string(what) + " is refused without a reason");
}

void refusals(const haste_implementation& implementation, Random& random, bool whole) {
  const Network network(random, whole);
  refuse(implementation, network, network.count(), 0, "a program without a thread");
  refuse(implementation, network, 0, 1, "a program without an operation");
  refuse(implementation, network, network.count() - 1, 1, "a program without a linear layer at its end");
  for (int k = 0; k < network.count(); k++) {
    const haste_operation& op = network.operations[k];
    const haste_buffer &image = network.input(), &out = network.buffers[op.out];
    auto refuse_operation = [&](const char* what, void (*spoil)(haste_operation&)) {
      Network other = network;
      spoil(other.operations[k]);
      refuse(implementation, other, other.count(), 2, what);
    };
    if (k) refuse_operation("an input that does not exist", [](haste_operation& o) { o.in = 99; });
    refuse_operation("an output that does not exist", [](haste_operation& o) { o.out = -1; });
    if (op.kind != HASTE_CONV) continue;
    refuse_operation("a padding beyond the border", [](haste_operation& o) { o.padding = 9; });
    refuse_operation("a kernel of 9", [](haste_operation& o) { o.kernel = 9; });
    refuse_operation("a linear layer before the last", [](haste_operation& o) { o.kind = HASTE_LINEAR; });
    refuse_operation("a residual that does not exist", [](haste_operation& o) { o.residual = 99; });
    if (image.height * image.width * image.channels != out.height * out.width * out.channels)
      refuse_operation("a residual of another shape", [](haste_operation& o) { o.residual = 0; });
    if (!op.method.enabled) continue;
    refuse_operation("a patch without outputs", [](haste_operation& o) { o.method.patch_outputs = 0; });
    if (op.method.merge == HASTE_NO_MERGE) continue;
    refuse_operation("planes of another window", [](haste_operation& o) { o.method.positions[0]++; });
  }
}

void two_callers(const haste_implementation& implementation, Random& random, bool whole) {
  const Network network(random, whole), other(random, whole);
  const Engine shared(implementation, network, 2), own(implementation, other, random.whole(2, 3));
  const Batch first(random, network, 3), second(random, network, 2), third(random, other, 2);
  const Result expected[] = {shared.run(first), shared.run(second), own.run(third)};
  bool held[] = {true, true, true};
  auto call = [&](int caller, const Engine& engine, const Batch& batch) {
    for (int i = 0; i < 5; i++) held[caller] = engine.run(batch) == expected[caller] && held[caller];
  };
  std::thread one(call, 0, std::cref(shared), std::cref(first)), two(call, 1, std::cref(shared), std::cref(second));
  call(2, own, third);
  one.join(), two.join();
  require(held[0] && held[1], "two calls of one program at once differ from one after the other");
  require(held[2], "calls of another program at the same time differ");
}

}  // namespace

const Law laws[] = {
    {"dense and exact are what plain loops give", 120, plain_loops},
    {"every number of threads gives the same bits", 100, thread_counts},
    {"an image in a batch gives the bits that it gives alone", 100, images_alone},
    {"odd floats stay where they are", 40, odd_floats},
    {"programs come and go, batches grow and shrink", 30, many_programs},
    {"a description that does not fit is refused", 30, refusals},
    {"two callers at once get what they get alone", 40, two_callers},
};
const int law_count = sizeof laws / sizeof *laws;
