// The benchmark `cifar`: CIFAR-10 and CIFAR-100 (Krizhevsky 2009), binary versions, and the same images under the
// simulated camera of data/camera.h (there is no second domain in the files).
//
//   cifar-10-batches-bin/    data_batch_1 … 5.bin, test_batch.bin: records of label, 3072 pixels;  batches.meta.txt
//   cifar-100-binary/        train.bin, test.bin: records of coarse label, fine label, 3072 pixels;
//   fine_label_names.txt
//
// 3072 pixels: 32 × 32 of red, then of green, then of blue. The fine labels are the classes. The folder may be the one
// above either. Which of the two it is, the files say.
//
//   domain   part    images
//   photos   train   the training files, u8
//            test    the first half of each class of the test file, u8
//   camera   train   the third quarter of each class of the test file (250 images a class of CIFAR-10), f32
//            test    the last quarter, f32
//
// No image is in two of the four. Only `camera` depends on the seed.
#pragma once
#include "data/benchmark.h"

namespace holt::data {

/// Reads the names of the classes; images are read by load(). Errors name the file: none of the two sets is there, a
/// file is missing or no whole number of records, a label beyond the classes.
std::unique_ptr<Benchmark> open_cifar(const BenchmarkOptions& options);

}  // namespace holt::data
