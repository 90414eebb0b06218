// The file format, byte for byte; atomic writes; and what happens to files that are broken.
#include "core/safetensors.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>

#include "kernels/file.h"
#include "tests/harness/expect_error.h"

namespace holt {
namespace {

namespace fs = std::filesystem;

class SafetensorsTest : public testing::Test {
 protected:
  SafetensorsTest() {
    std::string name = (fs::temp_directory_path() / "holt-test-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
    folder_ = name;
  }
  ~SafetensorsTest() override { fs::remove_all(folder_); }

  std::string path(const std::string& name = "x.safetensors") const { return (folder_ / name).string(); }
  size_t files() const {
    return static_cast<size_t>(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }
  /// Reads a file of these bytes.
  Safetensors read(const std::string& bytes) {
    std::ofstream(path(), std::ios::binary) << bytes;
    return read_safetensors(path());
  }
  fs::path folder_;
};
using FileTest = SafetensorsTest;

std::string file(const std::string& header, const std::string& data = "") {
  const uint64_t n = header.size();
  return std::string(reinterpret_cast<const char*>(&n), 8) + header + data;
}

template <class T>
std::string bytes_of(std::initializer_list<T> values) {
  return std::string(reinterpret_cast<const char*>(values.begin()), values.size() * sizeof(T));
}

NamedTensors example() {
  return {{"b", from(std::vector<int64_t>{0, 1, 2}, {3})},
          {"a", from(std::vector<float>{0, 1, 2, 3, 4, 5}, {2, 3})},
          {"h", from(std::vector<float>{1.5}, {1}, DType::f16)},
          {"u", from(std::vector<uint8_t>{1, 2, 3}, {3})},
          {"e", zeros({0, 3}, DType::f64)},
          {"i", from(std::vector<int32_t>{5}, {})}};
}

// What Hugging Face's writer (safetensors 0.8.0) gave for example() and {'fo"o': "bär/"}.
const std::string kExample = file(
    "{\"__metadata__\":{\"fo\\\"o\":\"b\xc3\xa4r/\"},\"b\":{\"dtype\":\"I64\",\"shape\":[3],\"data_offsets\":[0,24]},"
    "\"e\":{\"dtype\":\"F64\",\"shape\":[0,3],\"data_offsets\":[24,24]},"
    "\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[24,48]},"
    "\"i\":{\"dtype\":\"I32\",\"shape\":[],\"data_offsets\":[48,52]},"
    "\"h\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[52,54]},"
    "\"u\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[54,57]}}   ",
    bytes_of<int64_t>({0, 1, 2}) + bytes_of<float>({0, 1, 2, 3, 4, 5}) + bytes_of<int32_t>({5}) +
        bytes_of<uint8_t>({0x00, 0x3e, 1, 2, 3}));

void expect_example(const Safetensors& s) {
  EXPECT_EQ(s.metadata, (Metadata{{"fo\"o", "b\xc3\xa4r/"}}));
  const NamedTensors want = example();
  ASSERT_EQ(s.tensors.size(), want.size());
  for (const auto& [name, t] : want) {
    const Tensor& got = s.tensors.at(name);
    EXPECT_EQ(to_string(got), to_string(t)) << name;
    EXPECT_EQ(got.to_vector<double>(), t.to_vector<double>()) << name;
  }
}

TEST_F(SafetensorsTest, WritesTheBytesOfTheReferenceWriter) {
  write_safetensors(path(), example(), {{"fo\"o", "b\xc3\xa4r/"}});
  EXPECT_EQ(read_file(path()), kExample);
}

TEST_F(SafetensorsTest, ReadsTheBytesOfTheReferenceWriter) { expect_example(read(kExample)); }

TEST_F(SafetensorsTest, PythonReadsWhatWasWrittenAndWritesWhatIsRead) {
  const std::string python = std::getenv("HOLT_PYTHON") ? std::getenv("HOLT_PYTHON") : "python3";
  if (std::system((python + " -c 'import numpy, safetensors.numpy' 2>/dev/null").c_str()) != 0)
    GTEST_SKIP() << "Python's safetensors and numpy are not installed; the reference's bytes are tested above";
  write_safetensors(path("in"), example(), {{"fo\"o", "b\xc3\xa4r/"}});
  const std::string script =
      "import sys; from safetensors import safe_open; from safetensors.numpy import save_file\n"
      "f = safe_open(sys.argv[1], 'np'); save_file({k: f.get_tensor(k) for k in f.keys()}, sys.argv[2], "
      "f.metadata())\n";
  write_atomically(path("copy.py"), script);
  ASSERT_EQ(std::system((python + " " + path("copy.py") + " " + path("in") + " " + path("out")).c_str()), 0);
  expect_example(read_safetensors(path("out")));
  EXPECT_EQ(read_file(path("out")), read_file(path("in")));
}

TEST_F(SafetensorsTest, HoldsNothing) {
  write_safetensors(path(), {});
  EXPECT_EQ(read_file(path()), file("{}      "));
  const Safetensors s = read_safetensors(path());
  EXPECT_TRUE(s.tensors.empty());
  EXPECT_TRUE(s.metadata.empty());
}

TEST_F(SafetensorsTest, KeepsEveryBitOfEveryDtype) {
  NamedTensors all;
  for (DType d : {DType::f32, DType::bf16, DType::f16, DType::f64, DType::i64, DType::i32, DType::u8}) {
    const Tensor t = empty({5, 7}, d);
    auto* p = static_cast<unsigned char*>(t.raw());
    for (size_t i = 0; i < t.bytes(); ++i) p[i] = static_cast<unsigned char>(i * 37 + 255);  // NaNs among them
    all.emplace(to_string(d), t);
  }
  write_safetensors(path(), all);
  const Safetensors s = read_safetensors(path());
  for (const auto& [name, t] : all) EXPECT_EQ(std::memcmp(s.tensors.at(name).raw(), t.raw(), t.bytes()), 0) << name;
}

TEST_F(SafetensorsTest, MapsAlignedTensorsAndCopiesOthers) {
  const std::string header = R"({"u":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                             R"("f":{"dtype":"F32","shape":[2],"data_offsets":[1,9]}})";
  const std::string bytes = file(header, "\x07" + bytes_of<float>({1.5, -2}));
  const Safetensors s = read(bytes);
  EXPECT_EQ(s.tensors.at("f").to_vector<float>(), (std::vector<float>{1.5, -2}));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(s.tensors.at("f").raw()) % 4, 0u);

  // In-place writes stay in this process, and changes of one tensor are not taken for changes of another.
  const Tensor u = s.tensors.at("u");
  *u.data<uint8_t>() = 8;
  u.bump_version();
  EXPECT_EQ(s.tensors.at("f").storage()->version, 0u);
  EXPECT_EQ(read_file(path()), bytes);
}

TEST_F(SafetensorsTest, TensorsOutliveTheFileAndItsReplacement) {
  write_safetensors(path(), {{"x", full({1000}, 3)}});
  Tensor x = read_safetensors(path()).tensors.at("x");
  write_safetensors(path(), {{"x", full({1000}, 4)}});
  EXPECT_EQ(x.to_vector<float>(), std::vector<float>(1000, 3));
  x.data<float>()[1] = 5;
  write_safetensors(path(), {{"x", x}});  // from its own mapping
  EXPECT_EQ(read_safetensors(path()).tensors.at("x").to_vector<float>()[1], 5);
  fs::remove(path());
  EXPECT_EQ(x.to_vector<float>()[999], 3);
}

TEST_F(SafetensorsTest, NamesWhatIsWrongInAFile) {
  const auto tensor = [](const std::string& rest) { return R"({"w":{"dtype":"F32",)" + rest + "}}"; };
  const std::string four(4, '\0'), ok = tensor(R"("shape":[1],"data_offsets":[0,4])");
  EXPECT_NO_THROW(read(file(ok, four)));
  EXPECT_ERROR(read(""), "x.safetensors: 0 bytes are too few for a header");
  EXPECT_ERROR(read("1234567"), "7 bytes are too few");
  EXPECT_ERROR(read(bytes_of<uint64_t>({0})), "is not a JSON object");
  EXPECT_ERROR(read(bytes_of<uint64_t>({3}) + "{}"), "the header's length 3 exceeds the file of 10 bytes");
  EXPECT_ERROR(read(bytes_of<uint64_t>({~uint64_t{0}}) + "{}"), "exceeds the limit of 100000000 bytes");
  EXPECT_ERROR(read(file(" {}")), "is not a JSON object");
  EXPECT_ERROR(read(file("[]")), "is not a JSON object");
  EXPECT_ERROR(read(file("{")), "the header is not valid JSON");
  EXPECT_ERROR(read(file("{}x")), "the header is not valid JSON");
  EXPECT_ERROR(read(file("{\"\xff\":1}")), "the header is not valid JSON");
  EXPECT_ERROR(read(file(R"({"a":1e999})")), "the header is not valid JSON");
  EXPECT_ERROR(read(file(R"({"a":{"b":{"c":{}}}})")), "nested deeper than 3 levels");
  EXPECT_ERROR(read(file("{\"a\":" + std::string(1'000'000, '['))), "nested deeper than 3 levels");
  EXPECT_ERROR(read(file(R"({"a":[[],[],[],[],[],[],[],[],[]]})")), "an array of more than 8 elements");
  EXPECT_ERROR(read(file(tensor(R"("shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4])"), four)),
               "an array of more than 8 elements: a tensor has at most as many axes");
  EXPECT_ERROR(read(file(R"({"w":7})")), "tensor 'w' must be an object, not a number");
  EXPECT_ERROR(read(file(R"({"w":{}})")), "tensor 'w' has no 'dtype'");
  EXPECT_ERROR(read(file(tensor(R"("shape":[1])"), four)), "tensor 'w' has no 'data_offsets'");
  EXPECT_ERROR(read(file(tensor(R"("shape":[1],"data_offsets":[0,4],"x":0)"), four)), "keys other than");
  EXPECT_ERROR(read(file(tensor(R"("shape":[1],"shape":[1],"data_offsets":[0,4])"), four)), "'shape' occurs twice");
  EXPECT_ERROR(read(file(ok.substr(0, ok.size() - 1) + "," + ok.substr(1), four)), "the name 'w' occurs twice");
  EXPECT_ERROR(read(file(R"({"w":{"dtype":4,"shape":[1],"data_offsets":[0,4]}})", four)), "dtype must be a text");
  EXPECT_ERROR(read(file(R"({"w":{"dtype":"I16","shape":[2],"data_offsets":[0,4]}})", four)),
               "tensor 'w': dtype 'I16' is not supported; expected F32, BF16, F16, F64, I64, I32 or U8");
  EXPECT_ERROR(read(file(tensor(R"("shape":4,"data_offsets":[0,4])"), four)), "'w': shape must be an array");
  EXPECT_ERROR(read(file(tensor(R"("shape":[1.0],"data_offsets":[0,4])"), four)), "shape must hold integers from 0");
  EXPECT_ERROR(read(file(tensor(R"("shape":[-1],"data_offsets":[0,4])"), four)), "shape must hold integers from 0");
  EXPECT_ERROR(read(file(tensor(R"("shape":[9223372036854775808],"data_offsets":[0,4])"), four)), "shape must hold");
  EXPECT_ERROR(read(file(tensor(R"("shape":["1"],"data_offsets":[0,4])"), four)), "shape must hold integers");
  EXPECT_ERROR(read(file(tensor(R"("shape":[2],"data_offsets":[0,4])"), four)), "f32 [2] does not take 4 bytes");
  EXPECT_ERROR(read(file(tensor(R"("shape":[4611686018427387905],"data_offsets":[0,4])"), four)), "does not take 4");
  EXPECT_ERROR(read(file(tensor(R"("shape":[4294967296,4294967296],"data_offsets":[0,0])"))), "does not take 0 bytes");
  EXPECT_ERROR(read(file(tensor(R"("shape":[1],"data_offsets":[0])"), four)), "data_offsets must be [begin, end]");
  EXPECT_ERROR(read(file(tensor(R"("shape":[1],"data_offsets":[4,0])"), four)), "[4, 0] are not within 4 bytes");
  EXPECT_ERROR(read(file(tensor(R"("shape":[2],"data_offsets":[0,8])"), four)), "[0, 8] are not within 4 bytes");
  EXPECT_ERROR(read(file(tensor(R"("shape":[1],"data_offsets":[1,5])"), four + "x")), "a hole of 1 bytes in front of");
  EXPECT_ERROR(read(file(ok, four + "x")), "1 bytes behind the last tensor belong to none");
  EXPECT_ERROR(read(file(R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                         R"("v":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}})",
                         four + four)),
               "tensors 'w' and 'v' overlap");
  EXPECT_ERROR(read(file(R"({"__metadata__":[]})")), "'__metadata__' must be an object of texts");
  EXPECT_ERROR(read(file(R"({"__metadata__":{"epoch":3}})")), "'epoch' is a number");
}

TEST_F(SafetensorsTest, RefusesToWriteNonsense) {
  EXPECT_ERROR(write_safetensors(path(), {{"w", Tensor{}}}), "tensor 'w' is undefined");
  EXPECT_ERROR(write_safetensors(path(), {{"__metadata__", zeros({1})}}), "'__metadata__' is not a tensor's name");
  EXPECT_ERROR(write_safetensors(path(), {{"\xff", zeros({1})}}), "is not UTF-8");
  EXPECT_ERROR(write_safetensors(path(), {}, {{"k", "\xff"}}), "is not UTF-8");
  EXPECT_EQ(files(), 0u);
}

// Thousands of damaged files: each gives valid tensors or an Error. What is read is touched to its last byte, so that
// AddressSanitizer, or the end of the mapping, finds a wrong bound.
TEST_F(SafetensorsTest, SurvivesDamage) {
  std::mt19937_64 random(20260727);
  const auto below = [&](size_t n) { return static_cast<size_t>(random() % n); };
  const std::string fragments[] = {"{",
                                   "}",
                                   "[",
                                   "]",
                                   ",",
                                   ":",
                                   "\"",
                                   "0",
                                   "-1",
                                   "1e99",
                                   "\\u00",
                                   "I64",
                                   "data_offsets",
                                   "57",
                                   "[0,0]",
                                   "18446744073709551615"};
  const size_t header_end = kExample.size() - 57;
  size_t valid = 0;
  for (int round = 0; round < 6000; ++round) {
    std::string bytes = kExample;
    for (size_t n = 1 + below(2) * below(3); n > 0 && !bytes.empty(); --n) {
      const size_t at = below(4) ? 8 + below(header_end - 8) : below(bytes.size());  // mostly in the JSON
      if (at >= bytes.size()) continue;
      switch (below(7)) {
        case 0:
          bytes[at] = static_cast<char>(random());
          break;
        case 1:
          bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8)));
          break;
        case 2:
          bytes.resize(at);
          break;
        case 3:
          bytes.erase(at, 1 + below(8));
          break;
        case 4:
          bytes.insert(at, fragments[below(std::size(fragments))]);
          break;
        case 5:
          bytes.insert(at, bytes.substr(below(bytes.size()), below(64)));
          break;
        case 6:
          bytes[at] = static_cast<char>('0' + below(10));
          break;
      }
    }
    if (below(2) && bytes.size() > 8) {  // half of them with a length that fits again, so that the JSON is reached
      const uint64_t length = std::min(bytes.size() - 8, header_end - 8 + bytes.size() - kExample.size());
      std::memcpy(bytes.data(), &length, 8);
    }
    try {
      const Safetensors s = read(bytes);
      ++valid;
      for (const auto& [name, t] : s.tensors) EXPECT_EQ(t.to_vector<double>().size(), size_t(t.numel()));
    } catch (const Error& e) { EXPECT_NE(e.message().find(path()), std::string::npos) << e.what(); }
  }
  EXPECT_GT(valid, 100u);  // the damage is often in the tensors' bytes, or spares the meaning
  EXPECT_LT(valid, 4000u);
}

TEST_F(FileTest, ReplacesAFileOrLeavesItAlone) {
  write_atomically(path(), "old");
  write_atomically(path(), "new");
  EXPECT_EQ(read_file(path()), "new");
  EXPECT_THROW(write_atomically(path(),
                                [](FileWriter& f) {
                                  f.write("half");
                                  throw std::runtime_error("interrupted");
                                }),
               std::runtime_error);
  EXPECT_EQ(read_file(path()), "new");
  EXPECT_EQ(files(), 1u);
}

TEST_F(FileTest, AFullDiskLeavesTheEarlierFile) {
  write_safetensors(path(), {{"w", full({10}, 1)}});
  const std::string before = read_file(path());
  rlimit old;
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{4096, old.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  EXPECT_ERROR(write_safetensors(path(), {{"w", full({100'000}, 2)}}), "x.safetensors: File too large");
  ::setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(read_file(path()), before);
  EXPECT_EQ(files(), 1u);
}

TEST_F(FileTest, NamesPathAndReason) {
  write_atomically(path("file"), "content");
  EXPECT_ERROR(write_atomically(path("file/x"), "y"), "cannot write " + path("file/x") + ": Not a directory");
  EXPECT_ERROR(write_atomically(path("absent/x"), "y"), "absent/x: No such file or directory");
  EXPECT_ERROR(write_atomically("/proc/x", "y"), "cannot write /proc/x: ");
  EXPECT_ERROR(write_atomically(folder_.string(), "y"), "it exists and is not a regular file");
  EXPECT_ERROR(write_atomically("/dev/full", "y"), "it exists and is not a regular file");
  EXPECT_ERROR(write_atomically("", "y"), "a file without a name");
  EXPECT_ERROR(read_file(path("absent")), "cannot read " + path("absent") + ": No such file or directory");
  EXPECT_ERROR(read_file(folder_.string()), "it is a folder");
  EXPECT_ERROR(read_safetensors("/dev/zero"), "it is not a regular file");
  EXPECT_ERROR(read_safetensors(path("absent")), "No such file or directory");
  EXPECT_EQ(read_file(path("file")), "content");
}

TEST_F(FileTest, FollowsLinksAndLeftoversDoNotStopIt) {
  write_atomically(path("real"), "1");
  fs::create_symlink("real", path("link"));
  write_atomically(path("link"), "2");
  EXPECT_TRUE(fs::is_symlink(path("link")));
  EXPECT_EQ(read_file(path("real")), "2");

  // As a crashed process of the same id would leave them.
  for (int i = 0; i < 1000; ++i) {
    const std::string leftover = path(".holt-" + std::to_string(::getpid()) + "-" + std::to_string(i) + ".tmp");
    if (i % 100 != 50) std::ofstream{leftover};
  }
  write_atomically(path("real"), "3");
  EXPECT_EQ(read_file(path("real")), "3");
}

TEST_F(FileTest, MapsAnEmptyFile) {
  write_atomically(path(), "");
  EXPECT_EQ(MappedFile(path()).size(), 0u);
  EXPECT_EQ(read_file(path()), "");
}

}  // namespace
}  // namespace holt
