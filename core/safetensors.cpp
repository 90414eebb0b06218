#include "core/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "core/json.h"
#include "kernels/file.h"
#include "kernels/memory.h"

namespace holt {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors holds little-endian bytes");

using Json = nlohmann::json;

constexpr size_t kMaxHeader = 100'000'000;
constexpr int kMaxDepth = 3;  // {"name": {"shape": [2]}}
constexpr const char* kMetadata = "__metadata__";

struct Name {
  DType dtype;
  const char* text;
};
// In the order in which Hugging Face's writer lays tensors out: what comes first needs the widest alignment.
constexpr Name kDTypes[] = {{DType::i64, "I64"},   {DType::f64, "F64"}, {DType::f32, "F32"}, {DType::i32, "I32"},
                            {DType::bf16, "BF16"}, {DType::f16, "F16"}, {DType::u8, "U8"}};

size_t rank_of(DType t) {
  return static_cast<size_t>(
      std::find_if(std::begin(kDTypes), std::end(kDTypes), [&](Name n) { return n.dtype == t; }) - std::begin(kDTypes));
}

struct Entry {
  std::string name;
  DType dtype;
  Shape shape;
  size_t begin, end;  // bytes, from the end of the header
};

class SafetensorsReader {
 public:
  explicit SafetensorsReader(const std::string& path) : path_(path), file_(std::make_shared<MappedFile>(path)) {}

  Safetensors read() {
    const Json header = parse(header_text());
    Safetensors result;
    std::vector<Entry> entries;
    for (const auto& [name, value] : header.items()) {
      if (name == kMetadata)
        result.metadata = metadata(value);
      else
        entries.push_back(entry(name, value));
    }
    check_layout(entries);
    for (const Entry& e : entries) result.tensors.emplace(e.name, tensor(e));
    return result;
  }

 private:
  template <class... A>
  void require(bool ok, const char* text, const A&... args) const {
    if (!ok) fail("safetensors: {}: {}", path_, format(text, args...));
  }

  std::string_view header_text() {
    require(file_->size() >= 8, "{} bytes are too few for a header", file_->size());
    uint64_t length;
    std::memcpy(&length, file_->data(), 8);
    require(length <= kMaxHeader, "the header's length {} exceeds the limit of {} bytes", length, kMaxHeader);
    require(length <= file_->size() - 8, "the header's length {} exceeds the file of {} bytes", length, file_->size());
    data_ = file_->data() + 8 + length;
    data_size_ = file_->size() - 8 - length;
    const std::string_view text(reinterpret_cast<const char*>(file_->data()) + 8, length);
    require(text.starts_with('{'), "the header is not a JSON object");
    return text;
  }

  // nlohmann keeps the last of two equal keys and takes any nesting, so both are watched while it parses.
  Json parse(std::string_view text) const {
    std::vector<std::set<std::string>> keys;
    std::vector<int64_t> sizes;
    const auto watch = [&](int depth, Json::parse_event_t event, Json& value) {
      using Event = Json::parse_event_t;
      if (event == Event::object_end) {
        keys.pop_back();
      } else if (event == Event::array_end) {
        sizes.pop_back();
      } else if (event == Event::key) {
        const auto name = value.get<std::string>();
        require(keys.back().insert(name).second, "the name '{}' occurs twice", name);
      } else {  // a value begins
        require(sizes.empty() || ++sizes.back() <= Shape::kMaxRank,
                "the header has an array of more than {} elements: a tensor has at most as many axes",
                int{Shape::kMaxRank});
        if (event != Event::value) require(depth < kMaxDepth, "the header is nested deeper than {} levels", kMaxDepth);
        if (event == Event::object_start) keys.emplace_back();
        if (event == Event::array_start) sizes.push_back(0);
      }
      return true;
    };
    try {
      return Json::parse(text.begin(), text.end(), watch);
    } catch (const Json::exception& e) { fail("safetensors: {}: the header is not valid JSON: {}", path_, e.what()); }
  }

  Metadata metadata(const Json& value) const {
    require(value.is_object(), "'{}' must be an object of texts", kMetadata);
    Metadata result;
    for (const auto& [key, text] : value.items()) {
      require(text.is_string(), "'{}' must be an object of texts; '{}' is a {}", kMetadata, key, text.type_name());
      result.emplace(key, text.get<std::string>());
    }
    return result;
  }

  Entry entry(const std::string& name, const Json& value) const {
    require(value.is_object(), "tensor '{}' must be an object, not a {}", name, value.type_name());
    for (const char* key : {"dtype", "shape", "data_offsets"})
      require(value.contains(key), "tensor '{}' has no '{}'", name, key);
    require(value.size() == 3, "tensor '{}' has keys other than dtype, shape and data_offsets", name);
    Entry e{name, dtype(name, value["dtype"]), {}, 0, 0};

    const std::vector<int64_t> sizes = integers(name, "shape", value["shape"]);
    const std::vector<int64_t> offsets = integers(name, "data_offsets", value["data_offsets"]);
    e.shape = Shape(std::span(sizes));
    require(offsets.size() == 2, "tensor '{}': data_offsets must be [begin, end]", name);
    e.begin = static_cast<size_t>(offsets[0]), e.end = static_cast<size_t>(offsets[1]);
    require(e.begin <= e.end && e.end <= data_size_,
            "tensor '{}': data_offsets [{}, {}] are not within {} bytes of data", name, e.begin, e.end, data_size_);

    auto bytes = static_cast<int64_t>(size_of(e.dtype));
    bool fits = true;
    for (int64_t n : sizes) fits = fits && !__builtin_mul_overflow(bytes, n, &bytes);
    require(fits && static_cast<size_t>(bytes) == e.end - e.begin, "tensor '{}': {} {} does not take {} bytes", name,
            e.dtype, e.shape, e.end - e.begin);
    return e;
  }

  DType dtype(const std::string& name, const Json& value) const {
    require(value.is_string(), "tensor '{}': dtype must be a text", name);
    const auto text = value.get<std::string>();
    for (Name n : kDTypes)
      if (text == n.text) return n.dtype;
    require(false, "tensor '{}': dtype '{}' is not supported; expected F32, BF16, F16, F64, I64, I32 or U8", name,
            text);
    return {};
  }

  std::vector<int64_t> integers(const std::string& name, const char* key, const Json& value) const {
    require(value.is_array(), "tensor '{}': {} must be an array", name, key);
    std::vector<int64_t> result;
    for (const Json& v : value) {
      require(v.is_number_unsigned() && v.get<uint64_t>() <= uint64_t{INT64_MAX},
              "tensor '{}': {} must hold integers from 0 to 2^63 - 1", name, key);
      result.push_back(static_cast<int64_t>(v.get<uint64_t>()));
    }
    return result;
  }

  void check_layout(std::vector<Entry>& entries) const {
    std::sort(entries.begin(), entries.end(),
              [](const Entry& a, const Entry& b) { return std::pair(a.begin, a.end) < std::pair(b.begin, b.end); });
    size_t at = 0;
    const char* before = "the header";
    for (const Entry& e : entries) {
      require(e.begin >= at, "tensors '{}' and '{}' overlap", before, e.name);
      require(e.begin == at, "a hole of {} bytes in front of tensor '{}'", e.begin - at, e.name);
      at = e.end, before = e.name.c_str();
    }
    require(at == data_size_, "{} bytes behind the last tensor belong to none", data_size_ - at);
  }

  Tensor tensor(const Entry& e) const {
    std::byte* const p = data_ + e.begin;
    const size_t bytes = e.end - e.begin;
    if (bytes > 0 && reinterpret_cast<uintptr_t>(p) % size_of(e.dtype) == 0)
      return Tensor(std::make_shared<Storage>(p, bytes, file_), 0, e.shape, e.dtype);
    const Tensor copy = empty(e.shape, e.dtype);
    copy_bytes(Device{}, copy.raw(), Device{}, p, bytes);
    return copy;
  }

  const std::string& path_;
  std::shared_ptr<MappedFile> file_;
  std::byte* data_ = nullptr;
  size_t data_size_ = 0;
};

}  // namespace

Safetensors read_safetensors(const std::string& path) { return SafetensorsReader(path).read(); }

void write_safetensors(const std::string& path, const NamedTensors& tensors, const Metadata& metadata) {
  std::vector<const NamedTensors::value_type*> order;
  for (const auto& item : tensors) {
    check(item.second.defined(), "safetensors: {}: tensor '{}' is undefined", path, item.first);
    check(item.first != kMetadata, "safetensors: {}: '{}' is not a tensor's name", path, kMetadata);
    order.push_back(&item);
  }
  std::stable_sort(order.begin(), order.end(),
                   [](auto* a, auto* b) { return rank_of(a->second.dtype()) < rank_of(b->second.dtype()); });

  std::string text;
  size_t at = 0;
  const auto append = [&](const std::string& key, const auto& value) {
    text += text.empty() ? '{' : ',';
    text.append(json_text(Json(key))).append(1, ':').append(json_text(value));
  };
  try {
    if (!metadata.empty()) append(kMetadata, Json(metadata));
    for (const auto* item : order) {
      const Tensor& t = item->second;
      append(item->first, nlohmann::ordered_json{{"dtype", kDTypes[rank_of(t.dtype())].text},
                                                 {"shape", std::vector<int64_t>(t.shape().begin(), t.shape().end())},
                                                 {"data_offsets", {at, at + t.bytes()}}});
      at += t.bytes();
    }
  } catch (const Json::exception& e) {
    fail("safetensors: {}: a name or a metadata text is not UTF-8: {}", path, e.what());
  }
  text += text.empty() ? "{}" : "}";
  text.resize((text.size() + 7) / 8 * 8, ' ');
  check(text.size() <= kMaxHeader, "safetensors: {}: a header of {} bytes exceeds the limit of {}", path, text.size(),
        kMaxHeader);

  write_atomically(path, [&](FileWriter& file) {
    const uint64_t length = text.size();
    file.write(&length, sizeof length);
    file.write(text);
    for (const auto* item : order) {
      const Tensor& t = item->second;
      if (t.device() == Device{}) {
        file.write(t.raw(), t.bytes());
      } else {
        const Workspace host(Device{}, t.bytes());
        copy_bytes(Device{}, host.as<void>(), t.device(), t.raw(), t.bytes());
        file.write(host.as<void>(), t.bytes());
      }
    }
  });
}

}  // namespace holt
