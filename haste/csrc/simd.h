// A vector of floats as the compiler's own type: an AVX-512 or AVX2 register where there is one, elsewhere pairs of SSE or
// NEON ones.
#pragma once
#include <stdint.h>
#include <string.h>

#ifdef __AVX2__
#include <immintrin.h>
#endif

namespace HASTE_NAMESPACE {

#ifdef __AVX512F__
constexpr int LANES = 16;
#else
constexpr int LANES = 8;
#endif
constexpr unsigned ALL_LANES = (1u << LANES) - 1;

typedef float vec __attribute__((vector_size(LANES * 4)));
typedef int32_t ivec __attribute__((vector_size(LANES * 4)));

static inline vec load(const float* p) {
  vec v;
  memcpy(&v, p, sizeof v);
  return v;
}
static inline void store(float* p, vec v) { memcpy(p, &v, sizeof v); }
static inline vec splat(float x) { return x - vec{}; }
static inline vec absolute(vec v) { return (vec)((ivec)v & 0x7fffffff); }
static inline vec positive(vec v) { return v < 0.0f ? vec{} : v; }  // keeps NaN, as torch does

typedef float half __attribute__((vector_size(LANES * 2)));
typedef double dvec __attribute__((vector_size(LANES * 4)));
static inline dvec low_double(vec v) {
  half low;
  memcpy(&low, &v, sizeof low);
  return __builtin_convertvector(low, dvec);
}
static inline dvec high_double(vec v) {
  half high;
  memcpy(&high, (const char*)&v + sizeof high, sizeof high);
  return __builtin_convertvector(high, dvec);
}

// What follows has a form for each set of instructions. A set of lanes is the bits of an unsigned.
//   nonzero: the lanes that are not zero, NaN among them.
//   not_within: those that are not <= edge, NaN among them.
//   store_lanes: stores the chosen lanes one after the other, as well as their numbers, each plus base; LANES of both are
//   written. Returns how many were chosen.
#if defined(__AVX512F__)
// By way of a general register: GCC 12, short of registers, stores a mask's 16 bits and reads 32 of them back.
static inline unsigned bits_of(__mmask16 mask) {
  unsigned bits = mask;
  __asm__("" : "+r"(bits));
  return bits;
}
static inline unsigned nonzero(vec v) {
  return bits_of(_mm512_cmp_ps_mask((__m512)v, _mm512_setzero_ps(), _CMP_NEQ_UQ));
}
static inline unsigned not_within(vec v, float edge) {
  return bits_of(_mm512_cmp_ps_mask((__m512)v, _mm512_set1_ps(edge), _CMP_NLE_UQ));
}
static inline int store_lanes(float* values, uint16_t* numbers, vec v, unsigned lanes, int base) {
  const __m512i first = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512i number = _mm512_add_epi32(first, _mm512_set1_epi32(base));
  _mm512_storeu_ps(values, _mm512_maskz_compress_ps((__mmask16)lanes, (__m512)v));
  _mm256_storeu_si256((__m256i*)numbers,
                      _mm512_maskz_cvtepi32_epi16(0xffff, _mm512_maskz_compress_epi32((__mmask16)lanes, number)));
  return __builtin_popcount(lanes);
}
#else
#ifdef __AVX2__
static inline unsigned bits_of(ivec mask) { return (unsigned)_mm256_movemask_ps((__m256)mask); }
#else
static inline unsigned bits_of(ivec mask) {
  unsigned bits = 0;
  for (int i = 0; i < LANES; i++) bits |= (unsigned)(mask[i] & 1) << i;
  return bits;
}
#endif
static inline unsigned nonzero(vec v) { return bits_of(v != 0.0f); }
static inline unsigned not_within(vec v, float edge) { return ALL_LANES ^ bits_of(v <= edge); }

// The numbers of the bits of every byte, a byte each, the lowest first.
struct Numbers {
  uint64_t of[256];
  constexpr Numbers() : of() {
    for (int bits = 0; bits < 256; bits++)
      for (int bit = 0, n = 0; bit < 8; bit++)
        if (bits >> bit & 1) of[bits] |= (uint64_t)bit << (8 * n++);
  }
};
inline constexpr Numbers numbers_of_bits;

static inline int store_lanes(float* values, uint16_t* numbers, vec v, unsigned lanes, int base) {
  const uint64_t chosen = numbers_of_bits.of[lanes];
#ifdef __AVX2__
  const __m128i bytes = _mm_cvtsi64_si128((long long)chosen);
  _mm256_storeu_ps(values, _mm256_permutevar8x32_ps((__m256)v, _mm256_cvtepu8_epi32(bytes)));
  _mm_storeu_si128((__m128i*)numbers, _mm_add_epi16(_mm_cvtepu8_epi16(bytes), _mm_set1_epi16((short)base)));
#else
  for (int i = 0; i < LANES; i++) values[i] = v[chosen >> (8 * i) & 7];
  for (int i = 0; i < LANES; i++) numbers[i] = (uint16_t)(base + (chosen >> (8 * i) & 255));
#endif
  return __builtin_popcount(lanes);
}
#endif

}  // namespace HASTE_NAMESPACE
