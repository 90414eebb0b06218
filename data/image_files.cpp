#include "data/image_files.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "data/image.h"
#include "kernels/memory.h"
#include "kernels/memory_limit.h"

namespace holt::data {
namespace {

constexpr int64_t kDefaultSide = 224, kLeastSide = 8, kMostSide = 1024;
constexpr size_t kNamedFiles = 5;  // files in one message

// What this process may still take: of the machine's or the user's limit, and of what other processes leave.
size_t free_memory() {
  const size_t limit = detail::memory_limit(Device::cpu).bytes, used = memory_stats(Device::cpu).current;
  size_t available = limit > used ? limit - used : 0;
  std::ifstream meminfo("/proc/meminfo");
  std::string word;
  size_t kib = 0;
  while (meminfo >> word)
    if (word == "MemAvailable:" && meminfo >> kib) available = std::min(available, kib << 10);
  return available;
}

void check_memory(const std::string& name, int64_t count, const ImageFilesOptions& o) {
  const auto images = static_cast<size_t>(count);
  const size_t needed = images * static_cast<size_t>(o.frame.bytes()), available = free_memory();
  if (needed <= available) return;
  int64_t fits = o.frame.height;
  while (fits > 0 && images * static_cast<size_t>(fits * fits * o.frame.channels) > available) fits -= 16;
  const bool smaller = *o.size_flag && fits >= kLeastSide;
  fail("{}: {} images of {}×{}×{} need {}, but {} are free; take {}fewer images", name, count, o.frame.height,
       o.frame.width, o.frame.channels, detail::format_bytes(needed), detail::format_bytes(available),
       smaller ? format("smaller images ({} {}) or ", o.size_flag, fits) : "");
}

std::string first_faults(const std::vector<Unreadable>& faults) {
  std::string out;
  for (size_t i = 0; i < std::min(faults.size(), kNamedFiles); ++i) out += "\n  " + faults[i].text;
  if (faults.size() > kNamedFiles) out += format("\n  … and {} more", faults.size() - kNamedFiles);
  return out;
}

std::string place(const ImageFile& f) { return f.origin.empty() ? f.path : f.origin + ": " + f.path; }

void check_existence(const std::string& name, const std::vector<ImageFile>& files) {
  std::vector<Unreadable> missing;
  for (size_t i = 0; i < files.size(); ++i) {
    std::error_code error;
    if (!std::filesystem::exists(files[i].path, error))
      missing.push_back({i, place(files[i]) + (error ? " (" + error.message() + ")" : "")});
  }
  check(missing.empty(), "{}: {} of {} image files do not exist:{}", name, missing.size(), files.size(),
        first_faults(missing));
}

// "" or what is wrong with the file.
std::string decode_into(const ImageFile& file, const Frame& frame, uint8_t* to) try {
  const Image image = load_framed(file.path, frame);
  std::memcpy(to, image.pixels.data(), image.pixels.size());
  return "";
} catch (const Error& e) {
  const bool named = e.message().find(file.path) != std::string::npos;
  return (file.origin.empty() ? "" : file.origin + ": ") + (named ? "" : file.path + ": ") + e.message();
} catch (const std::exception& e) { return place(file) + ": " + e.what(); }

}  // namespace

bool has_image_name(const std::string& name) {
  static constexpr const char* kEndings[] = {".jpg", ".jpeg", ".png",  ".gif", ".webp",
                                             ".bmp", ".tif",  ".tiff", ".ppm", ".pgm"};
  std::string lower = name;
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return std::any_of(std::begin(kEndings), std::end(kEndings), [&](const char* e) { return lower.ends_with(e); });
}

int64_t image_side(const std::string& name, int64_t asked) {
  check(asked == 0 || (asked >= kLeastSide && asked <= kMostSide), "{}: images can have {} … {} pixels a side, got {}",
        name, kLeastSide, kMostSide, asked);
  return asked == 0 ? kDefaultSide : asked;
}

Dataset load_image_files(std::string name, const std::vector<ImageFile>& files, std::vector<std::string> classes,
                         const ImageFilesOptions& o) {
  check(!files.empty(), "{}: there are no images", name);
  const int64_t count = static_cast<int64_t>(files.size()), bytes = o.frame.bytes();
  check_memory(name, count, o);
  if (!o.unreadable) check_existence(name, files);
  Dataset d{std::move(name), empty({count, o.frame.height, o.frame.width, o.frame.channels}, DType::u8),
            empty({count}, DType::i64), std::move(classes)};
  auto* pixels = d.images.data<uint8_t>();
  std::vector<Unreadable> faults;
#pragma omp parallel for schedule(dynamic)
  for (int64_t i = 0; i < count; ++i) {
    const auto index = static_cast<size_t>(i);
    d.labels.data<int64_t>()[i] = files[index].label;
    if (std::string text = decode_into(files[index], o.frame, pixels + i * bytes); !text.empty()) {
#pragma omp critical(holt_image_faults)
      faults.push_back({index, std::move(text)});
    }
  }
  std::sort(faults.begin(), faults.end(), [](const Unreadable& a, const Unreadable& b) { return a.index < b.index; });
  if (!faults.empty()) {
    check(o.skip_corrupt,
          "{}: {} of {} images cannot be read; mend or remove them, or leave them out (--skip-corrupt):{}", d.name,
          faults.size(), count, first_faults(faults));
    check(o.unreadable || faults.size() < files.size(), "{}: none of the {} images can be read:{}", d.name, count,
          first_faults(faults));
    int64_t kept = 0;
    for (int64_t i = 0, next = 0; i < count; ++i) {
      if (next < std::ssize(faults) && faults[static_cast<size_t>(next)].index == static_cast<size_t>(i)) {
        ++next;
        continue;
      }
      std::memmove(pixels + kept * bytes, pixels + i * bytes, static_cast<size_t>(bytes));
      d.labels.data<int64_t>()[kept++] = d.labels.data<int64_t>()[i];
    }
    d.images = d.images.narrow(0, kept);
    d.labels = d.labels.narrow(0, kept);
    d.name += format(", {} unreadable left out", faults.size());
  }
  validate(d);
  if (o.unreadable) *o.unreadable = std::move(faults);
  return d;
}

}  // namespace holt::data
