// A person's photographs to train on, which need not fit into memory: each is decoded when it is asked for.
//
//   <root>/<class>/**/<image>                      split 70 : 30 within each class by the seed
//   <root>/train/<class>/**/<image>, <root>/val/…  split already; test/ or validation/ serve as well
//
// The classes are the names of the class folders (of train/), sorted. Names that begin with a dot are ignored, and
// files without an image's ending. Symbolic links are followed; one that leads back to a folder above it is an Error.
//
// In training, an image comes to the network's size by a random resized crop if the augmentation asks for it, else as
// load_framed() does. A JPEG is decoded at ½, ¼ or ⅛ of its size where what is taken of it keeps enough pixels.
#pragma once
#include "data/benchmark.h"
#include "data/image_files.h"
#include "data/samples.h"

namespace holt::data {

struct ImageFolderOptions {
  Frame frame = {};
  uint64_t seed = 0;          ///< of the split, where there is none
  bool skip_corrupt = false;  ///< leave out images that cannot be read, and report() them; else the first is an Error
  int64_t limit = 0;          ///< only so many, evenly spaced over the list; 0: all
};

class ImageFolder : public Samples {
 public:
  /// Lists the files of one part. Errors: no such folder; no class folders; images beside class folders; classes
  /// without an image (those of the test part may lack some that train has, not have others); a folder that cannot be
  /// read, or that a link leads back to; fewer than two images of a class to split.
  ImageFolder(const std::string& root, Part part, ImageFolderOptions options);
  ~ImageFolder() override;

  const std::string& name() const override { return name_; }
  const std::vector<std::string>& classes() const override { return classes_; }
  int64_t size() const override { return std::ssize(files_); }
  int64_t label(int64_t i) const override { return files_[static_cast<size_t>(i)].label; }
  Shape image_shape() const override { return {options_.frame.height, options_.frame.width, options_.frame.channels}; }
  void check(const Augment&) const override {}
  bool make(int64_t i, const Making&, const ScaleShift&, float* out) const override;
  bool bytes() const override { return true; }
  bool slow() const override { return true; }

  const std::vector<ImageFile>& files() const { return files_; }
  /// What could not be read until now, in the order of files(); each file once.
  std::vector<Unreadable> unreadable() const;

 private:
  struct Faults;
  std::string name_;
  std::vector<std::string> classes_;
  std::vector<ImageFile> files_;
  ImageFolderOptions options_;
  std::unique_ptr<Faults> faults_;
};

/// A file's image as training wants it: a random resized crop if `augment` says so, else framed; then its pixels
/// changed. Errors: load_framed()'s.
Image load_augmented(const std::string& path, const Frame& frame, const Augment& augment, Draws& draws);

}  // namespace holt::data
