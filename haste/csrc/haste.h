// The C interface of the native engine: raw pointers, no Python, no torch.
//
// A program is a list of operations over buffers. A buffer holds one activation of every image of a batch in NHWC order,
// channels padded to a multiple of 16, with a border of zeros around the pixels, so that no kernel tests for edges.
#pragma once
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { HASTE_CONV = 0, HASTE_MAXPOOL = 1, HASTE_AVGPOOL = 2, HASTE_LINEAR = 3 };
// Levels below 1; from 1 on the number of hyperplanes L; HASTE_ZEROS + L skips what is near zero at L, and merges nothing.
enum { HASTE_DENSE = -1, HASTE_EXACT = 0, HASTE_ZEROS = 64 };
enum { HASTE_MEAN = 0, HASTE_PROJECTION = 1, HASTE_NO_MERGE = 2 };
enum { HASTE_MAX_PLANES = 32, HASTE_COUNTS = 7, HASTE_THRESHOLD_FLOPS = 3 };
enum { HASTE_LISTING, HASTE_HASHING, HASTE_MERGING, HASTE_MULTIPLYING, HASTE_TIMES };

typedef struct {
  int32_t height, width, channels, border;  // of one image, without border and padding
} haste_buffer;

// Settings of the method for one convolution; the four window sizes are (full | last rows) x (full | last columns).
typedef struct {
  int32_t enabled, patch_outputs, skip, merge, centre, drop_zero;  // skip 0: zeros are not skipped
  float tolerance;                                                       // negative: not verified
  float threshold;                                                       // at L: |x| |W_c| <= threshold / L of the rms is zero
  const float* norms;                                                    // (C,) |W_c|_F of the filters as trained
  int32_t positions[4];                                                  // of each window size; 0: not given
  const float* planes[4];                                                // (32, h * w) each, or null
  const int64_t* hash_flops[4];                                          // 33 values: FLOPs a channel at L, or null
} haste_method;

typedef struct {
  int32_t kind, in, out, residual;                   // buffers; residual -1: none
  int32_t kernel, stride, padding, relu;             // padding of both sides, at most the input's border
  const float* weight;                               // convolution (O, C, K, K), linear (O, C); copied
  const float* bias;                                 // (O,) or null
  haste_method method;
} haste_operation;

typedef struct haste_program haste_program;

// One implementation: the same source compiled for one kind of processor.
typedef struct {
  const char* name;

  // Copies everything it needs; null where a description does not fit (error tells why).
  haste_program* (*create)(const haste_buffer* buffers, int32_t n_buffers, const haste_operation* operations,
                           int32_t n_operations, int32_t threads);
  void (*destroy)(haste_program* program);

  // images (n, C, H, W) -> out (n, O) of the last operation. levels (n_operations, n) int32.
  // counts (n_operations, n, HASTE_COUNTS) int64, zeroed here: (tap, output) pairs of one output channel that were
  // executed, that zeros alone would skip, filter entries merged, FLOPs of forming the bucket inputs, FLOPs of
  // hashing, channels and buckets over the patches. times (n_operations, HASTE_TIMES) int64 or null: nanoseconds of
  // listing and planning, hashing, merging filters, multiplying. Calls at once queue, on one program and on programs of as many threads. Not 0: error
  // tells why.
  int32_t (*run)(haste_program* program, const float* images, int32_t n, const int32_t* levels, float* out,
                 int64_t* counts, int64_t* times);

  const char* (*error)(void);  // of this thread's last failure

  double (*peak_gflops)(void);    // measured: what one thread's registers can do, 2 FLOPs a multiply-add
  double (*bandwidth_gbs)(void);  // measured: what one thread can read from memory
} haste_implementation;

// Those that this build holds and this processor runs, the fastest first; null beyond the last.
const haste_implementation* haste_available(int32_t index);

#ifdef __cplusplus
}
#endif
