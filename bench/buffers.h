// A case's arguments on a device, filled once.
#pragma once
#include <deque>
#include <vector>

#include "kernels/memory.h"
#include "tests/harness/case.h"
#include "tests/harness/element.h"

namespace holt::bench {

class Buffers {
 public:
  Buffers(const test::Case& c, Device d) {
    for (const test::Argument& a : c.args) {
      const size_t bytes = std::max<int64_t>(a.size, 0) * size_of(a.dtype);
      Workspace& w = memory_.emplace_back(d, bytes);
      if (a.role != test::Argument::out) {
        std::vector<unsigned char> host(bytes);
        for (int64_t i = 0; i < a.size; ++i) test::store(a.dtype, host.data(), i, a.init(i));
        copy_bytes(d, w.as<void>(), Device::cpu, host.data(), bytes);
      }
      pointers.push_back(a.size < 0 ? nullptr : w.as<void>());
    }
  }
  std::vector<void*> pointers;

 private:
  std::deque<Workspace> memory_;
};

}  // namespace holt::bench
