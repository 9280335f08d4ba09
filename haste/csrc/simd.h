// Eight floats as the compiler's own vector type: AVX2 registers where they exist, pairs of SSE or NEON ones elsewhere.
#pragma once
#include <stdint.h>
#include <string.h>

#ifdef __AVX2__
#include <immintrin.h>
#endif

namespace HASTE_NAMESPACE {

typedef float v8 __attribute__((vector_size(32)));
typedef int32_t i8 __attribute__((vector_size(32)));

static inline v8 load(const float* p) {
  v8 v;
  memcpy(&v, p, sizeof v);
  return v;
}
static inline void store(float* p, v8 v) { memcpy(p, &v, sizeof v); }
static inline v8 splat(float x) { return v8{x, x, x, x, x, x, x, x}; }
static inline v8 absolute(v8 v) { return (v8)((i8)v & 0x7fffffff); }
static inline v8 positive(v8 v) { return v < 0.0f ? v8{} : v; }  // keeps NaN, as torch does

typedef float v4 __attribute__((vector_size(16)));
typedef double d4 __attribute__((vector_size(32)));
static inline d4 low_double(v8 v) {
  v4 half;
  memcpy(&half, &v, sizeof half);
  return __builtin_convertvector(half, d4);
}
static inline d4 high_double(v8 v) {
  v4 half;
  memcpy(&half, (const char*)&v + sizeof half, sizeof half);
  return __builtin_convertvector(half, d4);
}

#ifdef __AVX2__
static inline unsigned bits_of(i8 mask) { return (unsigned)_mm256_movemask_ps((__m256)mask); }
// Store the lanes that the low bytes of `lanes` name, in that order; all eight are written.
static inline void store_lanes(float* out, v8 v, uint64_t lanes) {
  __m256i order = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)lanes));
  _mm256_storeu_ps(out, _mm256_permutevar8x32_ps((__m256)v, order));
}
// Store eight indices: base + each byte of `lanes`.
static inline void store_indices(uint16_t* out, int base, uint64_t lanes) {
  __m128i wide = _mm_cvtepu8_epi16(_mm_cvtsi64_si128((long long)lanes));
  _mm_storeu_si128((__m128i*)out, _mm_add_epi16(wide, _mm_set1_epi16((short)base)));
}
#else
static inline unsigned bits_of(i8 mask) {
  unsigned bits = 0;
  for (int i = 0; i < 8; i++) bits |= (unsigned)(mask[i] & 1) << i;
  return bits;
}
static inline void store_lanes(float* out, v8 v, uint64_t lanes) {
  for (int i = 0; i < 8; i++) out[i] = v[lanes >> (8 * i) & 7];
}
static inline void store_indices(uint16_t* out, int base, uint64_t lanes) {
  for (int i = 0; i < 8; i++) out[i] = (uint16_t)(base + (lanes >> (8 * i) & 255));
}
#endif

}  // namespace HASTE_NAMESPACE
