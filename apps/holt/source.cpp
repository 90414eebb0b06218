#include "apps/holt/source.h"

#include "data/fashion.h"

namespace holt::app {

const std::vector<std::string>& source_names() {
  static const std::vector<std::string> names = {"fashion", "folder"};
  return names;
}

std::string source_help() {
  return "Data set: fashion (Fashion-MNIST), or folder (photographs in --data-dir: CLASS/IMAGE, or train and val of "
         "them)";
}

Source load_source(const SourceRequest& r) {
  if (r.name == "folder") {
    const auto files = std::make_shared<const data::ImageFolder>(
        r.folder, r.part, data::ImageFolderOptions{.frame = r.frame, .skip_corrupt = r.skip_corrupt, .limit = r.limit});
    data::Normalize n = {data::kImageNetMean, data::kImageNetStd};
    if (r.frame.channels == 1) n = {{0.449f}, {0.226f}};  // of ImageNet's gray pixels
    return {files, std::move(n), files};
  }
  check(r.name == "fashion", "there is no data set '{}'; known: fashion, folder", r.name);
  data::Dataset d = data::fashion(r.part == Part::train ? data::Split::train : data::Split::test,
                                  r.folder.empty() ? data::kFashionFolder : r.folder);
  if (r.limit > 0) d = data::first(d, r.limit);
  return {data::in_memory(std::move(d)), {{data::kFashionMean}, {data::kFashionStd}}};
}

std::string left_out(const Source& source, size_t known) {
  constexpr size_t kNamed = 5;
  if (!source.files) return "";
  const std::vector<data::Unreadable> all = source.files->unreadable();
  if (all.size() <= known) return "";
  std::string text = format("{} of the {} images of {} cannot be read and were left out:", all.size(),
                            source.files->size(), source.files->name());
  for (size_t i = 0; i < std::min(all.size(), kNamed); ++i) text += "\n  " + all[i].text;
  return all.size() > kNamed ? text + format("\n  … and {} more", all.size() - kNamed) : text;
}

}  // namespace holt::app
