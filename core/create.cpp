// Tensors from host values and back. Conversions happen here on the host, element by element: rounding to a narrower
// float is what a dtype means, but a value that an integer dtype cannot hold is an Error.
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "core/tensor.h"
#include "kernels/fill.h"
#include "kernels/memory.h"

namespace holt {
namespace {

template <class To, class From>
bool fits(From x) {
  if constexpr (std::is_integral_v<From>) return std::in_range<To>(x);
  // Bounds as powers of two are exact in double; max() of int64_t is not.
  const double v = x, end = std::ldexp(1.0, std::numeric_limits<To>::digits);
  return v == std::trunc(v) && v >= static_cast<double>(std::numeric_limits<To>::min()) && v < end;
}

template <class To, class From>
void convert(const char* op, const From* from, To* to, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    if constexpr (std::is_integral_v<To>) {
      check(fits<To>(from[i]), "{}: element {} is {}, which {} cannot hold", op, i, double(from[i]), dtype_of<To>);
      to[i] = static_cast<To>(from[i]);
    } else if constexpr (std::is_same_v<To, double>) {
      to[i] = static_cast<double>(from[i]);
    } else {
      to[i] = To(static_cast<float>(from[i]));
    }
  }
}

/// f(T{}) with the element type of `dtype`.
template <class F>
void visit(DType dtype, const char* op, F&& f) {
  on(Device{}, dtype, op, Numbers{}, [&](auto, auto t) { f(t); });
}

}  // namespace

Tensor empty(Shape shape, DType dtype, Device device) {
  int64_t bytes;
  check(!__builtin_mul_overflow(shape.numel(), static_cast<int64_t>(size_of(dtype)), &bytes),
        "empty: {} {} needs more bytes than an int64 can count", dtype, shape);
  return Tensor(std::make_shared<Storage>(device, static_cast<size_t>(bytes)), 0, shape, dtype);
}

Tensor full(Shape shape, double value, DType dtype, Device device) {
  const Tensor t = empty(shape, dtype, device);
  on(device, dtype, "full", Numbers{}, [&]<class T>(auto dev, T) {
    T x;
    convert("full", &value, &x, 1);
    fill(dev, t.numel(), x, t.data<T>());
  });
  return t;
}

Tensor zeros(Shape shape, DType dtype, Device device) { return full(shape, 0, dtype, device); }
Tensor empty_like(const Tensor& t) { return empty(t.shape(), t.dtype(), t.device()); }
Tensor zeros_like(const Tensor& t) { return zeros(t.shape(), t.dtype(), t.device()); }

template <class T>
Tensor from(std::span<const T> values, Shape shape, DType dtype, Device device) {
  check(static_cast<int64_t>(values.size()) == shape.numel(), "from: {} values do not fill {}", values.size(), shape);
  const Tensor t = empty(shape, dtype, device);
  if (dtype == dtype_of<T>) {
    copy_bytes(device, t.raw(), Device{}, values.data(), t.bytes());
  } else {
    visit(dtype, "from", [&](auto zero) {
      std::vector<decltype(zero)> host(values.size());
      convert("from", values.data(), host.data(), t.numel());
      copy_bytes(device, t.raw(), Device{}, host.data(), t.bytes());
    });
  }
  return t;
}

template <class T>
std::vector<T> Tensor::to_vector() const {
  std::vector<T> result(static_cast<size_t>(numel()));
  if (dtype() == dtype_of<T>) {
    copy_bytes(Device{}, result.data(), device(), raw(), bytes());
  } else {
    visit(dtype(), "to_vector", [&](auto zero) {
      std::vector<decltype(zero)> host(result.size());
      copy_bytes(Device{}, host.data(), device(), raw(), bytes());
      convert("to_vector", host.data(), result.data(), numel());
    });
  }
  return result;
}

double Tensor::item() const {
  check(numel() == 1, "item: needs a tensor of one element, got {}", *this);
  return to_vector<double>()[0];
}

#define HOLT_INSTANTIATE(T)                                          \
  template Tensor from<T>(std::span<const T>, Shape, DType, Device); \
  template std::vector<T> Tensor::to_vector<T>() const;
HOLT_INSTANTIATE(float)
HOLT_INSTANTIATE(bf16)
HOLT_INSTANTIATE(f16)
HOLT_INSTANTIATE(double)
HOLT_INSTANTIATE(int64_t)
HOLT_INSTANTIATE(int32_t)
HOLT_INSTANTIATE(uint8_t)
#undef HOLT_INSTANTIATE

}  // namespace holt
