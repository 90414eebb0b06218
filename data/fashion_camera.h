// The benchmark `fashion`: Fashion-MNIST, and the same clothes under one simulated camera (data/camera.h).
//
//   domain   part    images                                                              of
//   train    train   the first 30 000                                                    the training file, u8
//            test    the last 10 000 (50 000 – 59 999): no image of `camera` is among them
//   camera   train   numbers 0 –  99 of each class, in the file's order: 100 per class   the test file, f32
//            test    numbers 500 – 799 of each class: 300 per class
//
// Only `camera` depends on the seed: angle, phases and noise of each image.
#pragma once
#include "data/benchmark.h"

namespace holt::data {

/// Error where `image_size` is neither 0 nor 28. The files are read by load().
std::unique_ptr<Benchmark> open_fashion(const BenchmarkOptions& options);

}  // namespace holt::data
