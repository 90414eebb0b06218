#include "kernels/copy_rows.h"

#include <cstring>

#include "kernels/parallel.h"

namespace holt {

template <class B>
void copy_rows(B, const CopyRows& p, const void* src, void* dst) {
  if (p.width == 0) return;
  const auto* const from = static_cast<const char*>(src);
  auto* const to = static_cast<char*>(dst);
  parallel_for(p.outer * p.rows, p.width / 16 + 1, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t o = i / p.rows, r = i % p.rows;
      std::memcpy(to + o * p.dst_outer + r * p.dst_pitch, from + o * p.src_outer + r * p.src_pitch,
                  static_cast<size_t>(p.width));
    }
  });
}

template void copy_rows(Cpu, const CopyRows&, const void*, void*);

}  // namespace holt
