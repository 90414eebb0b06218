// The sizes of a tensor's axes, outermost first. Row-major and dense: there are no strides.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

#include "kernels/error.h"

namespace holt {

class Shape {
 public:
  static constexpr int kMaxRank = 8;

  Shape() = default;  ///< a scalar: rank 0, one element
  /// Sizes ≥ 0; −1 stands for an open size, which only reshape() accepts.
  Shape(std::initializer_list<int64_t> sizes) : Shape(std::span(sizes.begin(), sizes.size())) {}
  explicit Shape(std::span<const int64_t> sizes);

  int rank() const { return rank_; }
  /// Size of an axis; negative axes count from the end.
  int64_t operator[](int axis) const { return sizes_[normalize(axis)]; }
  void set(int axis, int64_t size);
  /// `axis` in 0 … rank−1; an axis outside −rank … rank−1 is an Error.
  int normalize(int axis) const;
  /// Number of elements; one that does not fit in an int64 is an Error.
  int64_t numel() const;
  /// Product of the sizes of axes [from, to).
  int64_t product(int from, int to) const;

  const int64_t* begin() const { return sizes_.data(); }
  const int64_t* end() const { return sizes_.data() + rank_; }
  friend bool operator==(const Shape& a, const Shape& b) { return std::equal(a.begin(), a.end(), b.begin(), b.end()); }

 private:
  std::array<int64_t, kMaxRank> sizes_{};
  int rank_ = 0;
};

/// "[2, 3]"
std::string to_string(const Shape& s);
/// The shape that NumPy's broadcasting gives; Error with op's name if the two do not fit.
Shape broadcast(const char* op, const Shape& a, const Shape& b);

}  // namespace holt
