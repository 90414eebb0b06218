// Shared memory of the block that runs on this OS thread.
//
// Every block gets it afresh, filled with NaN (all bits set: also -1 for an integer), and every variable lies between
// guards: AddressSanitizer reports a touch of them at once; without it their pattern is checked after the block.
// Variables are aligned as their type asks and no better, so that a 16-byte access that is legal only by luck fails.
#pragma once
#include <cstddef>
#include <string_view>
#include <vector>

namespace holt::simt {

inline constexpr size_t kSharedLimit = 227 * 1024;   ///< static and dynamic together, with the attribute set
inline constexpr size_t kSharedDefault = 48 * 1024;  ///< without it; also the limit of static memory

class SharedMemory {
 public:
  SharedMemory();
  ~SharedMemory();
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  /// Starts a block with so many bytes of dynamic shared memory.
  void open(size_t dynamic_bytes);
  /// Ends the block. Throws Error if a guard was written, unless `quietly`.
  void close(bool quietly);
  void* dynamic() const { return dynamic_; }
  bool contains(const void* p) const { return p >= base_ && p < top_; }
  /// The block's variable that `key` stands for; made by the first thread that asks.
  void* variable(const void* key, std::string_view name, size_t bytes, size_t alignment);

 private:
  struct Variable {
    const void* key;
    std::string_view name;
    char* data;
    size_t bytes;
  };
  char* place(size_t bytes, size_t alignment);
  void check_guards() const;

  char* base_;
  char* top_;
  char* dynamic_ = nullptr;
  size_t dynamic_bytes_ = 0, static_bytes_ = 0;
  std::vector<Variable> variables_;  // few: searched in order
};

/// The calling kernel thread's view of it.
void* shared_variable(const void* key, std::string_view name, size_t bytes, size_t alignment);
void* dynamic_shared();

}  // namespace holt::simt

// The struct lets T carry alignas(16) and the bounds depend on template parameters, as __shared__ does. One static tag
// exists for each declaration in each instantiation, as does one __shared__ variable.
#define SHARED(T, name, ...)                                                                                         \
  struct holt_shared_##name {                                                                                        \
    T variable __VA_ARGS__;                                                                                          \
  };                                                                                                                 \
  static_assert(std::is_trivially_default_constructible_v<holt_shared_##name>, "shared memory starts undefined");    \
  static constinit char holt_shared_tag_##name = 0;                                                                  \
  auto& name =                                                                                                       \
      static_cast<holt_shared_##name*>(::holt::simt::shared_variable(&holt_shared_tag_##name, #name,                 \
                                                                     sizeof(decltype(holt_shared_##name::variable)), \
                                                                     alignof(holt_shared_##name)))                   \
          ->variable

#define DYNAMIC_SHARED(T, name) T* const name = static_cast<T*>(::holt::simt::dynamic_shared())
