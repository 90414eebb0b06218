// A tensor: (storage, offset, shape, dtype, device), row-major and dense. A copy of a Tensor shares everything with the
// original; a view (reshape, narrow on the first axis, detach) shares the storage.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/shape.h"
#include "kernels/device.h"

namespace holt {

struct Node;        // one recorded op: core/autograd.h
struct TensorImpl;  // what copies of a Tensor share

/// Bytes on a device, with the count of writes that detects changes to what a backward still needs.
class Storage {
 public:
  Storage(Device device, size_t bytes);
  /// Memory that somebody else owns (a mapped file); `owner` keeps it alive. Host only.
  Storage(void* data, size_t bytes, std::shared_ptr<void> owner);
  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }
  Device device() const { return device_; }
  bool foreign() const { return owner_ != nullptr; }  ///< somebody else's memory: perhaps not to be written
  uint64_t version = 0;                               ///< grows with every in-place write

 private:
  Device device_;
  size_t bytes_;
  void* data_;
  std::shared_ptr<void> owner_;
};

class Tensor {
 public:
  Tensor() = default;  ///< undefined: holds nothing, `!t` is true
  Tensor(std::shared_ptr<Storage> storage, int64_t offset, Shape shape, DType dtype);

  bool defined() const { return impl_ != nullptr; }
  explicit operator bool() const { return defined(); }
  const Shape& shape() const;
  int rank() const { return shape().rank(); }
  int64_t size(int axis) const { return shape()[axis]; }
  int64_t numel() const { return shape().numel(); }
  DType dtype() const;
  Device device() const;
  size_t bytes() const { return static_cast<size_t>(numel()) * size_of(dtype()); }

  /// The elements; T must be the tensor's dtype. On cuda this is a device pointer.
  template <class T>
  T* data() const {
    check(dtype() == dtype_of<T>, "data: the tensor holds {}, not {}", dtype(), dtype_of<T>);
    return static_cast<T*>(raw());
  }
  void* raw() const;
  const std::shared_ptr<Storage>& storage() const;
  int64_t offset() const;  ///< in elements, from the storage's start
  /// Says that the elements were written in place: a backward that saved them will refuse to run.
  void bump_version() const { ++storage()->version; }

  /// Copies to the host, from any device, converted to T.
  template <class T>
  std::vector<T> to_vector() const;
  /// The only element, as double. Error unless numel() is 1.
  double item() const;

  // Views. One size of reshape may be −1. All are differentiable but detach().
  Tensor reshape(Shape shape) const;
  Tensor narrow(int64_t start, int64_t length) const;  ///< rows [start, start + length) of the first axis
  Tensor detach() const;                               ///< the same elements, outside the graph

  // Copies. to(…) returns the tensor itself where nothing changes; both are differentiable.
  Tensor to(Device device) const;
  Tensor to(DType dtype) const;
  Tensor clone() const;  ///< differentiable copy

  // Autograd.
  bool requires_grad() const;                          ///< a leaf to be trained, or the result of ops on one
  const Tensor& requires_grad_(bool on = true) const;  ///< marks a leaf; floating dtypes only
  bool is_leaf() const;
  Tensor grad() const;  ///< what backward() accumulated; undefined before
  void set_grad(Tensor g) const;
  /// Accumulates d(this)/d(leaf) into every leaf's grad(). `seed` (the shape of this) defaults to 1 for a single
  /// element. Frees what the graph saved unless `retain_graph`.
  void backward(Tensor seed = {}, bool retain_graph = false) const;

  const std::shared_ptr<TensorImpl>& impl() const { return impl_; }

 private:
  std::shared_ptr<TensorImpl> impl_;
};

/// The elements, or null for an undefined tensor: how optional arguments reach a kernel.
template <class T>
T* data_or_null(const Tensor& t) {
  return t ? t.data<T>() : nullptr;
}

/// "f32 [2, 3] on cpu"; "undefined".
std::string to_string(const Tensor& t);

// Creation. Contents of empty() are unspecified.
Tensor empty(Shape, DType = DType::f32, Device = {});
Tensor zeros(Shape, DType = DType::f32, Device = {});
Tensor full(Shape, double value, DType = DType::f32, Device = {});
Tensor empty_like(const Tensor&);
Tensor zeros_like(const Tensor&);
/// From values in row-major order, converted to `dtype`; values.size() must be shape.numel().
template <class T>
Tensor from(std::span<const T> values, Shape, DType = dtype_of<T>, Device = {});
template <class T>
Tensor from(const std::vector<T>& values, Shape shape, DType dtype = dtype_of<T>, Device device = {}) {
  return from<T>(std::span<const T>(values), shape, dtype, device);
}

}  // namespace holt
