// Eight floats as the compiler's own vector type: AVX2 registers where they exist, pairs of SSE or NEON ones elsewhere.
#pragma once
#include <stdint.h>
#include <string.h>

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

#ifdef __AVX2__
}  // namespace HASTE_NAMESPACE
#include <immintrin.h>
namespace HASTE_NAMESPACE {
static inline unsigned nonzero_bits(v8 v) {
  return (unsigned)_mm256_movemask_ps(_mm256_cmp_ps((__m256)v, _mm256_setzero_ps(), _CMP_NEQ_UQ));
}
static inline void store_indices(uint16_t* out, uint64_t bytes, int base) {
  __m128i lanes = _mm_cvtepu8_epi16(_mm_cvtsi64_si128((long long)bytes));
  _mm_storeu_si128((__m128i*)out, _mm_add_epi16(lanes, _mm_set1_epi16((short)base)));
}
#else
static inline unsigned nonzero_bits(v8 v) {
  i8 differs = v != 0.0f;
  unsigned bits = 0;
  for (int i = 0; i < 8; i++) bits |= (unsigned)(differs[i] & 1) << i;
  return bits;
}
static inline void store_indices(uint16_t* out, uint64_t bytes, int base) {
  for (int i = 0; i < 8; i++) out[i] = (uint16_t)(base + ((bytes >> (8 * i)) & 255));
}
#endif

}  // namespace HASTE_NAMESPACE
