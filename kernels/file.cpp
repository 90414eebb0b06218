#include "kernels/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <system_error>
#include <utility>

#include "kernels/error.h"

namespace holt {
namespace {

std::string reason(int error) { return std::generic_category().message(error); }

// errno is read here, after the call that set it: among the arguments of one check() there is no such order.
[[noreturn]] void fail_to(const char* verb, const std::string& path) {
  fail("cannot {} {}: {}", verb, path, reason(errno));
}

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  ~Descriptor() { close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  bool ok() const { return fd_ >= 0; }
  void reset(int fd) { fd_ = fd; }  // only where nothing is open
  /// A full disk may show only here.
  bool close() {
    const int fd = std::exchange(fd_, -1);
    return fd < 0 || ::close(fd) == 0;
  }

 private:
  int fd_;
};

struct Temporary {
  std::string path;
  bool exists = false;
  ~Temporary() {
    if (exists) ::unlink(path.c_str());
  }
};

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

// The file that a chain of symbolic links means; `path` itself where there is nothing yet.
std::string resolve(const std::string& path) {
  char* real = ::realpath(path.c_str(), nullptr);
  if (real == nullptr) return path;
  std::string result = real;
  std::free(real);
  return result;
}

// Regular files only: reading a pipe would block, and a rename onto /dev/null would replace the device.
size_t regular_size(int fd, const std::string& path) {
  struct stat s;
  if (::fstat(fd, &s) != 0) fail_to("read", path);
  check(!S_ISDIR(s.st_mode), "cannot read {}: it is a folder", path);
  check(S_ISREG(s.st_mode), "cannot read {}: it is not a regular file", path);
  return static_cast<size_t>(s.st_size);
}

int open_to_read(const std::string& path) {
  int fd;
  do fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  while (fd < 0 && errno == EINTR);
  if (fd < 0) fail_to("read", path);
  return fd;
}

}  // namespace

void FileWriter::write(const void* data, size_t bytes) {
  auto* p = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t n = ::write(fd_, p, bytes);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_to("write", path_);
    p += n;
    bytes -= static_cast<size_t>(n);
  }
}

void write_atomically(const std::string& path, const std::function<void(FileWriter&)>& content) {
  check(!path.empty(), "cannot write a file without a name");
  const std::string target = resolve(path);
  struct stat s;
  check(::stat(target.c_str(), &s) != 0 || S_ISREG(s.st_mode), "cannot write {}: it exists and is not a regular file",
        path);

  // A crash may have left a name behind that an equal process id meets again: go on to the next.
  static std::atomic<uint64_t> count{0};
  Temporary temporary;
  Descriptor file;
  do {
    temporary.path = format("{}/.holt-{}-{}.tmp", folder_of(target), int64_t{::getpid()}, count++);
    file.reset(::open(temporary.path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  } while (!file.ok() && (errno == EEXIST || errno == EINTR));
  if (!file.ok()) fail_to("write", path);
  temporary.exists = true;

  FileWriter writer(file.get(), path);
  content(writer);
  if (::fsync(file.get()) != 0 || !file.close()) fail_to("write", path);
  if (::rename(temporary.path.c_str(), target.c_str()) != 0) fail_to("write", path);
  temporary.exists = false;

  // Until the folder is on the disk too, a power cut may bring the earlier file back.
  const Descriptor folder(::open(folder_of(target).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.ok() || ::fsync(folder.get()) != 0) fail_to("make durable the folder of", path);
}

void write_atomically(const std::string& path, std::string_view content) {
  write_atomically(path, [&](FileWriter& file) { file.write(content); });
}

void append_line(const std::string& path, const std::string& line) {
  const int opened = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
  if (opened < 0) fail_to("open", path);
  const Descriptor file(opened);
  const off_t before = ::lseek(opened, 0, SEEK_END);
  const std::string text = line + "\n";
  if (::write(opened, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(opened) == 0) return;
  const int why = errno ? errno : ENOSPC;
  // What could not be written whole is taken back; if that fails too, the first failure is the one to report.
  [[maybe_unused]] const bool back = before >= 0 && ::ftruncate(opened, before) == 0;
  errno = why;
  fail_to("write", path);
}

std::string read_file(const std::string& path) {
  const Descriptor file(open_to_read(path));
  std::string content(regular_size(file.get(), path), '\0');
  size_t done = 0;
  while (done < content.size()) {
    const ssize_t n = ::read(file.get(), content.data() + done, content.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_to("read", path);
    check(n > 0, "cannot read {}: it became shorter meanwhile", path);
    done += static_cast<size_t>(n);
  }
  return content;
}

MappedFile::MappedFile(const std::string& path) {
  const Descriptor file(open_to_read(path));
  size_ = regular_size(file.get(), path);
  if (size_ == 0) return;  // mmap refuses empty files
  void* p = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, file.get(), 0);
  if (p == MAP_FAILED) fail_to("map", path);
  data_ = static_cast<std::byte*>(p);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

}  // namespace holt
