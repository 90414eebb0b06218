#include "core/shape.h"

namespace holt {
namespace {

// Sizes are products of what callers and files say: an overflow would pass every later bounds check.
int64_t checked_product(const Shape& s, int from, int to) {
  int64_t product = 1;
  for (int i = from; i < to; ++i) {
    check(s[i] >= 0, "shape: {} has an open size (-1); only reshape accepts that", s);
    if (s[i] == 0) product = 0;
  }
  for (int i = from; product != 0 && i < to; ++i)
    check(!__builtin_mul_overflow(product, s[i], &product), "shape: {} has more elements than an int64 can count", s);
  return product;
}

}  // namespace

Shape::Shape(std::span<const int64_t> sizes) : rank_(static_cast<int>(sizes.size())) {
  check(sizes.size() <= kMaxRank, "shape: at most {} axes, got {}", int64_t{kMaxRank}, sizes.size());
  for (size_t i = 0; i < sizes.size(); ++i) {
    check(sizes[i] >= -1, "shape: size {} of axis {} is negative", sizes[i], i);
    sizes_[i] = sizes[i];
  }
}

void Shape::set(int axis, int64_t size) {
  check(size >= 0, "shape: size {} of axis {} is negative", size, axis);
  sizes_[normalize(axis)] = size;
}

int Shape::normalize(int axis) const {
  check(axis >= -rank_ && axis < rank_, "shape: axis {} is out of range for {}", axis, *this);
  return axis < 0 ? axis + rank_ : axis;
}

int64_t Shape::numel() const { return checked_product(*this, 0, rank_); }

int64_t Shape::product(int from, int to) const {
  check(0 <= from && from <= to && to <= rank_, "shape: axes [{}, {}) are out of range for {}", from, to, *this);
  return checked_product(*this, from, to);
}

std::string to_string(const Shape& s) {
  std::string text = "[";
  for (int64_t size : s) text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  return text + "]";
}

Shape broadcast(const char* op, const Shape& a, const Shape& b) {
  Shape result = a.rank() >= b.rank() ? a : b;
  for (int i = 1; i <= std::min(a.rank(), b.rank()); ++i) {
    check(a[-i] == b[-i] || a[-i] == 1 || b[-i] == 1, "{}: shapes {} and {} do not broadcast", op, a, b);
    result.set(-i, a[-i] == 1 ? b[-i] : a[-i]);
  }
  return result;
}

}  // namespace holt
