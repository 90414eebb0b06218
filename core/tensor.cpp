#include "core/tensor.h"

#include "core/node.h"
#include "kernels/memory.h"

namespace holt {

Storage::Storage(Device device, size_t bytes) : device_(device), bytes_(bytes), data_(allocate(device, bytes)) {}

Storage::Storage(void* data, size_t bytes, std::shared_ptr<void> owner)
    : bytes_(bytes), data_(data), owner_(std::move(owner)) {
  check(owner_ != nullptr, "storage: memory that somebody else owns needs its owner");
  check(data_ != nullptr || bytes_ == 0, "storage: {} bytes at a null pointer", bytes_);
}

Storage::~Storage() {
  if (!owner_) deallocate(device_, data_, bytes_);
}

TensorImpl::~TensorImpl() {
  if (node) drop(std::move(node));
}

namespace {

const TensorImpl& deref(const std::shared_ptr<TensorImpl>& impl, const char* what) {
  check(impl != nullptr, "{}: the tensor is undefined", what);
  return *impl;
}

}  // namespace

Tensor::Tensor(std::shared_ptr<Storage> storage, int64_t offset, Shape shape, DType dtype) {
  check(storage != nullptr, "tensor: no storage");
  const auto capacity = static_cast<int64_t>(storage->bytes() / size_of(dtype));
  check(offset >= 0 && offset <= capacity && shape.numel() <= capacity - offset,
        "tensor: {} {} at element {} does not fit in a storage of {} bytes", dtype, shape, offset, storage->bytes());
  impl_ = std::make_shared<TensorImpl>();
  impl_->storage = std::move(storage);
  impl_->offset = offset;
  impl_->shape = shape;
  impl_->dtype = dtype;
}

const Shape& Tensor::shape() const { return deref(impl_, "shape").shape; }
DType Tensor::dtype() const { return deref(impl_, "dtype").dtype; }
Device Tensor::device() const { return deref(impl_, "device").storage->device(); }
const std::shared_ptr<Storage>& Tensor::storage() const { return deref(impl_, "storage").storage; }
int64_t Tensor::offset() const { return deref(impl_, "offset").offset; }

void* Tensor::raw() const {
  const TensorImpl& t = deref(impl_, "data");
  return static_cast<char*>(t.storage->data()) + static_cast<size_t>(t.offset) * size_of(t.dtype);
}

Tensor Tensor::detach() const { return Tensor(storage(), offset(), shape(), dtype()); }

bool Tensor::requires_grad() const {
  const TensorImpl& t = deref(impl_, "requires_grad");
  return t.node != nullptr || t.requires_grad;
}

bool Tensor::is_leaf() const { return deref(impl_, "is_leaf").node == nullptr; }

const Tensor& Tensor::requires_grad_(bool on) const {
  const TensorImpl& t = deref(impl_, "requires_grad_");
  check(t.node == nullptr, "requires_grad_: {} is the result of '{}'; only leaves are marked (see detach)", *this,
        t.node ? t.node->op : "");
  check(!on || is_float(t.dtype), "requires_grad_: only floating dtypes have gradients, got {}", *this);
  impl_->requires_grad = on;
  return *this;
}

Tensor Tensor::grad() const { return deref(impl_, "grad").grad; }

void Tensor::set_grad(Tensor g) const {
  const TensorImpl& t = deref(impl_, "set_grad");
  check(t.node == nullptr, "set_grad: {} is the result of '{}'; only leaves keep a gradient", *this,
        t.node ? t.node->op : "");
  if (g)
    check(g.shape() == t.shape && g.dtype() == t.dtype && g.device() == device(),
          "set_grad: {} cannot have gradient {}", *this, g);
  impl_->grad = g && g.requires_grad() ? g.detach() : std::move(g);  // a gradient with a graph could own its own leaf
}

std::string to_string(const Tensor& t) {
  return t ? format("{} {} on {}", t.dtype(), t.shape(), t.device()) : "undefined";
}

}  // namespace holt
