// The benchmark `folder`: a person's own images, or a data set exported as files (Office-Home, ImageNet-R and -S,
// VTAB).
//
//   <folder>/<domain>/<class>/<image>                           a domain, split 70 : 30 within each class by the seed
//   <folder>/<domain>/{train,test}/<class>/<image>              a domain that is split already
//   <folder>/<domain>_train.txt and <domain>_test.txt           a domain by lists of lines `path label`
//   <folder>/<domain>.txt                                       the same, split 70 : 30 as above
//
// Lists rule: where one stands in the folder, only the domains with lists exist. A list is a .txt whose first line ends
// in an integer (README.txt is none); paths are relative to <folder> and may hold spaces; labels count from 0. The
// classes' names are the lines of <folder>/classes.txt if that is there, else the folders that the files of a label
// lie in ("Art/Drill/00001.jpg 0": class 0 is Drill) where these tell all labels apart, else "0", "1", …
// Without lists, the classes are the names of the class folders of all domains, sorted.
//
// In a split of 70 : 30, a class has at least one image on each side; a class of one image has it in training. A domain
// need not have images of every class (ImageNet-R holds 200 of the 1000), but a class that has none in any domain is
// an Error. Names that begin with a dot are ignored, and files without an image's ending in class folders. Symbolic
// links are followed; nothing is searched deeper than the class folder, so links cannot loop.
//
// Images are RGB, 224 × 224 or --image-size, as fit_square() of data/image.h cuts them; normalised as ImageNet's are.
#pragma once
#include "data/benchmark.h"

namespace holt::data {

/// Reads the tree's names, or the lists; images are decoded by load(). Errors name the file, and the line of a list: no
/// folder given, nothing in it, images where a folder is expected (and the other way round), an unreadable folder, a
/// label below 0 or beyond classes.txt, a list without its other half.
std::unique_ptr<Benchmark> open_folder(const BenchmarkOptions& options);

}  // namespace holt::data
