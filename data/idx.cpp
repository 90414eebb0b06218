#include "data/idx.h"

#include <algorithm>

#include "data/gzip.h"

namespace holt::data {
namespace {

constexpr int kMaxRank = 4;

const char* type_name(int code) {
  switch (code) {
    case 0x09:
      return "signed bytes";
    case 0x0B:
      return "16-bit integers";
    case 0x0C:
      return "32-bit integers";
    case 0x0D:
      return "floats";
    case 0x0E:
      return "doubles";
    default:
      return nullptr;
  }
}

}  // namespace

Tensor read_idx(const std::string& path) {
  GzipReader file(path);
  unsigned char head[4] = {};
  check(file.read(head, 4) == 4, "{}: too short for an IDX file", path);
  check(head[0] == 0 && head[1] == 0 && (head[2] == 0x08 || type_name(head[2])),
        "{}: not an IDX file: it begins with {} {} {} {}, expected 0 0 8 and the number of axes", path, head[0],
        head[1], head[2], head[3]);
  check(head[2] == 0x08, "{}: holds {}, expected unsigned bytes (type 8)", path,
        type_name(head[2]) ? type_name(head[2]) : "");
  const int rank = head[3];
  check(rank >= 1 && rank <= kMaxRank, "{}: has {} axes, expected 1 … {}", path, rank, kMaxRank);

  Shape shape;
  std::vector<int64_t> sizes;
  uint64_t elements = 1;
  const uint64_t most = file.most_bytes();
  for (int axis = 0; axis < rank; ++axis) {
    unsigned char b[4];
    check(file.read(b, 4) == 4, "{}: cut short inside the header", path);
    sizes.push_back(int64_t{b[0]} << 24 | int64_t{b[1]} << 16 | int64_t{b[2]} << 8 | int64_t{b[3]});
  }
  shape = Shape(sizes);
  const bool none = std::find(sizes.begin(), sizes.end(), 0) != sizes.end();
  for (const int64_t size : sizes) {
    // Compared by division: four hostile sizes multiply to 2^128.
    check(none || elements <= most / static_cast<uint64_t>(size),
          "{}: the header promises {} elements, more than a {} file of this size can hold", path, shape,
          file.compressed() ? "gzip" : "plain");
    elements *= static_cast<uint64_t>(size);
  }
  if (none) elements = 0;

  Tensor result = empty(shape, DType::u8);
  const size_t got = file.read(result.raw(), elements);
  check(got == elements, "{}: cut short: {} of the {} elements of {} are there", path, got, elements, shape);
  unsigned char beyond;
  check(file.read(&beyond, 1) == 0, "{}: bytes follow the {} elements of {}", path, elements, shape);
  return result;
}

Dataset read_idx_pair(const std::string& images_path, const std::string& labels_path, std::string name,
                      std::vector<std::string> classes) {
  const Tensor images = read_idx(images_path), labels = read_idx(labels_path);
  check(images.rank() == 3 && images.numel() > 0, "{}: expected images [N, H, W], got {}", images_path, images.shape());
  check(labels.rank() == 1, "{}: expected labels [N], got {}", labels_path, labels.shape());
  check(images.size(0) == labels.size(0), "{} holds {} images, but {} holds {} labels", images_path, images.size(0),
        labels_path, labels.size(0));
  const Tensor wide = empty(labels.shape(), DType::i64);
  const uint8_t* from = labels.data<uint8_t>();
  int64_t* to = wide.data<int64_t>();
  for (int64_t i = 0; i < labels.numel(); ++i) {
    check(from[i] < classes.size(), "{}: label {} of sample {} is outside 0 … {}", labels_path, from[i], i,
          classes.size() - 1);
    to[i] = from[i];
  }
  Dataset d{std::move(name), images.reshape({images.size(0), images.size(1), images.size(2), 1}), wide,
            std::move(classes)};
  validate(d);
  return d;
}

}  // namespace holt::data
