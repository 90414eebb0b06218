// Files, read and written so that nobody ever sees half of one.
#pragma once
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace holt {

/// Where write_atomically's callback puts its bytes, in order.
class FileWriter {
 public:
  void write(const void* data, size_t bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }

 private:
  friend void write_atomically(const std::string&, const std::function<void(FileWriter&)>&);
  FileWriter(int fd, const std::string& path) : fd_(fd), path_(path) {}
  int fd_;
  const std::string& path_;
};

/// Replaces (or creates) the file `path` by what `content` writes: readers, and a machine that loses power, find the
/// earlier file or the new one, never a part. Goes through a temporary file in the same folder, fsync, rename, fsync of
/// the folder. A symbolic link is followed. On any Error (full disk, missing or read-only folder, `path` is no regular
/// file), or an exception of `content`, the earlier file stays as it was; the Error names path and reason.
void write_atomically(const std::string& path, const std::function<void(FileWriter&)>& content);
void write_atomically(const std::string& path, std::string_view content);

/// Appends `line` and a newline in one write, on disk when it returns; makes the file if need be. A machine that loses
/// power may leave a last line without its end, never an older one damaged. Errors name path and reason.
void append_line(const std::string& path, const std::string& line);

/// The whole file. Errors name path and reason.
std::string read_file(const std::string& path);

/// A file in memory without reading it: pages come as they are touched. Writes to the memory are private to the process
/// and never reach the file. The file must not be truncated while it is mapped (write_atomically never does that).
class MappedFile {
 public:
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  std::byte* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace holt
