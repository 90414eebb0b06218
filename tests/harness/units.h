// Sizes in bytes.
#pragma once
#include <cstddef>

namespace holt::test {

constexpr size_t KiB = 1024, MiB = 1024 * KiB;

}  // namespace holt::test
