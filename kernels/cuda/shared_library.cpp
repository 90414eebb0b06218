#include "kernels/cuda/shared_library.h"

#include <dlfcn.h>
#include <link.h>

#include <cstdio>
#include <cstdlib>
#include <vector>

#include "kernels/error.h"

namespace holt::cuda {
namespace {

// What the loader says, without the file's name, which stands in front of it already.
std::string reason_for(const std::string& file) {
  const char* text = dlerror();
  std::string reason = text ? text : "unknown reason";
  if (reason.starts_with(file + ": ")) reason.erase(0, file.size() + 2);
  return reason;
}

}  // namespace

SharedLibrary::SharedLibrary(std::string name, const char* variable, std::string soname) : name_(std::move(name)) {
  const char* given = std::getenv(variable);
  const std::vector<std::string> files = given && *given
                                             ? std::vector<std::string>{given}
                                             : std::vector<std::string>{soname, HOLT_CUDA_LIBRARIES "/" + soname};
  for (const std::string& file : files) {
    handle_ = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle_) {
      link_map* map = nullptr;
      path_ = dlinfo(handle_, RTLD_DI_LINKMAP, &map) == 0 && map->l_name ? map->l_name : file;
      missing_.clear();
      return;
    }
    missing_ += (missing_.empty() ? name_ + " was not opened: " : "; ") + file + " (" + reason_for(file) + ")";
  }
  missing_ +=
      given && *given ? format("; {} names this file", variable) : format("; {} may name another file", variable);
}

bool SharedLibrary::ready() const {
  if (found()) return true;
  if (!noted_.exchange(true)) std::fprintf(stderr, "holt: %s. Own kernels run instead.\n", missing_.c_str());
  return false;
}

void* SharedLibrary::symbol(const char* name) const { return handle_ ? dlsym(handle_, name) : nullptr; }

void* SharedLibrary::required_symbol(const char* name) const {
  check(found(), "{}", missing_);
  void* const p = symbol(name);
  check(p != nullptr, "{}: {} has no function '{}'; holt was built for a newer one", name_, path_, name);
  return p;
}

}  // namespace holt::cuda
