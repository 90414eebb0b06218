// A picture of two data sets beside each other, class by class: does the target show the same things as the source?
//
// One class is one row: a blue bar, images of the source, an orange bar, images of the target. Classes fill column
// after column. Images of up to 40 pixels are shown at twice their size, large ones at 112; a class with fewer images
// leaves its places empty.
#pragma once
#include "data/dataset.h"
#include "data/png.h"

namespace holt::data {

struct ContactSheet {
  Image image;                             ///< RGB
  std::vector<std::vector<int64_t>> rows;  ///< the classes in each column, from the top
};

/// `per_class` images of each of the two, spread evenly over the class's samples; the first `classes` classes only.
/// Error where the two have other classes, or `per_class` or `classes` is below 1.
ContactSheet contact_sheet(const Dataset& source, const Dataset& target, int64_t per_class, int64_t classes);

}  // namespace holt::data
