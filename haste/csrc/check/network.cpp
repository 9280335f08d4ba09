// Networks of odd shapes, with random settings of the method.
#include "network.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace {

constexpr int64_t MOST_PRODUCTS = 1 << 20;  // of a convolution: the plain loops are slow
constexpr int FILTER_ENTRIES = 6;           // of a filter of whole numbers that are not zero: no sum reaches 2^24

int outputs_of(int size, int kernel, int stride, int padding) { return (size + 2 * padding - kernel) / stride + 1; }

}  // namespace

Network::Network(Random& random, bool whole) : whole(whole), random_(random) {
  const int side = random.whole(1, 14), other = random.chance(70) ? side : random.whole(1, 14);
  int at = activation(side, other, random.one_of({1, 2, 3, 4, 5, 8, 17}));
  for (int step = random.whole(1, 5); step > 0; step--) {
    const int choice = random.whole(1, 100);
    at = choice <= 60 ? any_convolution(at) : choice <= 85 ? block(at) : max_pool(at);
  }
  head(at);
  if (random.chance(50)) share_buffers();
}

int Network::activation(int height, int width, int channels) {
  buffers.push_back({height, width, channels, 0});
  return (int)buffers.size() - 1;
}

const float* Network::weights(size_t n, int inputs) {
  floats_.emplace_back(n * inputs);
  std::vector<float>& w = floats_.back();
  if (whole)
    for (size_t o = 0; o < n; o++)
      for (int i = 0; i < FILTER_ENTRIES; i++)
        w[o * inputs + random_.whole(0, inputs - 1)] = random_.one_of({-1.0f, 1.0f});
  else
    for (float& v : w) v = random_.real() * std::sqrt(3.0f / (float)inputs);
  return w.data();
}

// Planes, costs and settings for an output of that size; `haste.h` tells which window sizes there are.
void Network::add_method(haste_operation& op, int height, int width) {
  const int inputs = buffers[op.in].channels, taps = op.kernel * op.kernel, step = op.kernel > 1 ? op.stride : 1;
  haste_method& m = op.method;
  m.enabled = 1;
  m.patch_outputs = random_.one_of({1, 2, 3, 4, 4, 5, 6, 8, 20});
  m.skip = random_.chance(80);
  m.merge = random_.one_of<int>({HASTE_MEAN, HASTE_PROJECTION, HASTE_PROJECTION, HASTE_NO_MERGE});
  m.centre = random_.chance(30);
  m.drop_zero = random_.chance(50);
  m.tolerance = random_.one_of({-1.0f, 0.0f, 0.02f, 0.2f, 10.0f});
  m.threshold = m.skip ? random_.one_of({0.0f, 3.5f, 40.0f}) : 0;
  floats_.emplace_back(inputs);
  m.norms = floats_.back().data();
  for (int i = 0; i < inputs; i++) {
    double sum = 0;
    for (int o = 0; o < buffers[op.out].channels; o++)
      for (int t = 0; t < taps; t++) sum += std::pow(op.weight[((size_t)o * inputs + i) * taps + t], 2);
    floats_.back()[i] = (float)std::sqrt(sum);
  }
  if (m.merge == HASTE_NO_MERGE) return;
  const int side = m.patch_outputs;
  auto sizes = [&](int outputs, bool last) {
    return !last ? std::min(outputs, side) : outputs > side ? outputs % side : 0;
  };
  for (int kind = 0; kind < 4; kind++) {
    const int high = sizes(height, kind / 2), wide = sizes(width, kind % 2);
    if (!high || !wide) continue;
    m.positions[kind] = ((high - 1) * step + op.kernel) * ((wide - 1) * step + op.kernel);
    floats_.emplace_back((size_t)HASTE_MAX_PLANES * m.positions[kind]);
    const bool ternary = random_.chance(50);
    for (float& v : floats_.back()) v = ternary ? (float)random_.whole(-1, 1) : random_.real();
    m.planes[kind] = floats_.back().data();
    longs_.emplace_back(HASTE_MAX_PLANES + 1);
    for (int l = 1; l <= HASTE_MAX_PLANES; l++) longs_.back()[l] = longs_.back()[l - 1] + m.positions[kind];
    m.hash_flops[kind] = longs_.back().data();
  }
}

int Network::convolution(int in, int kernel, int stride, int padding, int outputs, int residual) {
  const haste_buffer from = buffers[in];
  const int height = outputs_of(from.height, kernel, stride, padding);
  const int width = outputs_of(from.width, kernel, stride, padding);
  buffers[in].border = std::max(buffers[in].border, padding);
  const int out = activation(height, width, outputs);
  haste_operation op{};
  op.kind = HASTE_CONV, op.in = in, op.out = out, op.residual = residual;
  op.kernel = kernel, op.stride = stride, op.padding = padding, op.relu = random_.chance(70);
  op.weight = weights(outputs, from.channels * kernel * kernel);
  if (random_.chance(70)) {
    floats_.emplace_back(outputs);
    for (float& b : floats_.back()) b = whole ? (float)random_.whole(-2, 2) : random_.real() * 0.1f;
    op.bias = floats_.back().data();
  }
  if (random_.chance(85) && from.channels > 4) add_method(op, height, width);  // fewer have none
  operations.push_back(op);
  return out;
}

int Network::any_convolution(int in) {
  const haste_buffer from = buffers[in];
  for (;;) {
    const int kernel = random_.one_of({1, 3, 3, 3, 5, 7}), stride = random_.whole(1, 2), padding = random_.whole(0, 3);
    if (std::min(from.height, from.width) + 2 * padding < kernel) continue;
    int outputs = random_.one_of({1, 2, 3, 5, 8, 15, 16, 17, 31, 33, 48, 63, 64, 65, 80, 127, 128, 130, 513});
    const int64_t each = (int64_t)kernel * kernel * from.channels * outputs_of(from.height, kernel, stride, padding) *
                         outputs_of(from.width, kernel, stride, padding);
    outputs = std::max<int>(1, (int)std::min<int64_t>(outputs, MOST_PRODUCTS / each));
    const bool same = stride == 1 && 2 * padding == kernel - 1;
    if (!same || random_.chance(50)) return convolution(in, kernel, stride, padding, outputs, -1);
    if (each * from.channels <= MOST_PRODUCTS) return convolution(in, kernel, stride, padding, from.channels, in);
  }
}

// Two convolutions and the input added to them, by way of a 1x1 convolution where there is a stride.
int Network::block(int in) {
  const haste_buffer from = buffers[in];
  const int stride = random_.whole(1, 2), pixels = from.height * from.width;
  const int most = (int)std::min<int64_t>(MOST_PRODUCTS / (9 * from.channels * pixels),
                                          (int64_t)std::sqrt((double)MOST_PRODUCTS / (9 * pixels)));
  if (most < 1 || (stride == 1 && most < from.channels)) return any_convolution(in);
  const int outputs = stride == 1 ? from.channels : std::min(most, random_.one_of({1, 8, 16, 20, 33, 64, 70}));
  const int middle = convolution(in, 3, stride, 1, outputs, -1);
  const int added = stride == 1 ? in : convolution(in, 1, stride, 0, outputs, -1);
  return convolution(middle, 3, 1, 1, outputs, added);
}

int Network::max_pool(int in) {
  const haste_buffer from = buffers[in];
  const int kernel = random_.whole(2, 3), stride = random_.whole(1, 2), padding = random_.whole(0, 1);
  if (std::min(from.height, from.width) + 2 * padding < kernel) return any_convolution(in);
  buffers[in].border = std::max(buffers[in].border, padding);
  haste_operation op{};
  op.kind = HASTE_MAXPOOL, op.in = in, op.residual = -1, op.kernel = kernel, op.stride = stride, op.padding = padding;
  op.out = activation(outputs_of(from.height, kernel, stride, padding), outputs_of(from.width, kernel, stride, padding),
                      from.channels);
  operations.push_back(op);
  return op.out;
}

void Network::head(int in) {
  const haste_buffer from = buffers[in];
  haste_operation average{};
  average.kind = HASTE_AVGPOOL, average.in = in, average.residual = -1;
  average.kernel = std::min(from.height, from.width), average.stride = 1;
  average.out = activation(1, 1, from.channels);
  operations.push_back(average);
  haste_operation linear{};
  const int outputs = random_.whole(1, 20);
  linear.kind = HASTE_LINEAR, linear.in = average.out, linear.residual = -1;
  linear.out = activation(1, 1, outputs);
  linear.weight = weights(outputs, from.channels);
  if (random_.chance(50)) linear.bias = weights(1, outputs);
  operations.push_back(linear);
}

// Buffers of one shape that never overlap become one, as `haste.program.plan_memory` makes them.
void Network::share_buffers() {
  const int image = operations.front().in;
  std::vector<int> last(buffers.size(), -1), place(buffers.size(), -1);
  for (int i = 0; i < count(); i++) {
    last[operations[i].in] = i;
    if (operations[i].residual >= 0) last[operations[i].residual] = i;
  }
  std::vector<haste_buffer> shared;
  std::vector<int> free;
  auto take = [&](int buffer) {
    auto fits = [&](int p) { return !memcmp(&shared[p], &buffers[buffer], sizeof(haste_buffer)); };
    const auto found = std::find_if(free.begin(), free.end(), fits);
    place[buffer] = found == free.end() ? (int)shared.size() : *found;
    if (found == free.end()) shared.push_back(buffers[buffer]);
    else free.erase(found);
  };
  take(image);
  for (int i = 0; i < count(); i++) {
    haste_operation& op = operations[i];
    const int in = op.in, residual = op.residual;
    take(op.out);
    op.in = place[in], op.out = place[op.out];
    if (residual >= 0) op.residual = place[residual];
    if (in != image && last[in] == i) free.push_back(place[in]);
    if (residual >= 0 && residual != image && residual != in && last[residual] == i) free.push_back(place[residual]);
  }
  buffers = shared;
}
