#include "data/folder.h"

#include <algorithm>
#include <filesystem>

#include "data/image_lists.h"
#include "data/listing.h"
#include "data/split.h"

namespace holt::data {
namespace {

namespace fs = std::filesystem;

bool has(const std::vector<std::string>& names, const std::string& name) {
  return std::binary_search(names.begin(), names.end(), name);
}

// A class folder's images by class name, of one domain or one of its two parts.
using ByClass = std::map<std::string, std::vector<std::string>>;

ByClass read_classes(const fs::path& folder) {
  ByClass classes;
  const Listing l = list_folder("folder", folder);
  for (const std::string& f : l.files)
    check(!has_image_name(f), "folder: {} lies beside class folders; expected <domain>/<class>/<image>",
          (folder / f).string());
  check(!l.folders.empty(), "folder: {} holds no class folders", folder.string());
  for (const std::string& name : l.folders) {
    const Listing images = list_folder("folder", folder / name);
    check(images.folders.empty(), "folder: {} is a folder inside a class; expected <domain>/<class>/<image>",
          images.folders.empty() ? "" : (folder / name / images.folders.front()).string());
    std::vector<std::string>& paths = classes[name];
    for (const std::string& image : images.files)
      if (has_image_name(image)) paths.push_back((folder / name / image).string());
  }
  return classes;
}

ImageDomains read_tree(const std::string& folder) {
  const Listing top = list_folder("folder", folder);
  check(!top.folders.empty(),
        "folder: {} holds neither folders nor lists; expected <domain>/<class>/<image>, or <domain>.txt", folder);
  struct Parts {
    ByClass train, test;
    bool split;
  };
  std::map<std::string, Parts> parts;
  std::map<std::string, size_t> images;  // of each class, in all domains
  for (const std::string& domain : top.folders) {
    const fs::path path = fs::path(folder) / domain;
    const std::vector<std::string> inside = list_folder("folder", path).folders;
    const bool split = has(inside, "train") && has(inside, "test");
    check(!split || inside.size() == 2, "folder: {} holds train and test, and other folders beside them",
          path.string());
    Parts& p = parts[domain] = split ? Parts{read_classes(path / "train"), read_classes(path / "test"), true}
                                     : Parts{read_classes(path), {}, false};
    for (const ByClass* part : {&p.train, &p.test})
      for (const auto& [name, paths] : *part) images[name] += paths.size();
  }
  ImageDomains all;
  std::map<std::string, int64_t> label;
  for (const auto& [name, count] : images) {
    check(count > 0, "folder: the class '{}' has no image in any domain of {}", name, folder);
    label[name] = std::ssize(all.classes);
    all.classes.push_back(name);
  }
  for (const auto& [domain, p] : parts) {
    ImageDomain& d = all.domains[domain];
    d.split = p.split;
    for (const auto& [from, to] : {std::pair{&p.train, &d.train}, {&p.test, &d.test}})
      for (const auto& [name, paths] : *from)
        for (const std::string& path : paths) to->push_back({path, label.at(name)});
  }
  return all;
}

class Folder : public Benchmark {
 public:
  explicit Folder(const BenchmarkOptions& o) : side_(image_side("folder", o.image_size)), skip_(o.skip_corrupt) {
    check(!o.folder.empty(), "folder: give the folder that holds <domain>/<class>/<image> (--data-dir)");
    std::error_code error;
    check(fs::is_directory(o.folder, error), "folder: {} is no folder{}", o.folder,
          error ? " that can be read: " + error.message() : "");
    list_folder("folder", o.folder);  // an Error, if it cannot be read
    std::optional<ImageDomains> lists = read_image_lists(o.folder);
    all_ = lists ? std::move(*lists) : read_tree(o.folder);
    for (const auto& [name, domain] : all_.domains) names_.push_back(name);
  }

  const std::vector<std::string>& classes() const override { return all_.classes; }
  const std::vector<std::string>& domains() const override { return names_; }
  std::string source() const override { return names_.front(); }
  std::vector<std::string> targets(const std::string& source) const override {
    domain_index(*this, "folder", source);
    std::vector<std::string> others = names_;
    std::erase(others, source);
    return others;
  }
  Normalize normalize() const override { return {kImageNetMean, kImageNetStd}; }
  Shape image_shape() const override { return {side_, side_, 3}; }

  Dataset load(const std::string& domain, Part part, uint64_t seed) const override {
    return load_image_files(format("folder: {} ({})", domain, part == Part::train ? "train" : "test"),
                            files(domain, part, seed), all_.classes, {.frame = {side_, side_}, .skip_corrupt = skip_});
  }
  std::vector<int64_t> labels(const std::string& domain, Part part, uint64_t seed) const override {
    std::vector<int64_t> all;
    for (const ImageFile& f : files(domain, part, seed)) all.push_back(f.label);
    return all;
  }

 private:
  std::vector<ImageFile> files(const std::string& domain, Part part, uint64_t seed) const {
    domain_index(*this, "folder", domain);
    const ImageDomain& d = all_.domains.at(domain);
    if (d.split) return part == Part::train ? d.train : d.test;
    std::vector<int64_t> labels;
    for (const ImageFile& f : d.train) labels.push_back(f.label);
    std::vector<ImageFile> drawn;
    for (const int64_t i : split_positions(labels, all_.classes, domain, part, seed))
      drawn.push_back(d.train[static_cast<size_t>(i)]);
    return drawn;
  }

  ImageDomains all_;
  std::vector<std::string> names_;
  int64_t side_;
  bool skip_;
};

}  // namespace

std::unique_ptr<Benchmark> open_folder(const BenchmarkOptions& options) { return std::make_unique<Folder>(options); }

}  // namespace holt::data
