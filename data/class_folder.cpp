#include "data/class_folder.h"

#include <algorithm>
#include <filesystem>

#include "core/nearest.h"
#include "data/listing.h"

namespace holt::data {
namespace {

namespace fs = std::filesystem;
constexpr size_t kNamed = 12;  // classes or folders in one message

std::string folder_name(std::string name) {
  std::replace(name.begin(), name.end(), '/', '_');
  return name;
}

}  // namespace

std::vector<ImageFile> list_class_folder(const std::string& folder, const std::vector<std::string>& classes) {
  std::error_code error;
  check(fs::is_directory(folder, error), "images: {} is no folder{}", folder,
        error ? " that can be read: " + error.message() : "");
  const Listing top = list_folder("images", folder);
  for (const std::string& f : top.files)
    check(!has_image_name(f), "images: {} lies beside the class folders; expected <class>/<image>",
          (fs::path(folder) / f).string());
  check(!top.folders.empty(), "images: {} holds no class folders; expected <class>/<image>", folder);

  std::vector<std::string> names, unknown;
  for (const std::string& c : classes) names.push_back(folder_name(c));
  for (const std::string& f : top.folders) {
    if (std::find(names.begin(), names.end(), f) != names.end()) continue;
    const std::string guess = nearest(f, names);
    unknown.push_back("'" + f + "'" + (guess.empty() ? "" : " (is it '" + guess + "'?)"));
  }
  check(unknown.empty(), "images: {} of the {} folders in {} are no class of the model: {}; its {} classes are {}",
        unknown.size(), top.folders.size(), folder, first_of(unknown, kNamed), classes.size(), first_of(names, kNamed));

  std::vector<ImageFile> files;
  for (const std::string& f : top.folders) {
    const auto label = std::find(names.begin(), names.end(), f) - names.begin();
    check(std::count(names.begin(), names.end(), f) == 1, "images: the model has several classes that {} can stand for",
          (fs::path(folder) / f).string());
    const Listing inside = list_folder("images", fs::path(folder) / f);
    check(inside.folders.empty(), "images: {} is a folder inside a class; expected <class>/<image>",
          inside.folders.empty() ? "" : (fs::path(folder) / f / inside.folders.front()).string());
    const size_t before = files.size();
    for (const std::string& image : inside.files)
      if (has_image_name(image)) files.push_back({(fs::path(folder) / f / image).string(), label});
    check(files.size() > before, "images: {} holds no image; remove the folder, and the class counts as missing",
          (fs::path(folder) / f).string());
  }
  return files;
}

Dataset load_class_folder(const std::string& folder, const std::vector<std::string>& classes, ImageFilesOptions o) {
  const std::vector<ImageFile> files = list_class_folder(folder, classes);
  o.size_flag = "";
  const Dataset d = load_image_files(folder, files, classes, o);
  std::vector<bool> present(classes.size());
  for (int64_t i = 0; i < d.size(); ++i) present[static_cast<size_t>(d.labels.data<int64_t>()[i])] = true;
  for (const ImageFile& f : files)
    check(present[static_cast<size_t>(f.label)],
          "images: no image of the class '{}' in {} can be read; mend them or remove the folder", classes[f.label],
          folder);
  return d;
}

}  // namespace holt::data
