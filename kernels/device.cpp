#include "kernels/device.h"

#include <charconv>

#include "kernels/cuda_backend.h"
#include "kernels/stream.h"

namespace holt {

std::string to_string(Device d) {
  switch (d.kind) {
    case Device::cpu:
      return "cpu";
    case Device::simt:
      return "simt";
    case Device::cuda:
      return format("cuda:{}", static_cast<int>(d.index));
  }
  return "unknown device";
}

Device parse_device(const std::string& name) {
  if (name == "cpu") return Device::cpu;
  if (name == "simt") return Device::simt;
  int index = 0;
  bool known = name == "cuda";
  if (name.starts_with("cuda:")) {
    const char *first = name.data() + 5, *last = name.data() + name.size();
    const auto [end, error] = std::from_chars(first, last, index);
    known = first != last && end == last && error == std::errc{} && index >= 0 && index < 128;
  }
  check(known, "unknown device '{}'; expected cpu, simt, cuda or cuda:N", name);
  const int count = cuda_device_count();
  check(count > 0, "device '{}' is not available: {}; use 'cpu' or 'simt'", name, cuda_missing_reason());
  check(index < count, "device '{}' is not available: this machine has {} CUDA device{}, numbered from 0", name, count,
        count == 1 ? "" : "s");
  return {Device::cuda, static_cast<int8_t>(index)};
}

int cuda_device_count() {
  if constexpr (kHasCuda)
    return cuda::device_count();
  else
    return 0;
}

std::string cuda_missing_reason() {
  if constexpr (kHasCuda)
    return cuda::missing_reason();
  else
    return "this build of holt has no CUDA (configure it with -DHOLT_CUDA=ON)";
}

}  // namespace holt
