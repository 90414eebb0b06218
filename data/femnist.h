// The benchmark `femnist`: letters and digits by thousands of writers (LEAF, Caldas et al. 2018), one writer a domain.
//
//   <folder>/train/*.json and <folder>/test/*.json        LEAF's own split: the writers' images in two parts
//   <folder>/*.json                                       all images, split 70 : 30 within each writer and class
//
//   {"users": […], "num_samples": […], "user_data": {"f0001_41": {"x": [[784 numbers in 0 … 1], …], "y": [12, …]}, …}}
//
// Domains: "writers", the source, is everyone but ten; the ten are the writers with the most classes, among those the
// ones with the most images, then by name (fewer than ten where there are fewer than eleven writers). So one source
// model serves all ten, and has seen none.
//
// 62 classes in LEAF's order: 0 … 9, A … Z, a … z. Images are u8 28 × 28 × 1, inverted: LEAF has black ink on white
// paper (1), here the paper is 0, as in `glyphs` and all of the MNIST family, and so is what convolutions pad with.
#pragma once
#include "data/benchmark.h"

namespace holt::data {

/// Reads all files (streamed: memory holds the pixels as bytes and little more). Errors name the file and the writer:
/// no folder, no JSON, another structure, images that are not 784 numbers in 0 … 1, labels outside 0 … 61, as many
/// images as labels, a writer twice in a part, fewer than two writers.
std::unique_ptr<Benchmark> open_femnist(const BenchmarkOptions& options);

}  // namespace holt::data
