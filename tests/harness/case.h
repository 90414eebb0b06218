// One case: one call of one kernel, with inputs, an independent double-precision reference, and what the call must move
// and compute. The tests check it on every device, every rung and several schedules; the benchmarks time it.
//
// A family's cases stand in tests/cases/<op>.h, which ends in
//
//   static const CaseFamily family{"layer_norm", layer_norm_cases, layer_norm_gradients};
//
// and needs no other registration: CMake builds a test executable from every such header, and one benchmark from all.
#pragma once
#include <cmath>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/tensor.h"
#include "kernels/device.h"
#include "kernels/philox.h"

namespace holt::test {

/// A value for element i of an input, before rounding to the argument's dtype.
using Init = std::function<double(int64_t i)>;

/// One pointer of the kernel's signature.
struct Argument {
  enum Role { in, out, inout };
  std::string name;
  Role role;
  DType dtype;
  int64_t size;          ///< elements
  Init init = {};        ///< for in and inout
  int64_t terms = 1;     ///< K: length of the longest sum behind an output element
  double condition = 1;  ///< multiplies the tolerance; state in a comment where it comes from
  bool exact = false;    ///< must equal the reference bit for bit (integers always must)
};

/// The arguments' elements as double: inputs are rounded to their dtype already; the reference writes out and inout.
using Values = std::vector<std::vector<double>>;

struct Case {
  std::string op;     ///< the contract's function: "layer_norm_forward"
  std::string shape;  ///< and what else tells cases apart: "[33, 4099] mean 1000"
  DType dtype;
  std::vector<Argument> args = {};
  std::function<void(Values& v)> reference = {};  ///< from the definition, in double
  /// p[i] is argument i on the device, or null if its size is negative.
  std::function<void(Device d, const std::vector<void*>& p)> run = {};
  std::vector<std::string_view> rungs = {};  ///< GPU variants; empty = the op has one
  bool vendor = false;                       ///< cuda has the rung "vendor" too (kernels/cuda/)
  double bytes = 0, flops = 0;               ///< compulsory traffic and arithmetic of one call
};

/// A differentiable function with f64 inputs, for gradcheck.
struct Gradient {
  std::string name;
  std::function<Tensor(const std::vector<Tensor>&)> f;
  std::vector<Tensor> inputs;
};

enum class Scope {
  test,   ///< sizes 0, 1, 31, 32, 33, 1025, 4099, a real network's (small batch), awkward values
  race,   ///< a few tiny shapes that reach every branch: ThreadSanitizer is slow
  bench,  ///< real networks' shapes, beyond the cache
  study,  ///< what docs/kernels.md walks through: small enough to be counted on the emulator; else as `test`
};

/// Registers itself; make it a static const at the end of a case header.
struct CaseFamily {
  using Cases = std::vector<Case> (*)(Scope);
  using Gradients = std::vector<Gradient> (*)();
  CaseFamily(std::string name, Cases cases, Gradients gradients = nullptr);
  std::string name;
  Cases cases;
  Gradients gradients;
};
const std::vector<const CaseFamily*>& families();

/// Uniform in [low, high), different for every `stream`, the same in every run.
inline Init uniform_values(uint64_t stream, double low = -1, double high = 1) {
  return [=](int64_t i) { return low + (high - low) * uniform01(philox(7, stream, static_cast<uint64_t>(i)).v[0]); };
}
/// About normal (sum of four uniforms), bounded.
inline Init normal_values(uint64_t stream, double mean = 0, double std = 1) {
  return [=](int64_t i) {
    const Philox4 r = philox(11, stream, static_cast<uint64_t>(i));
    double s = -2;
    for (uint32_t v : r.v) s += uniform01(v);
    return mean + std * s * std::sqrt(3.0);
  };
}
inline Init constant_values(double value) {
  return [=](int64_t) { return value; };
}
/// Integers in [low, high).
inline Init integer_values(uint64_t stream, int64_t low, int64_t high) {
  return [=](int64_t i) {
    return std::floor(low + (high - low) * double(uniform01(philox(13, stream, static_cast<uint64_t>(i)).v[0])));
  };
}

/// The pointer as T.
template <class T>
T* as(void* p) {
  return static_cast<T*>(p);
}

/// 2·eps(dtype) + 8·√K·eps(accumulator), times the condition: multiplied by max(|ref|, rms(ref)) it is what an element
/// may be off by.
inline double tolerance(const Argument& a) {
  const double accumulator = epsilon(a.dtype == DType::f64 ? DType::f64 : DType::f32);
  return a.condition * (2 * epsilon(a.dtype) + 8 * std::sqrt(static_cast<double>(a.terms)) * accumulator);
}

/// The rungs that the case has on the device; one empty name where there is nothing to choose.
std::vector<std::string_view> rungs_on(const Case& c, Device d);

/// Runs the case on the device (every rung on a GPU, three schedules on simt; aligned and misaligned pointers) against
/// the reference. Returns "" or what was wrong: the argument, the element, both values, the tolerance, rung and
/// schedule.
std::string check_case(const Case& c, Device d);

}  // namespace holt::test
