#include "data/image_folder.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <mutex>

#include "core/nearest.h"
#include "data/listing.h"
#include "data/split.h"
#include "kernels/file.h"

namespace holt::data {
namespace {

namespace fs = std::filesystem;
constexpr size_t kNamedClasses = 5;  // classes in one message

// A folder's identity, whatever the name it was reached by.
using Node = std::pair<dev_t, ino_t>;
Node node_of(const fs::path& path) {
  struct stat s = {};
  check(::stat(path.c_str(), &s) == 0, "folder: cannot read {}", path.string());
  return {s.st_dev, s.st_ino};
}

// All images below `folder`, by name; `above` are the folders that it lies in.
void collect(const fs::path& folder, std::vector<Node>& above, int64_t label, std::vector<ImageFile>& to) {
  const Node here = node_of(folder);
  check(std::find(above.begin(), above.end(), here) == above.end(),
        "folder: {} is a link that leads back to a folder it lies in", folder.string());
  above.push_back(here);
  const Listing l = list_folder("folder", folder);
  for (const std::string& f : l.files)
    if (has_image_name(f)) to.push_back({(folder / f).string(), label});
  for (const std::string& f : l.folders) collect(folder / f, above, label, to);
  above.pop_back();
}

std::string some_classes(const std::vector<std::string>& names) {
  return first_of(names, kNamedClasses, format(" … ({})", names.size()));
}

std::vector<std::string> class_folders(const fs::path& folder) {
  const Listing l = list_folder("folder", folder);
  for (const std::string& f : l.files)
    check(!has_image_name(f), "folder: {} lies beside class folders; expected <class>/<image>", (folder / f).string());
  check(!l.folders.empty(), "folder: {} holds no class folders; expected <class>/<image>", folder.string());
  return l.folders;
}

std::vector<ImageFile> read_classes(const fs::path& folder, const std::vector<std::string>& classes, bool all_present) {
  const std::vector<std::string> there = class_folders(folder);
  std::vector<ImageFile> files;
  std::vector<std::string> unknown, empty;
  for (const std::string& name : there) {
    const auto found = std::lower_bound(classes.begin(), classes.end(), name);
    if (found == classes.end() || *found != name) {
      unknown.push_back(name);
      continue;
    }
    const size_t before = files.size();
    std::vector<Node> above = {node_of(folder)};
    collect(folder / name, above, found - classes.begin(), files);
    if (files.size() == before) empty.push_back(name);
  }
  check(unknown.empty(), "folder: {} holds classes that the training images lack: {}", folder.string(),
        some_classes(unknown));
  check(!all_present || empty.empty(), "folder: classes without an image in {}: {}; remove these folders",
        folder.string(), some_classes(empty));
  check(!files.empty(), "folder: no images in {}", folder.string());
  return files;
}

// The parts of a root that is split: "" for a part that is not there.
struct Parts {
  std::string train, test;
};
Parts parts_of(const fs::path& root) {
  const std::vector<std::string> folders = list_folder("folder", root).folders;
  const auto has = [&](const char* name) { return std::binary_search(folders.begin(), folders.end(), name); };
  Parts p;
  if (has("train")) p.train = "train";
  for (const char* name : {"val", "validation", "test"})
    if (p.test.empty() && has(name)) p.test = name;
  return p;
}

}  // namespace

struct ImageFolder::Faults {
  std::mutex mutex;
  std::map<int64_t, std::string> text;
};

ImageFolder::ImageFolder(const std::string& root, Part part, ImageFolderOptions options)
    : options_(options), faults_(std::make_unique<Faults>()) {
  holt::check(!root.empty(), "folder: give the folder that holds <class>/<image>, or train and val (--data-dir)");
  std::error_code error;
  holt::check(fs::is_directory(root, error), "folder: {} is no folder{}", root,
              error ? " that can be read: " + error.message() : "");
  const Frame& f = options_.frame;
  holt::check(f.height >= 1 && f.width >= 1 && (f.channels == 1 || f.channels == 3),
              "folder: images of {}×{}×{} cannot be made", f.height, f.width, f.channels);
  const bool training = part == Part::train;
  const Parts p = parts_of(root);
  if (!p.train.empty() && !p.test.empty()) {
    name_ = format("{}/{}", root, training ? p.train : p.test);
    classes_ = class_folders(fs::path(root) / p.train);
    files_ = read_classes(name_, classes_, training);
  } else {
    name_ = format("{} ({})", root, training ? "train" : "test");
    classes_ = class_folders(root);
    const std::vector<ImageFile> all = read_classes(root, classes_, true);
    std::vector<int64_t> labels;
    for (const ImageFile& file : all) labels.push_back(file.label);
    for (const int64_t i : split_positions(labels, classes_, "images", part, options_.seed))
      files_.push_back(all[static_cast<size_t>(i)]);
    holt::check(!files_.empty(), "folder: {} is empty: every class of {} has one image only", name_, root);
  }
  if (const int64_t n = size(), limit = options_.limit; limit > 0 && limit < n) {
    std::vector<ImageFile> some;
    for (int64_t i = 0; i < limit; ++i) some.push_back(files_[static_cast<size_t>(i * n / limit)]);
    files_ = std::move(some);
  }
}

ImageFolder::~ImageFolder() = default;

std::vector<Unreadable> ImageFolder::unreadable() const {
  const std::lock_guard lock(faults_->mutex);
  std::vector<Unreadable> all;
  for (const auto& [i, text] : faults_->text) all.push_back({static_cast<size_t>(i), text});
  return all;
}

bool ImageFolder::make(int64_t i, const Making& m, const ScaleShift& by, float* out) const {
  const std::string& path = files_[static_cast<size_t>(i)].path;
  Draws draws = pixel_draws(m, i);
  Image image;
  try {
    image = load_augmented(path, options_.frame, m.augment, draws);
  } catch (const Error& e) {
    const std::string text = e.message().find(path) == std::string::npos ? path + ": " + e.message() : e.message();
    if (!options_.skip_corrupt) fail("{}; mend or remove it, or leave out what cannot be read (--skip-corrupt)", text);
    const std::lock_guard lock(faults_->mutex);
    faults_->text.emplace(i, text);
    return false;
  }
  write_image(image.pixels.data(), image_shape(), placement(m, i), by, out);
  return true;
}

Image load_augmented(const std::string& path, const Frame& f, const Augment& a, Draws& draws) {
  if (!a.crop) return change_pixels(load_framed(path, f), a, draws);
  const std::string text = read_file(path);
  const std::span<const std::byte> bytes = std::as_bytes(std::span(text));
  const Size full = image_size(bytes, path);
  const Box box = random_crop(a, full.height, full.width, draws);
  // Decoded smaller, the part still has the network's size.
  const double least = std::min(static_cast<double>(box.height) / static_cast<double>(f.height),
                                static_cast<double>(box.width) / static_cast<double>(f.width));
  const double shorter = static_cast<double>(std::min(full.height, full.width));
  const Image image =
      to_channels(decode_image(bytes, path, static_cast<int64_t>(std::ceil(shorter / least))), f.channels);
  const auto scaled = [](int64_t x, int64_t to, int64_t from) { return (x * to + from / 2) / from; };
  Box b = {scaled(box.top, image.height, full.height), scaled(box.left, image.width, full.width),
           std::max<int64_t>(1, scaled(box.height, image.height, full.height)),
           std::max<int64_t>(1, scaled(box.width, image.width, full.width))};
  b.top = std::min(b.top, image.height - b.height);
  b.left = std::min(b.left, image.width - b.width);
  return change_pixels(resize(image, b, f.height, f.width), a, draws);
}

}  // namespace holt::data
