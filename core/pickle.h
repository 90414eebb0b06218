// Python's pickles, read without running anything.
//
// A pickle is a program for a small stack machine, and Python's own reader imports and calls whatever it names. This
// one builds None, bool, int, float, str, tuple, list and dict, and knows by name the few things of which PyTorch makes
// tensors; it calls nothing. Any other name or opcode is an Error that says which.
// Source: Python's pickletools (opcodes), torch/serialization.py and torch/_utils.py (names).
//
// Values stand in one list and refer to each other by index, so a pickle that contains itself, or repeats one object a
// million times, costs no more than its own length.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/shape.h"
#include "kernels/dtype.h"

namespace holt {

class Pickle {
 public:
  using Id = uint32_t;

  /// A tensor's elements in the archive: entry "data/<key>".
  struct StorageRef {
    std::string key;
    DType dtype;
    int64_t size;  ///< elements
  };
  struct Value {
    enum Kind { none, boolean, integer, real, text, tuple, list, dict, storage, tensor, name };
    Kind kind = none;
    int64_t integer_value = 0;                       ///< boolean and integer
    double real_value = 0;                           ///< real
    std::string text_value = {};                     ///< text, and name: "torch._utils _rebuild_tensor_v2"
    std::vector<Id> items = {};                      ///< tuple and list; dict: key, value, key, value, …
    StorageRef storage_value = {"", DType::f32, 0};  ///< storage and tensor
    int64_t offset = 0;                              ///< tensor: elements from its storage's start
    std::vector<int64_t> sizes = {}, strides = {};   ///< tensor: in elements
  };

  /// `source` begins the message of an Error.
  Pickle(std::span<const std::byte> bytes, std::string source);

  const Value& root() const { return values_[root_]; }
  const Value& operator[](Id i) const { return values_[i]; }

 private:
  friend class PickleReader;
  std::vector<Value> values_;
  Id root_ = 0;
};

}  // namespace holt
