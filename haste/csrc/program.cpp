// A program: buffers and packed weights made once, every operation of a batch in one call.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>
#include <stdexcept>
#include <string>

#ifdef __linux__
#include <sys/mman.h>
#endif

#include "conv.h"
#include "measure.h"

namespace HASTE_NAMESPACE {

Floats::Floats(size_t n) {
  if (!n) return;
  const size_t page = 2 << 20, size = n * sizeof(float) + 64;  // and one vector to read past the end
  const size_t unit = size > page ? page : 64, bytes = (size + unit - 1) / unit * unit;
  data.reset((float*)aligned_alloc(unit, bytes));
  if (!data) throw std::bad_alloc();
#ifdef __linux__
  if (unit == page) madvise(data.get(), bytes, MADV_HUGEPAGE);  // fewer misses of the address cache
#endif
  memset(data.get(), 0, bytes);
}

namespace {

thread_local std::string last_error;

void require(bool holds, const char* what) {
  if (!holds) throw std::invalid_argument(what);
}

struct Operation {
  haste_operation spec;
  Conv conv;
  std::vector<float> weight, bias;  // of a linear layer
};

// Cut the rows of weights into chunks of one kernel row and one group of channels.
void cut_rows(Conv& c) {
  c.group = std::min(64, CHUNK / PANEL / c.kernel / LANES * LANES);
  for (int channel = 0; channel < c.inputs; channel += c.group)
    for (int ky = 0; ky < c.kernel; ky++)
      c.chunks.push_back({ky, channel, std::min(c.group, c.inputs - channel), c.row(ky * c.kernel, channel)});
}

void pack(Conv& c, const float* weight, const float* bias) {
  const int taps = c.kernel * c.kernel;
  c.weights = Floats(c.rows() * round_up(c.outputs, SLICE));
  c.bias = Floats(round_up(c.outputs, SLICE));
  for (int o = 0; o < c.outputs; o++) {
    float* to = c.weights.get() + c.rows() * PANEL * (o / PANEL) + o % PANEL;
    for (int i = 0; i < c.inputs; i++)
      for (int t = 0; t < taps; t++)
        to[c.row(t, i) * c.width_of(o / PANEL)] = weight[((size_t)o * c.inputs + i) * taps + t];
  }
  for (int o = 0; bias && o < c.outputs; o++) c.bias.get()[o] = bias[o];
}

void copy_planes(Conv& c) {
  const int side = c.method.patch_outputs;
  c.norms = Floats(c.depth);
  std::copy(c.method.norms, c.method.norms + c.inputs, c.norms.get());
  require(side > 0, "patch_outputs must be at least 1");
  require(c.depth % SLICE == 0, "skipping and merging need more than 4 input channels");
  if (c.method.merge == HASTE_NO_MERGE) return;
  for (int kind = 0; kind < 4; kind++) {
    const bool lower = kind / 2, right = kind % 2;  // the last rows, the last columns
    if ((lower && (c.height <= side || c.height % side == 0)) || (right && (c.width <= side || c.width % side == 0)))
      continue;
    const int high = lower ? c.height % side : std::min(c.height, side);
    const int wide = right ? c.width % side : std::min(c.width, side);
    const int step = c.kernel > 1 ? c.step : 1;
    const int n = ((high - 1) * step + c.kernel) * ((wide - 1) * step + c.kernel);
    require(c.method.positions[kind] == n, "the planes do not fit the windows of a layer");
    c.planes[kind].resize((size_t)n * HASTE_MAX_PLANES);
    c.plane_max[kind].assign(HASTE_MAX_PLANES, 0);
    for (int l = 0; l < HASTE_MAX_PLANES; l++)
      for (int q = 0; q < n; q++) {
        const float v = c.method.planes[kind][(size_t)l * n + q];
        c.planes[kind][(size_t)q * HASTE_MAX_PLANES + l] = v;
        c.plane_max[kind][l] = std::max(c.plane_max[kind][l], std::fabs(v));
      }
    c.hash_flops[kind].assign(c.method.hash_flops[kind], c.method.hash_flops[kind] + HASTE_MAX_PLANES + 1);
  }
}

// One more pixel of a pooling window; a NaN wins, as in torch.
void add_pixel(const float* x, bool average, int channels, float* to) {
  if (average) {
    for (int c = 0; c < channels; c++) to[c] += x[c];
  } else {
    for (int c = 0; c < channels; c++) to[c] = x[c] > to[c] || x[c] != x[c] ? x[c] : to[c];
  }
}

struct Program {
  std::vector<haste_buffer> shapes;
  std::vector<Buffer> buffers;
  std::vector<Operation> operations;
  Workspace space;  // one for all: what one convolution has left in the cache the next one overwrites there
  const int threads;
  int room = 0;  // images that the buffers hold
  explicit Program(int threads) : threads(threads) {}

  void add(const haste_operation& spec) {
    require(spec.in >= 0 && spec.in < (int)shapes.size() && spec.out >= 0 && spec.out < (int)shapes.size(),
            "an operation names a buffer that does not exist");
    const haste_buffer &in = shapes[spec.in], &out = shapes[spec.out];
    require(operations.empty() || operations.back().spec.kind != HASTE_LINEAR, "a linear layer is not the last operation");
    require(spec.kind != HASTE_LINEAR || (in.height == 1 && in.width == 1), "a linear layer reads more than one pixel");
    if (spec.kind == HASTE_CONV && spec.residual >= 0) {
      require(spec.residual < (int)shapes.size(), "an operation names a buffer that does not exist");
      const haste_buffer& added = shapes[spec.residual];
      require(added.height == out.height && added.width == out.width && added.channels == out.channels,
              "a residual has another shape than the output it is added to");
    }
    operations.emplace_back();
    Operation& op = operations.back();
    op.spec = spec;
    if (spec.kind == HASTE_LINEAR) {
      op.weight.assign(spec.weight, spec.weight + (size_t)out.channels * in.channels);
      op.bias.assign(out.channels, 0);
      if (spec.bias) op.bias.assign(spec.bias, spec.bias + out.channels);
    }
    if (spec.kind != HASTE_CONV) return;
    require(spec.padding <= in.border && spec.kernel <= WIDEST, "a convolution needs its padding as border, and K of 7 at most");
    Conv& c = op.conv;
    c.kernel = spec.kernel, c.step = spec.stride, c.padding = spec.padding, c.relu = spec.relu;
    c.inputs = in.channels, c.outputs = out.channels, c.height = out.height, c.width = out.width;
    c.depth = buffers[spec.in].stride;
    c.method = spec.method;
    require((out.height - 1) * spec.stride + spec.kernel <= in.height + 2 * spec.padding &&
                (out.width - 1) * spec.stride + spec.kernel <= in.width + 2 * spec.padding,
            "a convolution reads beyond its input");
    cut_rows(c);
    pack(c, spec.weight, spec.bias);
    require(!c.method.enabled || buffers[spec.in].columns * c.group < 65536, "a map is too wide for 16-bit lists");
    if (c.method.enabled) copy_planes(c);
  }

  void reserve(int n) {
    if (n <= room) return;
    for (size_t i = 0; i < buffers.size(); i++) buffers[i].floats = Floats(n * buffers[i].image + 64);
    room = n;
  }

  void pool_pixels(const Operation& op, int n) {
    const Buffer &in = buffers[op.spec.in], &out = buffers[op.spec.out];
    const int k = op.spec.kernel, step = op.spec.stride, top = -op.spec.padding;
    const bool average = op.spec.kind == HASTE_AVGPOOL;
    for (int i = 0; i < n; i++)
      for (int y = 0; y < out.height; y++)
        for (int z = 0; z < out.width; z++) {
          float* to = out.at(i, y + out.border, z + out.border);
          for (int c = 0; c < out.stride; c++) to[c] = average ? 0 : -INFINITY;
          for (int r = std::max(0, y * step + top); r < std::min(in.height, y * step + top + k); r++)
            for (int s = std::max(0, z * step + top); s < std::min(in.width, z * step + top + k); s++)
              add_pixel(in.at(i, r + in.border, s + in.border), average, out.stride, to);
          for (int c = 0; c < out.stride; c++) to[c] = average ? to[c] / (float)(k * k) : to[c];
        }
  }

  void linear(const Operation& op, int n, float* out) {
    const Buffer& in = buffers[op.spec.in];
    const int inputs = shapes[op.spec.in].channels, outputs = shapes[op.spec.out].channels;
    for (int i = 0; i < n; i++)
      for (int o = 0; o < outputs; o++) {
        const float *x = in.at(i, in.border, in.border), *w = &op.weight[(size_t)o * inputs];
        vec sums = {};
        int k = 0;
        for (; k + LANES <= inputs; k += LANES) sums += load(x + k) * load(w + k);
        float sum = op.bias[o];
        for (int j = 0; j < LANES; j++) sum += sums[j];
        for (; k < inputs; k++) sum += x[k] * w[k];
        out[(size_t)i * outputs + o] = sum;
      }
  }

  void read_images(const float* images, int n) {
    const Buffer& in = buffers[operations.front().spec.in];
    const int channels = shapes[operations.front().spec.in].channels;
    for (int i = 0; i < n; i++)
      for (int c = 0; c < channels; c++)
        for (int y = 0; y < in.height; y++) {
          const float* from = images + (((size_t)i * channels + c) * in.height + y) * in.width;
          float* to = in.at(i, y + in.border, in.border) + c;
          for (int z = 0; z < in.width; z++) to[(size_t)z * in.stride] = from[z];
        }
  }

  void run(Pool& pool, const float* images, int n, const int32_t* levels, float* out, int64_t* counts, int64_t* times) {
    reserve(n);
    read_images(images, n);
    if (n) memset(counts, 0, operations.size() * n * HASTE_COUNTS * sizeof *counts);
    if (times) memset(times, 0, operations.size() * HASTE_TIMES * sizeof *times);
    for (size_t k = 0; k < operations.size(); k++) {
      Operation& op = operations[k];
      int64_t* own = times ? times + k * HASTE_TIMES : nullptr;
      Stopwatch watch(own && op.spec.kind != HASTE_CONV ? &own[HASTE_MULTIPLYING] : nullptr);
      if (op.spec.kind == HASTE_CONV)
        convolve(op.conv, space, pool, buffers[op.spec.in], buffers[op.spec.out],
                 op.spec.residual < 0 ? nullptr : &buffers[op.spec.residual], n, levels + k * n,
                 counts + k * n * HASTE_COUNTS, own);
      else if (op.spec.kind == HASTE_LINEAR) linear(op, n, out);
      else pool_pixels(op, n);
    }
  }
};

Program* open(const haste_buffer* buffers, int32_t n_buffers, const haste_operation* operations, int32_t n_operations,
              int32_t threads) {
  require(n_operations > 0 && threads > 0, "a program needs an operation and a thread");
  std::unique_ptr<Program> program(new Program(threads));
  program->shapes.assign(buffers, buffers + n_buffers);
  for (const haste_buffer& b : program->shapes) {
    Buffer buffer{b.height, b.width, b.channels, b.border, 0, 0, 0, 0, Floats()};
    const bool image = &b == &program->shapes[operations[0].in];
    buffer.stride = image && b.channels <= 4 ? b.channels : round_up(b.channels, SLICE);
    buffer.rows = b.height + 2 * b.border;
    buffer.columns = b.width + 2 * b.border;
    buffer.image = (size_t)buffer.rows * buffer.columns * buffer.stride;
    program->buffers.push_back(std::move(buffer));
  }
  for (int i = 0; i < n_operations; i++) program->add(operations[i]);
  require(operations[n_operations - 1].kind == HASTE_LINEAR, "the last operation must be a linear layer");
  return program.release();
}

haste_program* create(const haste_buffer* buffers, int32_t n_buffers, const haste_operation* operations,
                      int32_t n_operations, int32_t threads) {
  try {
    return (haste_program*)open(buffers, n_buffers, operations, n_operations, threads);
  } catch (const std::exception& error) {
    last_error = error.what();
    return nullptr;
  }
}

void destroy(haste_program* program) {
  Pool::drop(program);
  delete (Program*)program;
}

int32_t run(haste_program* handle, const float* images, int32_t n, const int32_t* levels, float* out, int64_t* counts,
            int64_t* times) {
  Program* program = (Program*)handle;
  try {
    Pool& pool = Pool::of(program->threads, program);
    std::lock_guard<std::mutex> lock(pool.turn);
    program->run(pool, images, n, levels, out, counts, times);
    return 0;
  } catch (const std::exception& error) {
    last_error = error.what();
    return 1;
  }
}

const char* error() { return last_error.c_str(); }

}  // namespace

#define HASTE_TEXT(x) #x
#define HASTE_NAME(x) HASTE_TEXT(x)
extern const haste_implementation implementation;
const haste_implementation implementation = {HASTE_NAME(HASTE_NAMESPACE), create, destroy, run, error, peak_gflops, bandwidth_gbs};

}  // namespace HASTE_NAMESPACE
