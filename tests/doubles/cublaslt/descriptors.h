// The double's descriptors: tables of attributes, each of a known size.
#pragma once
#include <cublasLt.h>

#include <array>
#include <cstring>
#include <string>

namespace holt::cublaslt_double {

/// Notes why, and returns the status.
cublasStatus_t refuse(cublasStatus_t status, const std::string& why);

// What every opaque pointer leads to. The kind catches a descriptor of another sort, and one that was destroyed.
enum class Kind : uint64_t { gone, handle = 0x6c74'0001, layout, operation, preference };

struct Attribute {
  int id;
  uint8_t bytes;     ///< 0: there is no such attribute
  uint64_t initial;  ///< its value in a fresh descriptor
};

struct Descriptor {
  Kind kind = Kind::gone;
  std::array<uint64_t, 40> values{};  ///< by attribute; the low bytes

  template <class T>
  T get(int attribute) const {
    T value;
    std::memcpy(&value, &values[static_cast<size_t>(attribute)], sizeof value);
    return value;
  }
  template <class T>
  void set(int attribute, T value) {
    values[static_cast<size_t>(attribute)] = 0;
    std::memcpy(&values[static_cast<size_t>(attribute)], &value, sizeof value);
  }
};

/// The descriptor behind an opaque pointer, or null (with the reason noted) if it is not of that kind.
Descriptor* find(const void* opaque, Kind kind, const char* what);

/// Whether every attribute but those listed has its initial value; notes the first that has not.
bool only_changed(const Descriptor& d, std::initializer_list<int> known);

}  // namespace holt::cublaslt_double
