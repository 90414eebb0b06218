// A state dict in PyTorch's archive. The pickle is protocol 2's, the zip has no compression and none of zip64's fields.
// Source: torch/serialization.py, pickletools, PKWARE's APPNOTE.TXT 4.3.
#include <zlib.h>

#include <bit>

#include "core/torch_file.h"
#include "kernels/file.h"
#include "kernels/memory.h"

namespace holt {
namespace {

static_assert(std::endian::native == std::endian::little, "the archive says that its bytes are little-endian");

const char* storage_name(DType t) {
  switch (t) {
    case DType::f32:
      return "FloatStorage";
    case DType::bf16:
      return "BFloat16Storage";
    case DType::f16:
      return "HalfStorage";
    case DType::f64:
      return "DoubleStorage";
    case DType::i64:
      return "LongStorage";
    case DType::i32:
      return "IntStorage";
    case DType::u8:
      return "ByteStorage";
  }
  fail("write_torch_file: PyTorch has no storage of {}", t);
}

// Numbers as bytes, little-endian.
class Bytes {
 public:
  template <class T>
  Bytes& number(T x) {
    text_.append(reinterpret_cast<const char*>(&x), sizeof x);
    return *this;
  }
  Bytes& raw(std::string_view s) {
    text_ += s;
    return *this;
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

// OrderedDict([(name, _rebuild_tensor_v2(storage i, 0, sizes, strides, False, OrderedDict())), …])
class StateDictPickle {
 public:
  explicit StateDictPickle(const std::vector<std::pair<std::string, Tensor>>& tensors) {
    out_.raw("\x80\x02").raw("ccollections\nOrderedDict\n)R(");
    for (size_t i = 0; i < tensors.size(); ++i) {
      text(tensors[i].first);
      tensor(std::to_string(i), tensors[i].second);
    }
    out_.raw("u.");
  }
  const std::string& bytes() const { return out_.text(); }

 private:
  void text(const std::string& s) { out_.raw("X").number(static_cast<uint32_t>(s.size())).raw(s); }
  void integer(int64_t x) {
    if (x <= INT32_MAX)
      out_.raw("J").number(static_cast<int32_t>(x));
    else
      out_.raw("\x8a\x08").number(x);
  }
  void tensor(const std::string& key, const Tensor& t) {
    out_.raw("ctorch._utils\n_rebuild_tensor_v2\n((");
    text("storage");
    out_.raw("ctorch\n").raw(storage_name(t.dtype())).raw("\n");
    text(key);
    text("cpu");
    integer(t.numel());
    out_.raw("tQK").number(uint8_t{0}).raw("(");
    for (const int64_t size : t.shape()) integer(size);
    out_.raw("t(");
    for (int axis = 0; axis < t.rank(); ++axis) integer(t.shape().product(axis + 1, t.rank()));
    out_.raw("t\x89").raw("ccollections\nOrderedDict\n)RtR");
  }

  Bytes out_;
};

// One entry after the other, then the directory.
class ZipWriter {
 public:
  ZipWriter(FileWriter& file, const std::string& path) : file_(file), path_(path) {}

  void add(const std::string& name, const void* data, size_t bytes) {
    check(at_ + bytes + (size_t{1} << 16) + directory_.text().size() < UINT32_MAX,
          "{}: 4 GiB or more do not fit in the archive that is written for PyTorch; write safetensors", path_);
    uLong crc = crc32(0, nullptr, 0);
    for (size_t done = 0; done < bytes;) {
      const size_t n = std::min<size_t>(bytes - done, size_t{1} << 30);
      crc = crc32(crc, static_cast<const Bytef*>(data) + done, static_cast<uInt>(n));
      done += n;
    }
    // PyTorch aligns storages to 64 bytes by an extra field "FB", so that they can be mapped.
    const size_t fixed = at_ + 30 + name.size() + 4;
    const std::string padding((64 - fixed % 64) % 64, '\0');
    Bytes fields;  // what the entry's own header and its line in the directory have in common
    fields.number(uint16_t{20}).number(uint16_t{0}).number(uint16_t{0}).number(uint16_t{0}).number(kDate);
    fields.number(static_cast<uint32_t>(crc)).number(static_cast<uint32_t>(bytes)).number(static_cast<uint32_t>(bytes));
    fields.number(static_cast<uint16_t>(name.size()));

    directory_.raw("PK\1\2").number(uint16_t{20}).raw(fields.text());
    directory_.number(uint16_t{0}).number(uint16_t{0}).number(uint16_t{0}).number(uint16_t{0}).number(uint32_t{0});
    directory_.number(static_cast<uint32_t>(at_)).raw(name);
    ++entries_;

    Bytes header;
    header.raw("PK\3\4").raw(fields.text()).number(static_cast<uint16_t>(4 + padding.size())).raw(name);
    header.raw("FB").number(static_cast<uint16_t>(padding.size())).raw(padding);
    write(header.text().data(), header.text().size());
    write(data, bytes);
  }

  void finish() {
    check(entries_ < UINT16_MAX, "{}: {} tensors are too many for the archive that is written for PyTorch", path_,
          entries_);
    const size_t start = at_;
    write(directory_.text().data(), directory_.text().size());
    Bytes end;
    end.raw("PK\5\6").number(uint16_t{0}).number(uint16_t{0});
    end.number(static_cast<uint16_t>(entries_)).number(static_cast<uint16_t>(entries_));
    end.number(static_cast<uint32_t>(at_ - start)).number(static_cast<uint32_t>(start)).number(uint16_t{0});
    write(end.text().data(), end.text().size());
  }

 private:
  static constexpr uint16_t kDate = 0x21;  // 1980-01-01: equal weights give equal files

  void write(const void* data, size_t bytes) {
    file_.write(data, bytes);
    at_ += bytes;
  }

  FileWriter& file_;
  const std::string& path_;
  Bytes directory_;
  size_t at_ = 0, entries_ = 0;
};

}  // namespace

void write_torch_file(const std::string& path, const std::vector<std::pair<std::string, Tensor>>& tensors) {
  for (const auto& [name, t] : tensors) check(t.defined(), "{}: tensor '{}' is undefined", path, name);
  write_atomically(path, [&](FileWriter& file) {
    ZipWriter zip(file, path);
    const std::string pickle = StateDictPickle(tensors).bytes(), order = "little", version = "3\n";
    zip.add("archive/data.pkl", pickle.data(), pickle.size());
    zip.add("archive/byteorder", order.data(), order.size());
    for (size_t i = 0; i < tensors.size(); ++i) {
      const Tensor t = tensors[i].second.to(Device{});
      zip.add(format("archive/data/{}", i), t.raw(), t.bytes());
    }
    zip.add("archive/version", version.data(), version.size());
    zip.finish();
  });
}

}  // namespace holt
