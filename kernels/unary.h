// Functions of one element: y = f(x), and dx = dy·f′.
//
// A function is a small struct: its value, its slope, and whether the slope is cheaper from y than from x. It is
// computed in acc_t<T>, so a 16-bit result is rounded once; on the CPU in bf16 with fewer digits (brief.h).
//
// Bytes: forward 2·n·sizeof(T), backward 3·n·sizeof(T). Memory-bound everywhere; on two cores GELU comes near to being
// bound by arithmetic.
#pragma once
#include "kernels/device.h"
#include "kernels/rungs.h"
#include "kernels/vector_math.h"

namespace holt {

struct Exp {
  static constexpr bool keeps_output = true;  ///< slope() wants y; otherwise x
  static constexpr int work = 2;              ///< elementary operations an element, for parallel_for
  template <class A>
  HOLT_HD A value(A x) const {
    return vmath::exp(x);
  }
  template <class A>
  HOLT_HD A slope(A y) const {
    return y;
  }
};

struct Log {
  static constexpr bool keeps_output = false;
  static constexpr int work = 2;
  template <class A>
  HOLT_HD A value(A x) const {
    return vmath::log(x);
  }
  template <class A>
  HOLT_HD A slope(A x) const {
    return 1 / x;
  }
};

struct Sqrt {
  static constexpr bool keeps_output = true;
  static constexpr int work = 1;
  template <class A>
  HOLT_HD A value(A x) const {
    return std::sqrt(x);
  }
  template <class A>
  HOLT_HD A slope(A y) const {
    return A(0.5) / y;
  }
};

struct Square {
  static constexpr bool keeps_output = false;
  static constexpr int work = 1;
  template <class A>
  HOLT_HD A value(A x) const {
    return x * x;
  }
  template <class A>
  HOLT_HD A slope(A x) const {
    return 2 * x;
  }
};

/// Slope 0 at 0.
struct Abs {
  static constexpr bool keeps_output = false;
  static constexpr int work = 1;
  template <class A>
  HOLT_HD A value(A x) const {
    return std::fabs(x);
  }
  template <class A>
  HOLT_HD A slope(A x) const {
    return x > 0 ? A(1) : x < 0 ? A(-1) : A(0);
  }
};

/// max(0, x); NaN stays NaN. Slope 0 at 0.
struct Relu {
  static constexpr bool keeps_output = true;
  static constexpr int work = 1;
  template <class A>
  HOLT_HD A value(A x) const {
    return x <= 0 ? A(0) : x;
  }
  template <class A>
  HOLT_HD A slope(A y) const {
    return y > 0 ? A(1) : A(0);
  }
};

/// x·Φ(x), Φ the normal distribution function (Hendrycks & Gimpel 2016). Slope Φ + x·φ.
struct GeluExact {
  static constexpr bool keeps_output = false;
  static constexpr int work = 4;
  template <class A>
  HOLT_HD A value(A x) const {
    return vmath::gelu(x);
  }
  template <class A>
  HOLT_HD A slope(A x) const {
    return vmath::gelu_slope(x);
  }
};

/// ½·x·(1 + tanh u) = x·σ(w), w = 2u = 2·√(2/π)·(x + 0.044715·x³). By the logistic function σ: 1 + tanh u would
/// cancel for negative x. Slope σ + x·w′·σ·(1 − σ).
struct GeluTanh {
  static constexpr bool keeps_output = false;
  static constexpr int work = 3;
  static constexpr double kScale = 1.59576912160573071176;  // 2·√(2/π)
  template <class A>
  HOLT_HD A value(A x) const {
    return x * vmath::sigmoid(A(kScale) * x * (1 + A(0.044715) * x * x));
  }
  template <class A>
  HOLT_HD A slope(A x) const {
    const A w = A(kScale) * x * (1 + A(0.044715) * x * x), dw = A(kScale) * (1 + A(3 * 0.044715) * x * x);
    // σ(w) and σ(−w) are 1/(1 + t) and t/(1 + t): neither is found by subtraction.
    const A t = vmath::exp_negative(-std::fabs(w)), r = 1 / (1 + t);
    return (w < 0 ? t * r : r) + x * dw * t * r * r;
  }
};

/// σ(x) = 1/(1 + e^−x). Its slope σ·(1 − σ) and tanh's 1 − tanh² could be had from y, but there the subtraction cancels
/// where the function saturates, and in 16 bits all of a slope below eps is lost: both take it from x.
struct Sigmoid {
  static constexpr bool keeps_output = false;
  static constexpr int work = 3;
  template <class A>
  HOLT_HD A value(A x) const {
    return vmath::sigmoid(x);
  }
  template <class A>
  HOLT_HD A slope(A x) const {
    const A t = vmath::exp_negative(-std::fabs(x)), r = 1 / (1 + t);
    return t * r * r;
  }
};

/// Slope 1/cosh² x = 4t/(1 + t)², t = e^−2|x|.
struct Tanh {
  static constexpr bool keeps_output = false;
  static constexpr int work = 3;
  template <class A>
  HOLT_HD A value(A x) const {
    return vmath::tanh(x);
  }
  template <class A>
  HOLT_HD A slope(A x) const {
    const A t = vmath::exp_negative(-2 * std::fabs(x)), r = 1 / (1 + t);
    return 4 * t * r * r;
  }
};

/// x·σ(βx) (Ramachandran et al. 2017). β = 1 is SiLU; β = 1.702 is the "quick GELU" of OpenAI's CLIP, within 0.02 of
/// GELU. Slope σ + βx·σ·(1 − σ).
template <class A>
struct Swish {
  static constexpr bool keeps_output = false;
  static constexpr int work = 3;
  A beta;
  HOLT_HD A value(A x) const { return x * vmath::sigmoid(beta * x); }
  HOLT_HD A slope(A x) const {
    const A w = beta * x, t = vmath::exp_negative(-std::fabs(w)), r = 1 / (1 + t);
    return (w < 0 ? t * r : r) + w * t * r * r;
  }
};
inline constexpr double kSiluBeta = 1, kQuickGeluBeta = 1.702;

/// x + c and x·c. Their slopes need no kernel of their own: dx is dy, and dy·c.
template <class A>
struct AddScalar {
  static constexpr int work = 1;
  A c;
  HOLT_HD A value(A x) const { return x + c; }
};
template <class A>
struct MulScalar {
  static constexpr int work = 1;
  A c;
  HOLT_HD A value(A x) const { return x * c; }
};

inline constexpr Rungs<2> unary_forward_rungs{"unary_forward", {"naive", "vec16"}};
inline constexpr Rungs<2> unary_backward_rungs{"unary_backward", {"naive", "vec16"}};

/// y[n]  ←  x[n].      F: the structs above.   T: float, bf16, f16, double (cpu).   B: Cpu, Cuda, Simt.
template <class F, class B, class T>
void unary_forward(B, F f, int64_t n, const T* x, T* y);

/// dx[n]  ←  dy[n], kept[n] (y if F::keeps_output, else x).      F: all but AddScalar and MulScalar.
template <class F, class B, class T>
void unary_backward(B, F f, int64_t n, const T* dy, const T* kept, T* dx);

}  // namespace holt
