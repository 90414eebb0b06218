// A weight in the form that a kernel of the CPU reads fastest (another order of its elements, a transform of them), for
// calls that find the same weight again. Who owns a Packed knows whether it is the same: core/inference.h.
#pragma once
#include <any>
#include <memory>

namespace holt {

/// One form of one weight, of the class that the kernel chose. Not for two threads at once.
class Packed {
 public:
  /// The form of class F that `fits`, or what make() returns, a std::shared_ptr<F>: it takes the place of another.
  template <class F, class Fits, class Make>
  std::shared_ptr<const F> get(Fits&& fits, Make&& make) {
    const auto* kept = std::any_cast<std::shared_ptr<const F>>(&form_);
    if (kept && fits(**kept)) return *kept;
    form_.reset();  // first, so that never two are in memory
    const std::shared_ptr<const F> made = make();
    form_ = made;
    return made;
  }

 private:
  std::any form_;
};

}  // namespace holt
