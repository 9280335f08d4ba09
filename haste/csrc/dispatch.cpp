// Chooses by what the processor can do.
#include "haste.h"

#ifdef HASTE_WITH_AVX512
namespace avx512 {
extern const haste_implementation implementation;
}
#endif
#ifdef HASTE_WITH_AVX2
namespace avx2 {
extern const haste_implementation implementation;
}
#endif
namespace portable {
extern const haste_implementation implementation;
}

extern "C" const haste_implementation* haste_available(int32_t index) {
#ifdef HASTE_WITH_AVX512
  static const bool fits_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                                  __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                                  __builtin_cpu_supports("fma");
  if (fits_avx512 && index-- == 0) return &avx512::implementation;
#endif
#ifdef HASTE_WITH_AVX2
  static const bool fits_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (fits_avx2 && index-- == 0) return &avx2::implementation;
#endif
  return index == 0 ? &portable::implementation : nullptr;
}
