// A file read front to back, uncompressed on the way if it is gzip (RFC 1952), as its first two bytes say.
//
// zlib's own gzread() ignores garbage behind the compressed stream and takes a cut file for its end unless asked in the
// right order, so the stream is driven here: every fault is an Error that names the file.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace holt::data {

class GzipReader {
 public:
  /// Error unless `path` is a regular file that can be read.
  explicit GzipReader(std::string path);
  ~GzipReader();
  GzipReader(const GzipReader&) = delete;
  GzipReader& operator=(const GzipReader&) = delete;

  /// Up to `bytes` bytes; fewer only at the end. Error when the compressed data is cut short, corrupt (checksums
  /// included) or followed by something else.
  size_t read(void* to, size_t bytes);
  bool compressed() const;
  /// An upper bound of what can still come out of the whole file, known from its size alone: exact for a plain file,
  /// 1032 times the size for a compressed one (deflate codes at best 258 bytes in two bits).
  uint64_t most_bytes() const;
  const std::string& path() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace holt::data
