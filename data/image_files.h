// A data set from a list of image files: each decoded once, to the size that the network wants.
#pragma once
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/image.h"

namespace holt::data {

struct ImageFile {
  std::string path;
  int64_t label;
  std::string origin = {};  ///< where the file is listed ("Art_train.txt:12"), for messages; "" if it was found
};

/// An image that was left out: its position in the list, and what is wrong with it.
struct Unreadable {
  size_t index;
  std::string text;
};

struct ImageFilesOptions {
  Frame frame = {};
  bool skip_corrupt = false;  ///< leave out what cannot be decoded, and say in the data set's name how many that were
  const char* size_flag = "--image-size";  ///< what a user can change when the images do not fit; "": nothing
  /// Where to put what skip_corrupt left out. Then missing files are left out too, and all images may be.
  std::vector<Unreadable>* unreadable = nullptr;
};

/// u8 [N, height, width, channels] in the order of `files`, as load_framed() makes them; decoded on all cores, each
/// image the same whatever their number. Before decoding: an Error for more images than fit into the free memory, and
/// one that names the files that do not exist. After: one that names the first files that are corrupt, unreadable or of
/// another format, and their number; or, with skip_corrupt, if none is left.
Dataset load_image_files(std::string name, const std::vector<ImageFile>& files, std::vector<std::string> classes,
                         const ImageFilesOptions& options);

/// True if the name ends as an image's does: .jpg, .jpeg, .png, or what is a format holt does not read (.gif, .webp,
/// .bmp, .tif, .tiff, .ppm, .pgm) — such a file is then an Error, not silently absent. Capitals too.
bool has_image_name(const std::string& name);

/// Mean and standard deviation of ImageNet's RGB pixels, scaled to 0 … 1 (torchvision's).
inline const std::vector<float> kImageNetMean = {0.485f, 0.456f, 0.406f}, kImageNetStd = {0.229f, 0.224f, 0.225f};

/// The sizes that the image benchmarks offer: `asked`, or 224 for 0. Error outside 8 … 1024. `name` is the benchmark's.
int64_t image_side(const std::string& name, int64_t asked);

}  // namespace holt::data
