// Random networks for the checks of the native engine, and one call of the engine with what it gave.
#pragma once
#include <cstdint>
#include <deque>
#include <memory>
#include <random>
#include <vector>

#include "haste.h"

// Numbers of a seed, the same on every machine.
class Random {
 public:
  explicit Random(uint32_t seed) : engine_(seed) {}
  int whole(int low, int high) { return low + (int)(engine_() % (uint32_t)(high - low + 1)); }
  bool chance(int percent) { return whole(1, 100) <= percent; }
  float real() { return (float)whole(-1000000, 1000000) * 1e-6f; }
  template <class T>
  T one_of(std::initializer_list<T> values) { return values.begin()[whole(0, (int)values.size() - 1)]; }

 private:
  std::mt19937 engine_;
};

// A network and all that its operations point to. Of whole numbers where `whole`: every sum is exact in any order.
class Network {
 public:
  Network(Random& random, bool whole);
  const haste_buffer& input() const { return buffers[operations.front().in]; }
  int outputs() const { return buffers[operations.back().out].channels; }
  int count() const { return (int)operations.size(); }

  std::vector<haste_buffer> buffers;
  std::vector<haste_operation> operations;
  const bool whole;

 private:
  int activation(int height, int width, int channels);
  int convolution(int in, int kernel, int stride, int padding, int outputs, int residual);
  int any_convolution(int in);
  int block(int in);
  int max_pool(int in);
  void head(int in);
  void share_buffers();
  void add_method(haste_operation& op, int height, int width);
  const float* weights(size_t n, int inputs);
  Random& random_;
  std::deque<std::vector<float>> floats_;
  std::deque<std::vector<int64_t>> longs_;
};

// A batch of images at mixed levels.
struct Batch {
  Batch(Random& random, const Network& network, int n, int level = -2);  // level -2: any, image by image
  Batch(const Network& network, const Batch& of, int image);             // one image of a batch
  int n;
  std::vector<float> images;
  std::vector<int32_t> levels;  // [operation][image]
};

struct Result {
  int32_t failed = -1;
  std::vector<float> logits;    // [image][output]
  std::vector<int64_t> counts;  // [operation][image][HASTE_COUNTS]
  bool operator==(const Result& other) const;  // bit by bit
  Result of(const Network& network, int image) const;
};

// A program of the engine.
class Engine {
 public:
  Engine(const haste_implementation& implementation, const Network& network, int threads);
  Result run(const Batch& batch) const;

 private:
  const haste_implementation& implementation_;
  const Network& network_;
  std::unique_ptr<haste_program, void (*)(haste_program*)> program_;
};
