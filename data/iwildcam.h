// The benchmark `iwildcam`: animals before camera traps (WILDS' iWildCam 2020, Koh et al. 2021), one camera a domain.
//
//   <folder>/metadata.csv       its columns split, location_remapped, sequence_remapped, y and filename are used
//   <folder>/categories.csv     y, name: the names of the classes; without the file they are "0", "1", …
//   <folder>/train/<filename>   all images, those of the other splits too
//
//   domain         part    images
//   train          train   WILDS' split "train": the source's cameras
//                  test    WILDS' split "id_test": the same cameras on other days
//   location-<n>   train   70 % of the sequences of that camera in WILDS' split "test", of each class, drawn by the
//   seed
//                  test    the rest
//
// A sequence (a burst of frames, nearly the same image) is never cut in two; its first image's class is its class.
// The target domains are the 21 cameras (the published number) with the most images in the split "test", of those with
// at least 20 images and 4 classes; ties by number. Splits "val" and "id_val" are left alone.
//
// Images are RGB, 224 × 224 or --image-size, as fit_square() of data/image.h cuts them; normalised as ImageNet's are.
#pragma once
#include "data/benchmark.h"

namespace holt::data {

/// Reads metadata.csv; images are decoded by load(). Errors name the file and its line: no folder, a missing column, a
/// label or a camera that is no number, a label outside categories.csv, no camera with enough images.
std::unique_ptr<Benchmark> open_iwildcam(const BenchmarkOptions& options);

}  // namespace holt::data
