// A library of NVIDIA's, opened when it is first used and never linked: a program starts without it, and one that runs
// on own kernels alone never maps its gigabytes.
//
//   const SharedLibrary lt("cuBLASLt", "HOLT_CUBLASLT_LIBRARY", "libcublasLt.so.13");
//   if (lt.ready()) lt.function<decltype(cublasLtCreate)>("cublasLtCreate")(&handle);
//
// Looked for in this order: the file named by the environment variable (if it is set, nothing else is tried); the
// soname, wherever the loader finds it; the soname in the library folder of the CUDA toolkit that holt was built with.
#pragma once
#include <atomic>
#include <string>

namespace holt::cuda {

class SharedLibrary {
 public:
  /// `name`: for people. Opens the library; never throws for want of it. It stays open until the process ends.
  SharedLibrary(std::string name, const char* variable, std::string soname);
  SharedLibrary(const SharedLibrary&) = delete;
  SharedLibrary& operator=(const SharedLibrary&) = delete;

  /// Whether it is open.
  bool found() const { return handle_ != nullptr; }
  /// The same; the first call that finds it missing writes one note to stderr: what was looked for, and that holt's
  /// own kernels run instead.
  bool ready() const;
  /// Why it is not open, in one line that names the files looked for; empty if it is.
  const std::string& missing() const { return missing_; }
  /// The file that was opened.
  const std::string& path() const { return path_; }

  /// The function of that name, or null.
  template <class F>
  F* function_or_null(const char* name) const {
    return reinterpret_cast<F*>(symbol(name));
  }
  /// The function of that name; throws Error naming it and the file if the library has none.
  template <class F>
  F* function(const char* name) const {
    return reinterpret_cast<F*>(required_symbol(name));
  }

 private:
  void* symbol(const char* name) const;
  void* required_symbol(const char* name) const;

  std::string name_, missing_, path_;
  void* handle_ = nullptr;
  mutable std::atomic<bool> noted_ = false;
};

}  // namespace holt::cuda
