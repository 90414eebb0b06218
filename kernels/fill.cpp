#include "kernels/fill.h"

#include <algorithm>

#include "kernels/parallel.h"

namespace holt {

template <class B, class T>
void fill(B, int64_t n, T value, T* out) {
  parallel_for(n, 1, [=](int64_t begin, int64_t end) { std::fill(out + begin, out + end, value); });
}

#define INSTANTIATE(T) template void fill(Cpu, int64_t, T, T*);
INSTANTIATE(float)
INSTANTIATE(bf16)
INSTANTIATE(f16)
INSTANTIATE(double)
INSTANTIATE(int64_t)
INSTANTIATE(int32_t)
INSTANTIATE(uint8_t)
#undef INSTANTIATE

}  // namespace holt
