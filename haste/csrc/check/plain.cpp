// Every operation by its definition, on activations [channel][row][column].
#include "plain.h"

#include <cmath>
#include <limits>

namespace {

using Values = std::vector<double>;

double at(const Values& x, const haste_buffer& b, int c, int y, int z) {
  const bool inside = y >= 0 && z >= 0 && y < b.height && z < b.width;
  return inside ? x[((size_t)c * b.height + y) * b.width + z] : 0;
}

void convolve(const haste_operation& op, const haste_buffer& in, const haste_buffer& out, const Values& x,
              const Values* residual, Values& result, int64_t* live) {
  const int k = op.kernel, taps = k * k;
  Values window((size_t)in.channels * taps);
  for (int y = 0; y < out.height; y++)
    for (int z = 0; z < out.width; z++) {
      for (int i = 0; i < in.channels; i++)
        for (int t = 0; t < taps; t++) {
          const double v = at(x, in, i, y * op.stride + t / k - op.padding, z * op.stride + t % k - op.padding);
          window[(size_t)i * taps + t] = v;
          *live += v != 0;
        }
      for (int o = 0; o < out.channels; o++) {
        double sum = op.bias ? op.bias[o] : 0;
        const float* w = op.weight + (size_t)o * in.channels * taps;
        for (size_t j = 0; j < window.size(); j++) sum += window[j] * w[j];
        if (residual) sum += at(*residual, out, o, y, z);
        result[((size_t)o * out.height + y) * out.width + z] = op.relu && sum < 0 ? 0 : sum;
      }
    }
}

void pool(const haste_operation& op, const haste_buffer& in, const haste_buffer& out, const Values& x, Values& result) {
  const bool average = op.kind == HASTE_AVGPOOL;
  for (int c = 0; c < out.channels; c++)
    for (int y = 0; y < out.height; y++)
      for (int z = 0; z < out.width; z++) {
        double value = average ? 0 : -std::numeric_limits<double>::infinity();
        for (int t = 0; t < op.kernel * op.kernel; t++) {
          const int r = y * op.stride + t / op.kernel - op.padding, s = z * op.stride + t % op.kernel - op.padding;
          if (r < 0 || s < 0 || r >= in.height || s >= in.width) continue;
          const double v = at(x, in, c, r, s);
          if (average) value += v / (op.kernel * op.kernel);
          else if (v > value || std::isnan(v)) value = v;
        }
        result[((size_t)c * out.height + y) * out.width + z] = value;
      }
}

}  // namespace

Plain plain(const Network& network, const float* image) {
  Plain p;
  std::vector<Values> values(network.buffers.size());
  const haste_buffer& first = network.input();
  values[network.operations.front().in].assign(image, image + (size_t)first.channels * first.height * first.width);
  for (const haste_operation& op : network.operations) {
    const haste_buffer &in = network.buffers[op.in], &out = network.buffers[op.out];
    const Values x = values[op.in], residual = op.residual < 0 ? Values() : values[op.residual];
    Values result((size_t)out.channels * out.height * out.width);
    p.live.push_back(0), p.whole.push_back(0);
    if (op.kind == HASTE_CONV) {
      p.whole.back() = (int64_t)op.kernel * op.kernel * in.channels * out.height * out.width;
      convolve(op, in, out, x, op.residual < 0 ? nullptr : &residual, result, &p.live.back());
    } else if (op.kind == HASTE_LINEAR) {
      for (int o = 0; o < out.channels; o++) {
        double sum = op.bias ? op.bias[o] : 0, scale = std::fabs(sum);
        for (int i = 0; i < in.channels; i++) {
          sum += x[i] * op.weight[(size_t)o * in.channels + i];
          scale += std::fabs(x[i] * op.weight[(size_t)o * in.channels + i]);
        }
        p.logits.push_back(sum), p.scale.push_back(scale);
      }
    } else {
      pool(op, in, out, x, result);
    }
    values[op.out] = result;
  }
  return p;
}
