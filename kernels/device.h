// Where a computation runs.
//
//   Device            a run-time value: cpu, simt, cuda:0
//   Cpu, Cuda, Simt   the same as types, so that each backend's kernel is an ordinary overload; Cuda carries its stream
//   on(device, f)     the one bridge from value to type. A backend that was not built is never named, so there are no
//   stubs.
#pragma once
#include <cstdint>
#include <string>
#include <type_traits>

#include "kernels/dtype.h"
#include "kernels/error.h"

struct CUstream_st;  // cudaStream_t is a pointer to it; nothing here needs a CUDA header

namespace holt {

struct Device {
  enum Kind : uint8_t { cpu, cuda, simt };
  Kind kind = cpu;
  int8_t index = 0;  ///< which GPU; always 0 for cpu and simt

  constexpr Device() = default;
  constexpr Device(Kind k, int8_t i = 0) : kind(k), index(i) {}
  friend bool operator==(Device, Device) = default;
};

std::string to_string(Device d);
/// "cpu", "simt", "cuda", "cuda:1". Checks that this build and this machine have it, and says which of the two is
/// missing.
Device parse_device(const std::string& name);

#if defined(HOLT_HAS_CUDA)
inline constexpr bool kHasCuda = true;
#else
inline constexpr bool kHasCuda = false;
#endif

struct Cpu {};
struct Cuda {
  CUstream_st* stream = nullptr;
  int8_t index = 0;  ///< which GPU the stream belongs to
};
/// The emulated GPU. Work is done when the launch returns; `schedule` seeds the order in which threads run.
struct Simt {
  uint64_t schedule = 0;
};

template <class B>
inline constexpr bool is_gpu = !std::is_same_v<B, Cpu>;

constexpr Device device_of(Cpu) { return Device::cpu; }
constexpr Device device_of(Cuda d) { return {Device::cuda, d.index}; }
constexpr Device device_of(Simt) { return Device::simt; }

/// The calling thread's stream on the current CUDA device, and its schedule on the emulator (see stream.h).
Cuda current_cuda(int8_t index);
Simt current_simt();

/// Calls f with Cpu{}, Cuda{stream} or Simt{schedule}.
template <class F>
decltype(auto) on(Device d, F&& f) {
  if (d.kind == Device::cuda) {
    if constexpr (kHasCuda)
      return f(current_cuda(d.index));
    else
      fail("this build of holt has no CUDA; configure it with -DHOLT_CUDA=ON, or use the device 'cpu' or 'simt'");
  }
  if (d.kind == Device::simt) return f(current_simt());
  return f(Cpu{});
}

/// A list of element types that an op accepts.
template <class... T>
struct Types {};
using Floats = Types<float, bf16, f16, double>;
using Numbers = Types<float, bf16, f16, double, int64_t, int32_t, uint8_t>;

/// double exists to prove gradients (gradcheck), on the CPU only: no GPU kernel is instantiated for it.
template <class B, class T>
inline constexpr bool supports = !(is_gpu<B> && std::is_same_v<T, double>);

namespace detail {

// f(dev, T{}) if `dtype` names T and the backend has it.
template <class T, class B, class F>
bool call_if(B dev, DType dtype, F& f) {
  if constexpr (supports<B, T>)
    if (dtype == dtype_of<T>) {
      f(dev, T{});
      return true;
    }
  return false;
}

}  // namespace detail

/// Calls f(backend, T{}) with the element type named by `dtype`, which must be one of `Ts` and exist on the device.
template <class... Ts, class F>
void on(Device d, DType dtype, const char* op, Types<Ts...>, F&& f) {
  on(d, [&]<class B>(B dev) {
    if ((detail::call_if<Ts>(dev, dtype, f) || ...)) return;
    std::string known;
    ((known += supports<B, Ts> ? (known.empty() ? "" : ", ") + to_string(dtype_of<Ts>) : ""), ...);
    fail("{}: dtype {} is not supported on {}; expected one of {}", op, dtype, d, known);
  });
}

}  // namespace holt
