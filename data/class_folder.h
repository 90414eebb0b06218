// A person's own labelled images, for a model that is there already:
//
//   <folder>/<class>/<image>
//
// The class folders are named as the model's classes are, a "/" in a name written as "_" ("T-shirt_top"). Classes
// without a folder are those that the data lacks. Names that begin with a dot are ignored, and files without an image's
// ending in class folders; symbolic links are followed, and nothing is searched deeper.
#pragma once
#include "data/image_files.h"

namespace holt::data {

/// The files with their labels (positions in `classes`), by folder and file name in order. Errors: no such folder; no
/// class folder in it, or one that is no class (the nearest is suggested), holds no image, or could be
/// one of several classes; images beside class folders, or folders inside them.
std::vector<ImageFile> list_class_folder(const std::string& folder, const std::vector<std::string>& classes);

/// Their images. Errors: the above, those of load_image_files(), a class of which skip_corrupt left nothing.
Dataset load_class_folder(const std::string& folder, const std::vector<std::string>& classes,
                          ImageFilesOptions options);

}  // namespace holt::data
