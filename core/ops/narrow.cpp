// Some rows of the first axis: a view, nothing is copied.
//
//   y = x[start : start + length]        dx = dy in those rows, 0 elsewhere
#include "core/autograd.h"
#include "kernels/memory.h"

namespace holt {

Tensor Tensor::narrow(int64_t start, int64_t length) const {
  check(rank() >= 1, "narrow: a scalar has no rows");
  const int64_t rows = size(0);
  check(start >= 0 && length >= 0 && start <= rows && length <= rows - start,
        "narrow: rows [{}, {} + {}) are out of range for {}", start, start, length, *this);
  Shape piece = shape();
  const int64_t row = piece.product(1, piece.rank());
  piece.set(0, length);
  return record("narrow", {*this}, Tensor(storage(), offset() + start * row, piece, dtype()),
                [from = shape(), start, row](const Tensor& dy, const Needs&) -> Grads {
                  Tensor dx = zeros(from, dy.dtype(), dy.device());
                  copy_bytes(dy.device(), static_cast<char*>(dx.raw()) + start * row * size_of(dy.dtype()), dy.device(),
                             dy.raw(), dy.bytes());
                  return {dx};
                });
}

}  // namespace holt
