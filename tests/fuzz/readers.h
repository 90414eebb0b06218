// holt's readers of foreign bytes, each as a function that takes whatever bytes there are: what libFuzzer calls
// (fuzz.cpp) and what ./test feeds with the inputs of tests/golden/fuzz (fuzz_test.cpp).
//
// A reader gives valid data or throws a holt::Error. Here the data is then touched to its last byte, so that an address
// outside the input shows; any other exception passes through, and is a fault.
#pragma once
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include <cstring>
#include <stdexcept>

#include "core/pickle.h"
#include "core/safetensors.h"
#include "core/torch_file.h"
#include "data/csv.h"
#include "data/idx.h"
#include "data/image.h"
#include "data/leaf.h"

namespace holt::fuzz {

using Bytes = std::span<const std::byte>;

/// What is checked of the result: a std::logic_error, which no reader may throw.
inline void require(bool ok, const char* what) {
  if (!ok) throw std::logic_error(what);
}

/// The bytes as a file, for the readers that take a path.
class MemoryFile {
 public:
  explicit MemoryFile(Bytes bytes) : fd_(memfd_create("holt_fuzz", 0)) {
    require(fd_ >= 0 && ::write(fd_, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()),
            "no memory file");
  }
  ~MemoryFile() { ::close(fd_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  int fd_;
};

inline void touch(const void* p, size_t bytes) {
  unsigned sum = 0;
  for (size_t i = 0; i < bytes; ++i) sum += static_cast<const unsigned char*>(p)[i];
  asm volatile("" : : "r"(sum));  // not optimised away
}
inline void touch(const Tensor& t) {
  require(t.defined() && t.bytes() == static_cast<size_t>(t.numel()) * size_of(t.dtype()), "a tensor's size");
  touch(t.raw(), t.bytes());
}
inline void touch(const data::Image& i) {
  require(i.height >= 1 && i.width >= 1 && i.channels >= 1 && i.channels <= 4, "an image's size");
  require(static_cast<int64_t>(i.pixels.size()) == i.height * i.width * i.channels, "an image's bytes");
  touch(i.pixels.data(), i.pixels.size());
}

inline void safetensors(Bytes bytes) {
  const MemoryFile file(bytes);
  for (const auto& [name, t] : read_safetensors(file.path()).tensors) touch(t);
}

inline void pickle(Bytes bytes) {
  const Pickle p(bytes, "pickle");
  require(p.root().kind <= Pickle::Value::name, "a value's kind");
  for (const Pickle::Id i : p.root().items) require(p[i].kind <= Pickle::Value::name, "an item's kind");
}

inline void torch_file(Bytes bytes) {
  for (const auto& [name, t] : read_torch_file(bytes, "torch_file")) touch(t);
}

/// The bytes as data.pkl of an archive that is otherwise sound, with two storages of 64 bytes: checksums stop a fuzzer
/// that changes whole archives.
inline void torch_archive(Bytes bytes) {
  std::string zip, directory;
  uint16_t entries = 0;
  const auto put = [](std::string& to, auto... numbers) {
    (to.append(reinterpret_cast<const char*>(&numbers), sizeof numbers), ...);
  };
  const auto add = [&](std::string_view name, std::string_view content) {
    const auto crc = static_cast<uint32_t>(
        crc32(0, reinterpret_cast<const Bytef*>(content.data()), static_cast<uInt>(content.size())));
    const auto size = static_cast<uint32_t>(content.size()), at = static_cast<uint32_t>(zip.size());
    const auto length = static_cast<uint16_t>(name.size());
    const uint16_t none = 0;
    put(zip, uint32_t{0x04034b50}, uint16_t{20}, none, none, none, uint16_t{33}, crc, size, size, length, none);
    zip.append(name).append(content);
    put(directory, uint32_t{0x02014b50}, uint16_t{20}, uint16_t{20}, none, none, none, uint16_t{33}, crc, size, size,
        length, none, none, none, none, uint32_t{0}, at);
    directory.append(name);
    ++entries;
  };
  std::string numbers(64, '\0');
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<char>(i);
  add("a/data.pkl", {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  add("a/data/0", numbers);
  add("a/data/1", numbers);
  const auto at = static_cast<uint32_t>(zip.size()), size = static_cast<uint32_t>(directory.size());
  zip += directory;
  put(zip, uint32_t{0x06054b50}, uint32_t{0}, entries, entries, size, at, uint16_t{0});
  torch_file(std::as_bytes(std::span(zip)));
}

/// What is done with every image of a folder.
inline void use(const data::Image& image) {
  touch(image);
  touch(data::fit_square(data::to_channels(image, 3), 16));
}
inline void jpeg(Bytes bytes) {
  touch(data::decode_jpeg(bytes, "jpeg"));
  use(data::decode_jpeg(bytes, "jpeg", 18));
}
inline void png(Bytes bytes) { use(data::decode_png(bytes, "png")); }
inline void image(Bytes bytes) { use(data::decode_image(bytes, "image", 18)); }

/// Each chunk's checksum made right, so that a changed file is read beyond it.
inline void repair_png(std::byte* p, size_t size) {
  const auto big = [&](size_t i) {
    uint32_t x;
    std::memcpy(&x, p + i, 4);
    return __builtin_bswap32(x);
  };
  for (size_t at = 8; at + 12 <= size;) {
    const size_t length = big(at);
    if (length > size - at - 12) return;
    const uint32_t crc = __builtin_bswap32(
        static_cast<uint32_t>(crc32(0, reinterpret_cast<const Bytef*>(p + at + 4), static_cast<uInt>(length + 4))));
    std::memcpy(p + at + 8 + length, &crc, 4);
    at += 12 + length;
  }
}

inline void idx(Bytes bytes) {
  const MemoryFile file(bytes);
  touch(data::read_idx(file.path()));
}
inline void csv(Bytes bytes) {
  const MemoryFile file(bytes);
  data::read_csv(file.path(), {"filename", "y"},
                 [](const auto& fields, int64_t line) { require(fields.size() == 2 && line > 1, "a row"); });
}
inline void leaf(Bytes bytes) {
  const MemoryFile file(bytes);
  std::map<std::string, data::LeafUser> users;
  data::read_leaf(file.path(), 62, users);
  for (const auto& [name, u] : users) {
    require(u.pixels.size() == u.labels.size() * data::kLeafPixels, "a user's images");
    for (const int64_t label : u.labels) require(label >= 0 && label < 62, "a label");
  }
}

struct Reader {
  const char* name;
  void (*read)(Bytes);
  void (*repair)(std::byte*, size_t) = nullptr;
};
inline constexpr Reader kReaders[] = {{"safetensors", safetensors},
                                      {"pickle", pickle},
                                      {"torch_file", torch_file},
                                      {"torch_archive", torch_archive},
                                      {"jpeg", jpeg},
                                      {"png", png, repair_png},
                                      {"image", image},
                                      {"idx", idx},
                                      {"csv", csv},
                                      {"leaf", leaf}};

}  // namespace holt::fuzz
