#include "data/gzip.h"

#include <sys/stat.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <vector>

#include "kernels/error.h"

namespace holt::data {

struct GzipReader::State {
  std::string path;
  std::FILE* file = nullptr;
  uint64_t file_bytes = 0;
  bool gzip = false;
  bool ended = false;  // behind the last gzip member
  z_stream z{};
  std::vector<unsigned char> input = std::vector<unsigned char>(1 << 16);

  ~State() {
    if (gzip) inflateEnd(&z);
    if (file) std::fclose(file);
  }

  size_t read_file(void* to, size_t bytes) {
    const size_t got = std::fread(to, 1, bytes, file);
    check(got == bytes || !std::ferror(file), "{}: cannot be read: {}", path, std::strerror(errno));
    return got;
  }
  // True if at least one byte of input is at hand.
  bool refill() {
    if (z.avail_in == 0) {
      z.next_in = input.data();
      z.avail_in = static_cast<uInt>(read_file(input.data(), input.size()));
    }
    return z.avail_in > 0;
  }
};

GzipReader::GzipReader(std::string path) : state_(std::make_unique<State>()) {
  State& s = *state_;
  s.path = std::move(path);
  s.file = std::fopen(s.path.c_str(), "rb");
  check(s.file != nullptr, "{}: cannot be opened: {}", s.path, std::strerror(errno));
  struct stat info {};
  check(fstat(fileno(s.file), &info) == 0, "{}: cannot be read: {}", s.path, std::strerror(errno));
  check(S_ISREG(info.st_mode), "{}: is not a regular file", s.path);
  s.file_bytes = static_cast<uint64_t>(info.st_size);

  unsigned char magic[2] = {};
  const bool two = s.read_file(magic, 2) == 2;
  std::rewind(s.file);
  if (two && magic[0] == 0x1f && magic[1] == 0x8b) {
    check(inflateInit2(&s.z, 15 + 16) == Z_OK, "{}: zlib cannot start: {}", s.path, s.z.msg ? s.z.msg : "no memory");
    s.gzip = true;
  }
}

GzipReader::~GzipReader() = default;
bool GzipReader::compressed() const { return state_->gzip; }
uint64_t GzipReader::most_bytes() const { return state_->gzip ? state_->file_bytes * 1032 : state_->file_bytes; }
const std::string& GzipReader::path() const { return state_->path; }

size_t GzipReader::read(void* to, size_t bytes) {
  State& s = *state_;
  if (!s.gzip) return s.read_file(to, bytes);
  auto* out = static_cast<unsigned char*>(to);
  size_t done = 0;
  while (done < bytes && !s.ended) {
    check(s.refill(), "{}: the gzip data is cut short (after {} of its bytes)", s.path, s.file_bytes);
    s.z.next_out = out + done;
    s.z.avail_out = static_cast<uInt>(std::min<size_t>(bytes - done, 1u << 30));
    const uInt asked = s.z.avail_out;
    const int status = inflate(&s.z, Z_NO_FLUSH);
    done += asked - s.z.avail_out;
    check(status == Z_OK || status == Z_STREAM_END || status == Z_BUF_ERROR, "{}: the gzip data is corrupt: {}", s.path,
          s.z.msg ? s.z.msg : "unknown reason");
    if (status == Z_STREAM_END) {
      // A gzip file may be several streams, one behind the other; anything else there is an error.
      if (!s.refill())
        s.ended = true;
      else
        check(*s.z.next_in == 0x1f && inflateReset(&s.z) == Z_OK, "{}: bytes that are no gzip data follow its end",
              s.path);
    }
  }
  return done;
}

}  // namespace holt::data
