#include "kernels/cast.h"

#include "kernels/narrow.h"
#include "kernels/parallel.h"

namespace holt {

template <class B, class From, class To>
void cast(B, int64_t n, const From* x, To* y) {
  parallel_for(n, 1, [x, y](int64_t begin, int64_t end) {
    const From* const in = x;  // locals, for a uint8_t* may point anywhere, at what the lambda captured too
    To* const out = y;
    if constexpr (std::is_same_v<From, float> && sizeof(To) == 2)
      return detail::narrow(end - begin, in + begin, out + begin);
    if constexpr (sizeof(From) == 2 && std::is_same_v<To, float>)
      return detail::widen(end - begin, in + begin, out + begin);
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) {
      if constexpr (sizeof(To) == 2)
        assign(out[i], static_cast<float>(in[i]));
      else
        out[i] = converted<To>(in[i]);
    }
  });
}

#define INSTANTIATE(From, To) template void cast(Cpu, int64_t, const From*, To*);
#define FROM(T)           \
  INSTANTIATE(T, float)   \
  INSTANTIATE(T, bf16)    \
  INSTANTIATE(T, f16)     \
  INSTANTIATE(T, double)  \
  INSTANTIATE(T, int64_t) \
  INSTANTIATE(T, int32_t) \
  INSTANTIATE(T, uint8_t)
FROM(float)
FROM(bf16)
FROM(f16)
FROM(double)
FROM(int64_t)
FROM(int32_t)
FROM(uint8_t)
#undef FROM
#undef INSTANTIATE

}  // namespace holt
