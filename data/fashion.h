// Fashion-MNIST (Xiao, Rasul & Vollgraf 2017): 60 000 + 10 000 grey images of clothes, 28 × 28, ten classes.
#pragma once
#include "data/dataset.h"

namespace holt::data {

enum class Split { train, test };

/// Where Debian's package dataset-fashion-mnist puts it.
inline constexpr const char* kFashionFolder = "/usr/share/datasets/fashion-mnist";
/// Mean and standard deviation of the training pixels, scaled to 0 … 1.
inline constexpr float kFashionMean = 0.2860f, kFashionStd = 0.3530f;

/// The ten classes, in the order of their labels.
const std::vector<std::string>& fashion_classes();

/// Reads {train,t10k}-{images-idx3,labels-idx1}-ubyte, with or without .gz, from `folder`. Error if it is not there,
/// with the way to get it.
Dataset fashion(Split split, const std::string& folder = kFashionFolder);

}  // namespace holt::data
