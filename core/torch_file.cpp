#include "core/torch_file.h"

#include <zip.h>

#include <algorithm>
#include <fstream>
#include <map>

#include "core/pickle.h"
#include "kernels/file.h"

namespace holt {
namespace {

constexpr int kMostNested = 16;            // dicts and lists within each other
constexpr size_t kMaxEntries = 1'000'000;  // a list that stands in itself twice grows without end
constexpr size_t kMaxPickle = size_t{64} << 20;

using Tensors = std::vector<std::pair<std::string, Tensor>>;

// The archive, read from memory. All errors begin with the source's name.
class Archive {
 public:
  Archive(std::span<const std::byte> bytes, std::string source) : source_(std::move(source)) {
    zip_error_t error;
    zip_error_init(&error);
    zip_source_t* from = zip_source_buffer_create(bytes.data(), bytes.size(), 0, &error);
    if (from) zip_ = zip_open_from_source(from, ZIP_RDONLY, &error);
    if (from && !zip_) zip_source_free(from);
    const std::string why = zip_error_strerror(&error);
    zip_error_fini(&error);
    check(
        zip_ != nullptr,
        "{}: not a file of torch.save, or truncated ({}). Files of PyTorch before 1.6 are not archives: load and save "
        "them again with a newer one",
        source_, why);
  }
  ~Archive() { zip_discard(zip_); }
  Archive(const Archive&) = delete;
  Archive& operator=(const Archive&) = delete;

  // "archive/data.pkl" → "archive/"
  std::string prefix() const {
    const zip_int64_t n = zip_get_num_entries(zip_, 0);
    std::string found;
    bool any = false;
    for (zip_int64_t i = 0; i < n; ++i) {
      const char* name = zip_get_name(zip_, static_cast<zip_uint64_t>(i), 0);
      const std::string_view text = name ? name : "";
      check(!text.ends_with("/constants.pkl"),
            "{}: a TorchScript program, not weights; save them with torch.save(model.state_dict(), path)", source_);
      if (text != "data.pkl" && !text.ends_with("/data.pkl")) continue;
      check(!any, "{}: two entries data.pkl", source_);
      any = true;
      found = text.substr(0, text.size() - 8);
    }
    check(any, "{}: no file of torch.save: the archive has no data.pkl", source_);
    return found;
  }

  bool has(const std::string& name) const { return zip_name_locate(zip_, name.c_str(), 0) >= 0; }

  // Size of an entry that is stored as it is: then it cannot exceed the file.
  size_t size(const std::string& name) const {
    zip_stat_t s;
    check(zip_stat(zip_, name.c_str(), 0, &s) == 0, "{}: the archive lacks the entry {}", source_, name);
    constexpr zip_uint64_t known = ZIP_STAT_SIZE | ZIP_STAT_COMP_METHOD | ZIP_STAT_ENCRYPTION_METHOD;
    check((s.valid & known) == known && s.comp_method == ZIP_CM_STORE && s.encryption_method == ZIP_EM_NONE,
          "{}: the entry {} is compressed or encrypted, which torch.save never does", source_, name);
    return s.size;
  }

  // Exactly `bytes`, the entry's size; libzip checks its CRC at the end.
  void read(const std::string& name, void* to, size_t bytes) const {
    zip_file_t* file = zip_fopen(zip_, name.c_str(), 0);
    check(file != nullptr, "{}: cannot read the entry {}: {}", source_, name, zip_strerror(zip_));
    size_t got = 0;
    zip_int64_t n = 1;
    while (got < bytes && n > 0) {
      n = zip_fread(file, static_cast<char*>(to) + got, bytes - got);
      if (n > 0) got += static_cast<size_t>(n);
    }
    char more = 0;
    const bool whole = got == bytes && zip_fread(file, &more, 1) == 0;
    const std::string why = zip_file_strerror(file);
    zip_fclose(file);
    check(whole, "{}: the entry {} is damaged: {} of {} bytes read ({})", source_, name, got, bytes, why);
  }

 private:
  std::string source_;
  zip_t* zip_ = nullptr;
};

class TorchReader {
 public:
  TorchReader(std::span<const std::byte> bytes, const std::string& source)
      : source_(source), size_(bytes.size()), archive_(bytes, source), prefix_(archive_.prefix()) {}

  Tensors read() {
    if (archive_.has(prefix_ + "byteorder")) {
      char order[8] = {};
      const size_t n = archive_.size(prefix_ + "byteorder");
      check(n < sizeof(order), "{}: the entry byteorder is damaged", source_);
      archive_.read(prefix_ + "byteorder", order, n);
      check(std::string_view(order) == "little", "{}: its bytes are in '{}' order; little is read", source_, order);
    }
    const size_t n = archive_.size(prefix_ + "data.pkl");
    check(n <= kMaxPickle, "{}: its data.pkl has {} bytes; {} are read", source_, n, kMaxPickle);
    std::vector<std::byte> bytes(n);
    archive_.read(prefix_ + "data.pkl", bytes.data(), n);
    const Pickle pickle(bytes, source_);
    visit(pickle, pickle.root(), "", 0);
    return std::move(tensors_);
  }

 private:
  void visit(const Pickle& p, const Pickle::Value& v, const std::string& name, int depth) {
    using Value = Pickle::Value;
    check(depth <= kMostNested, "{}: containers stand {} deep in each other at '{}'", source_, depth, name);
    check(++visited_ <= kMaxEntries, "{}: more than {} entries", source_, kMaxEntries);
    const auto below = [&](const std::string& key) { return name.empty() ? key : name + "." + key; };
    if (v.kind == Value::tensor) {
      tensors_.emplace_back(name, tensor(v, name));
    } else if (v.kind == Value::list || v.kind == Value::tuple) {
      for (size_t i = 0; i < v.items.size(); ++i) visit(p, p[v.items[i]], below(std::to_string(i)), depth + 1);
    } else if (v.kind == Value::dict) {
      for (size_t i = 0; i + 1 < v.items.size(); i += 2) {
        const Value& key = p[v.items[i]];
        check(key.kind == Value::text || key.kind == Value::integer, "{}: a key in '{}' is neither text nor integer",
              source_, name);
        visit(p, p[v.items[i + 1]], below(key.kind == Value::text ? key.text_value : std::to_string(key.integer_value)),
              depth + 1);
      }
    }
  }

  // The whole storage as a tensor [elements]; read once.
  const Tensor& storage(const Pickle::StorageRef& s, const std::string& name) {
    const std::string entry = prefix_ + "data/" + s.key;
    auto found = storages_.find(entry);
    if (found == storages_.end()) {
      const size_t bytes = archive_.size(entry);
      check(bytes % size_of(s.dtype) == 0, "{}: {} has {} bytes, which is no number of {}", source_, entry, bytes,
            s.dtype);
      stored_ += bytes;
      check(stored_ <= size_, "{}: its storages overlap", source_);
      Tensor t = empty({static_cast<int64_t>(bytes / size_of(s.dtype))}, s.dtype);
      archive_.read(entry, t.raw(), bytes);
      found = storages_.emplace(entry, t).first;
    }
    const Tensor& t = found->second;
    check(t.dtype() == s.dtype && t.numel() >= s.size, "{}: the tensor '{}' wants {} {} of {}, which holds {} {}",
          source_, name, s.size, s.dtype, entry, t.numel(), t.dtype());
    return t;
  }

  Tensor tensor(const Pickle::Value& v, const std::string& name) {
    const Tensor& all = storage(v.storage_value, name);
    const int rank = static_cast<int>(v.sizes.size());
    for (int64_t s : v.sizes) check(s >= 0, "{}: the tensor '{}' has a size of {}", source_, name, s);
    const Shape shape{std::span<const int64_t>(v.sizes)};
    const int64_t n = shape.numel();
    check(v.offset >= 0 && v.offset <= all.numel(), "{}: the tensor '{}' begins outside its storage", source_, name);
    if (n == 0) return empty(shape, all.dtype());
    // The last element's place, without overflow: no step may leave the storage.
    int64_t last = v.offset, expected = 1;
    bool dense = true;
    for (int i = rank; i-- > 0;) {
      const int64_t steps = v.sizes[static_cast<size_t>(i)] - 1, stride = v.strides[static_cast<size_t>(i)];
      check(stride >= 0 && (steps == 0 || stride <= (all.numel() - last) / steps),
            "{}: the tensor '{}' reaches outside its storage", source_, name);
      last += steps * stride;
      dense &= steps == 0 || stride == expected;
      expected *= steps + 1;
    }
    check(last < all.numel(), "{}: the tensor '{}' reaches outside its storage", source_, name);
    if (dense) return all.narrow(v.offset, n).reshape(shape);
    return gathered(all, v, shape, name);
  }

  // Transposed, expanded or sliced: copied element by element. A file of few bytes could ask for many.
  Tensor gathered(const Tensor& all, const Pickle::Value& v, const Shape& shape, const std::string& name) {
    const Tensor t = empty_checked(shape, all.dtype(), name);
    const size_t element = size_of(t.dtype());
    const auto* from = static_cast<const std::byte*>(all.raw());
    auto* to = static_cast<std::byte*>(t.raw());
    std::vector<int64_t> index(v.sizes.size(), 0);
    int64_t at = v.offset;
    for (int64_t i = 0, n = shape.numel(); i < n; ++i, to += element) {
      std::copy_n(from + at * static_cast<int64_t>(element), element, to);
      for (size_t axis = index.size(); axis-- > 0;) {
        at += v.strides[axis];
        if (++index[axis] < v.sizes[axis]) break;
        at -= v.strides[axis] * v.sizes[axis];
        index[axis] = 0;
      }
    }
    return t;
  }
  Tensor empty_checked(const Shape& shape, DType dtype, const std::string& name) {
    const auto n = static_cast<size_t>(shape.numel());
    const size_t room = 8 * size_ - copied_;
    check(n <= room / size_of(dtype), "{}: the tensor '{}' of shape {} is far larger than the file", source_, name,
          shape);
    copied_ += n * size_of(dtype);
    return empty(shape, dtype);
  }

  std::string source_;
  size_t size_, stored_ = 0, copied_ = 0, visited_ = 0;
  Archive archive_;
  std::string prefix_;
  std::map<std::string, Tensor> storages_;
  Tensors tensors_;
};

}  // namespace

Tensors read_torch_file(std::span<const std::byte> bytes, const std::string& source) {
  return TorchReader(bytes, source).read();
}

Tensors read_torch_file(const std::string& path) {
  const MappedFile file(path);
  return read_torch_file({file.data(), file.size()}, path);
}

bool is_zip_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  char magic[4] = {};
  in.read(magic, 4);
  return in.gcount() == 4 && std::string_view(magic, 4) == std::string_view("PK\3\4", 4);
}

}  // namespace holt
