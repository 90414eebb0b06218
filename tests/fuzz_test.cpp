// Hostile files (tests/golden/fuzz, made by make_fuzz_inputs.py or found by tests/fuzz/run), and what chance makes of
// them: each reader gives valid data or a holt::Error, in bounded memory.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <filesystem>

#include "kernels/file.h"
#include "kernels/philox.h"
#include "tests/fuzz/readers.h"

namespace holt::fuzz {
namespace {

namespace fs = std::filesystem;

struct Input {
  std::string name, bytes;
};

std::vector<Input> inputs(const std::string& reader) {
  std::vector<std::string> folders = {"fuzz/" + reader};
  if (reader == "torch_archive") folders = {"fuzz/pickle"};
  if (reader == "image") folders.insert(folders.end(), {"fuzz/jpeg", "fuzz/png"});
  if (reader == "torch_file") folders.push_back("");  // the .pth files
  std::vector<Input> all;
  for (const std::string& folder : folders)
    for (const auto& e : fs::directory_iterator(fs::path(HOLT_SOURCE_DIR) / "tests/golden" / folder))
      if (!folder.empty() || e.path().extension() == ".pth")
        all.push_back({e.path().filename().string(), read_file(e.path().string())});
  std::sort(all.begin(), all.end(), [](const Input& a, const Input& b) { return a.name < b.name; });
  return all;
}

enum class Outcome { valid, refused };
Outcome feed(const Reader& reader, const std::string& bytes) {
  try {
    reader.read(std::as_bytes(std::span(bytes)));
    return Outcome::valid;
  } catch (const Error&) { return Outcome::refused; }
}

// Bytes set, flipped, removed, repeated and swapped with those of another input.
std::string mutated(const std::string& of, const std::string& other, uint64_t seed) {
  std::string s = of;
  const uint32_t changes = 1 + philox(seed, 0, 0).v[0] % 4;
  for (uint32_t k = 1; k <= changes && !s.empty(); ++k) {
    const Philox4 r = philox(seed, 0, k);
    const size_t at = r.v[0] % s.size(), length = 1 + r.v[1] % 16;
    switch (r.v[2] % 6) {
      case 0:
        s[at] = static_cast<char>(r.v[3]);
        break;
      case 1:
        s[at] = static_cast<char>(s[at] ^ 1 << r.v[3] % 8);
        break;
      case 2:
        s.erase(at, length);
        break;
      case 3:
        s.insert(at, s.substr(r.v[3] % s.size(), length));
        break;
      case 4:
        s.replace(at, length, std::string(length, static_cast<char>(r.v[3] % 2 ? 0xFF : 0)));
        break;
      default:
        if (!other.empty()) s.replace(at, length, other.substr(r.v[3] % other.size(), length));
    }
  }
  return s;
}

class Hostile : public testing::TestWithParam<Reader> {};

TEST_P(Hostile, GivesValidDataOrAnError) {
  const Reader& reader = GetParam();
  rusage before, after;
  getrusage(RUSAGE_SELF, &before);
  const std::vector<Input> all = inputs(reader.name);
  ASSERT_GE(all.size(), 3u);
  int valid = 0, refused = 0;
  for (const Input& i : all) {
    SCOPED_TRACE(i.name);
    Outcome o = Outcome::refused;
    ASSERT_NO_THROW(o = feed(reader, i.bytes));
    ++(o == Outcome::valid ? valid : refused);
  }
  EXPECT_GE(valid, 1);
  EXPECT_GE(refused, 1);
  for (uint64_t seed = 0; seed < 600; ++seed) {
    const Philox4 r = philox(seed, 1, 0);
    const Input &i = all[r.v[0] % all.size()], &other = all[r.v[1] % all.size()];
    std::string bytes = mutated(i.bytes, other.bytes, seed);
    if (reader.repair && r.v[2] % 4) reader.repair(reinterpret_cast<std::byte*>(bytes.data()), bytes.size());
    SCOPED_TRACE(i.name + ", seed " + std::to_string(seed));
    ASSERT_NO_THROW(feed(reader, bytes));
  }
  getrusage(RUSAGE_SELF, &after);
  EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 256 << 10) << "KiB";
}

INSTANTIATE_TEST_SUITE_P(Readers, Hostile, testing::ValuesIn(kReaders),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace holt::fuzz
