// libFuzzer's side of readers.h. The reader is chosen by HOLT_FUZZ=<name>; tests/fuzz/run builds and starts it.
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "tests/fuzz/readers.h"

namespace {

const holt::fuzz::Reader* chosen = nullptr;

}  // namespace

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  const char* name = std::getenv("HOLT_FUZZ");
  for (const auto& r : holt::fuzz::kReaders)
    if (name && std::string_view(name) == r.name) chosen = &r;
  if (chosen) return 0;
  std::fprintf(stderr, "fuzz: HOLT_FUZZ must name a reader of tests/fuzz/readers.h\n");
  std::exit(2);
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  size = LLVMFuzzerMutate(data, size, max_size);
  if (chosen->repair && seed % 8 != 0) chosen->repair(reinterpret_cast<std::byte*>(data), size);
  return size;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    chosen->read({reinterpret_cast<const std::byte*>(data), size});
  } catch (const holt::Error&) {}
  return 0;
}
