// Tensors one after the other along an axis, zeros around an image, and pieces of an axis: all are boxes of rows.
//
//   concat    y = [x₀ | x₁ | …]             dxᵢ = its piece of dy
//   slice     y = x[…, start : end, …]      dx = dy in that piece, 0 elsewhere
//   pad2d     y = x with zeros around       dx = the middle of dy
#include "core/autograd.h"
#include "core/ops.h"
#include "kernels/copy_rows.h"

namespace holt {
namespace {

// Copies `length` places of `axis` from place `from` of x to place `to` of y. The other axes are equal.
void copy_piece(const Tensor& x, int64_t from, const Tensor& y, int64_t to, int64_t length, int axis) {
  const Shape& s = x.shape();
  const auto inner = s.product(axis + 1, s.rank()) * static_cast<int64_t>(size_of(x.dtype()));
  const int64_t x_pitch = x.size(axis) * inner, y_pitch = y.size(axis) * inner;
  const CopyRows rows{1, s.product(0, axis), length * inner, 0, x_pitch, 0, y_pitch};
  on(x.device(), [&](auto dev) {
    copy_rows(dev, rows, static_cast<const char*>(x.raw()) + from * inner, static_cast<char*>(y.raw()) + to * inner);
  });
}

// Copies the image `inner` [N,h,w,C] to or from the middle of `outer` [N,h + top + bottom,…,C], which begins at (top,
// left).
void copy_image(const Tensor& inner, const Tensor& outer, int64_t top, int64_t left, bool to_outer) {
  const int64_t n = inner.size(0), h = inner.size(1), w = inner.size(2);
  const int64_t pixel = inner.size(3) * static_cast<int64_t>(size_of(inner.dtype()));
  const int64_t pitch = outer.size(2) * pixel, image = outer.size(1) * pitch;
  char* const middle = static_cast<char*>(outer.raw()) + top * pitch + left * pixel;
  const CopyRows in{n, h, w * pixel, h * w * pixel, w * pixel, image, pitch};
  const CopyRows out{n, h, w * pixel, image, pitch, h * w * pixel, w * pixel};
  on(inner.device(), [&](auto dev) {
    if (to_outer)
      copy_rows(dev, in, inner.raw(), middle);
    else
      copy_rows(dev, out, middle, inner.raw());
  });
}

}  // namespace

Tensor concat(const std::vector<Tensor>& parts, int axis) {
  check(!parts.empty(), "concat: there are no tensors");
  const Tensor& first = parts[0];
  check(axis >= -first.rank() && axis < first.rank(), "concat: axis {} is out of range for {}", axis, first);
  const int at = first.shape().normalize(axis);
  Shape shape = first.shape();
  int64_t length = 0;
  for (const Tensor& x : parts) {
    bool fits = x.rank() == first.rank() && x.dtype() == first.dtype() && x.device() == first.device();
    for (int i = 0; fits && i < x.rank(); ++i) fits = i == at || x.size(i) == first.size(i);
    check(fits, "concat: along axis {} tensors must agree in all else, got {} and {}", axis, first, x);
    length += x.size(at);
  }
  shape.set(at, length);
  Tensor y = empty(shape, first.dtype(), first.device());
  std::vector<Shape> shapes;
  int64_t start = 0;
  for (const Tensor& x : parts) {
    copy_piece(x, 0, y, start, x.size(at), at);
    start += x.size(at);
    shapes.push_back(x.shape());
  }
  return record("concat", parts, y, [shapes, at](const Tensor& dy, const Needs& needs) -> Grads {
    Grads grads(shapes.size());
    int64_t start = 0;
    for (size_t i = 0; i < shapes.size(); ++i) {
      if (needs[i]) {
        grads[i] = empty(shapes[i], dy.dtype(), dy.device());
        copy_piece(dy, start, grads[i], 0, shapes[i][at], at);
      }
      start += shapes[i][at];
    }
    return grads;
  });
}

Tensor slice(const Tensor& x, int axis, int64_t start, int64_t end) {
  check(axis >= -x.rank() && axis < x.rank(), "slice: axis {} is out of range for {}", axis, x);
  const int at = x.shape().normalize(axis);
  check(start >= 0 && start <= end && end <= x.size(at), "slice: places {} to {} of axis {} are out of range for {}",
        start, end, axis, x);
  Shape shape = x.shape();
  shape.set(at, end - start);
  Tensor y = empty(shape, x.dtype(), x.device());
  copy_piece(x, start, y, 0, end - start, at);
  return record("slice", {x}, y, [=, from = x.shape()](const Tensor& dy, const Needs&) -> Grads {
    Tensor dx = zeros(from, dy.dtype(), dy.device());
    copy_piece(dy, 0, dx, start, end - start, at);
    return {dx};
  });
}

Tensor pad2d(const Tensor& x, int top, int bottom, int left, int right) {
  check(x.rank() == 4, "pad2d: x must be [N,H,W,C], got {}", x);
  check(top >= 0 && bottom >= 0 && left >= 0 && right >= 0, "pad2d: widths must not be negative, got {}, {}, {}, {}",
        top, bottom, left, right);
  Tensor y = zeros({x.size(0), x.size(1) + top + bottom, x.size(2) + left + right, x.size(3)}, x.dtype(), x.device());
  copy_image(x, y, top, left, true);
  return record("pad2d", {x}, y, [=, from = x.shape()](const Tensor& dy, const Needs&) -> Grads {
    Tensor dx = empty(from, dy.dtype(), dy.device());
    copy_image(dx, dy, top, left, false);
    return {dx};
  });
}

}  // namespace holt
