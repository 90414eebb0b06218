// Files of torch.save: what PyTorch wrote (tests/golden/make_torch_files.py), whole objects, damage, and pickles that
// ask for more than tensors.
#include "core/torch_file.h"

#include <gtest/gtest.h>

#include <map>

#include "core/pickle.h"
#include "kernels/file.h"
#include "tests/harness/expect_error.h"

namespace holt {
namespace {

using Named = std::map<std::string, Tensor>;

std::string golden(const std::string& name) { return std::string(HOLT_SOURCE_DIR) + "/tests/golden/" + name; }

std::span<const std::byte> bytes_of(const std::string& text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

Named read_golden(const std::string& name) {
  Named all;
  for (auto& [key, t] : read_torch_file(golden(name))) EXPECT_TRUE(all.emplace(key, t).second) << key;
  return all;
}

std::vector<double> doubles(const Tensor& t) { return t.to_vector<double>(); }

TEST(TorchFile, AStateDict) {
  const auto list = read_torch_file(golden("state_dict.pth"));
  std::vector<std::string> names;
  for (auto& [name, t] : list) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{"conv.weight", "conv.bias", "bn.weight", "bn.bias", "bn.running_mean",
                                             "bn.running_var", "bn.num_batches_tracked"}));
  EXPECT_EQ(list[0].second.shape(), (Shape{3, 2, 3, 3}));
  for (int i = 0; i < 54; ++i) EXPECT_EQ(doubles(list[0].second)[static_cast<size_t>(i)], i);
  EXPECT_EQ(doubles(list[5].second), (std::vector<double>{1, 1, 1}));
  EXPECT_EQ(list[6].second.dtype(), DType::i64);
  EXPECT_EQ(list[6].second.rank(), 0);
}

TEST(TorchFile, ACheckpointOfEveryDtypeAndLayout) {
  const Named t = read_golden("checkpoint.pth");
  EXPECT_EQ(t.size(), 17u);
  EXPECT_EQ(t.at("model.transposed").shape(), (Shape{6, 4}));
  EXPECT_EQ(doubles(t.at("model.transposed"))[1], 6);
  EXPECT_EQ(doubles(t.at("model.column")), (std::vector<double>{2, 8, 14, 20}));
  EXPECT_EQ(doubles(t.at("model.expanded")), (std::vector<double>{7, 7, 7}));
  EXPECT_EQ(t.at("model.tied_a").raw(), t.at("model.tied_b").raw());
  EXPECT_EQ(doubles(t.at("model.rows"))[0], 6);
  EXPECT_EQ(t.at("model.rows").shape(), (Shape{2, 6}));
  EXPECT_EQ(t.at("model.scalar").item(), 2.5);
  EXPECT_EQ(t.at("model.empty").shape(), (Shape{0, 4}));
  EXPECT_EQ(doubles(t.at("model.parameter")), (std::vector<double>{0, 1}));
  EXPECT_EQ(doubles(t.at("optimizer.state.0.exp_avg")), (std::vector<double>{0, 1}));
  for (auto [name, dtype] : {std::pair{"f16", DType::f16},
                             {"bf16", DType::bf16},
                             {"f64", DType::f64},
                             {"i32", DType::i32},
                             {"u8", DType::u8}}) {
    const Tensor& x = t.at(std::string("model.") + name);
    EXPECT_EQ(x.dtype(), dtype) << name;
    EXPECT_EQ(doubles(x), (std::vector<double>{0, 1, 2})) << name;
  }
  EXPECT_EQ(doubles(t.at("model.i64")), (std::vector<double>{-1, 0, 1}));
  EXPECT_EQ(doubles(t.at("model.bool")), (std::vector<double>{1, 0}));
}

TEST(TorchFile, WholeObjectsAndOtherFormatsAreRefused) {
  EXPECT_ERROR(read_torch_file(golden("module.pth")), "'torch.nn.modules.container.Sequential'");
  EXPECT_ERROR(read_torch_file(golden("module.pth")), "torch.save(model.state_dict(), path)");
  EXPECT_ERROR(read_torch_file(golden("legacy.pth")), "before 1.6");
  EXPECT_ERROR(read_torch_file(golden("script.pth")), "TorchScript");
  EXPECT_ERROR(read_torch_file(golden("make_torch_files.py")), "not a file of torch.save");
  EXPECT_ERROR(read_torch_file("/nowhere.pth"), "/nowhere.pth");
  EXPECT_TRUE(is_zip_file(golden("state_dict.pth")));
  EXPECT_FALSE(is_zip_file(golden("legacy.pth")));
  EXPECT_FALSE(is_zip_file("/nowhere.pth"));
}

// Each prefix, and each file with one byte changed, gives tensors or an Error: nothing else.
TEST(TorchFile, DamageIsAnErrorOrHarmless) {
  const std::string whole = read_file(golden("checkpoint.pth"));
  size_t refused = 0;
  for (size_t n = 0; n < whole.size(); n += 7) {
    try {
      read_torch_file(bytes_of(whole.substr(0, n)), "cut");
      ADD_FAILURE() << "a file cut at " << n << " was read";
    } catch (const Error& e) { EXPECT_TRUE(e.message().starts_with("cut: ")) << e.message(); }
  }
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x41);
    try {
      read_torch_file(bytes_of(damaged), "damaged");
    } catch (const Error& e) {
      ++refused;
      EXPECT_TRUE(e.message().starts_with("damaged: ")) << e.message();
    }
  }
  EXPECT_GT(refused, whole.size() / 4);  // CRCs cover the pickle and the storages
}

// ---- The pickle's machine alone: here no CRC stands in the way.

std::string message(const std::string& pickle) {
  try {
    const Pickle p(bytes_of(pickle), "p");
  } catch (const Error& e) { return e.message(); }
  return "";
}

TEST(Pickle, Values) {
  const auto root = [](const std::string& s) {
    const Pickle p(bytes_of(s), "p");
    return p.root();
  };
  using Value = Pickle::Value;
  EXPECT_EQ(root("\x80\x02N.").kind, Value::none);
  EXPECT_EQ(root("\x88.").integer_value, 1);
  EXPECT_EQ(root("K\xff.").integer_value, 255);
  EXPECT_EQ(root(std::string("J\xff\xff\xff\xff.")).integer_value, -1);
  EXPECT_EQ(root("\x8a\x01\x80.").integer_value, -128);
  EXPECT_EQ(root(std::string("\x8a\x00.", 3)).integer_value, 0);
  EXPECT_EQ(root(std::string("G\x3f\xe0\0\0\0\0\0\0.", 10)).real_value, 0.5);
  EXPECT_EQ(root("\x8c\x02hi.").text_value, "hi");
  EXPECT_EQ(root("(K\x01K\x02t.").items.size(), 2u);
  EXPECT_EQ(root("}(K\x01K\x02K\x03K\x04u.").items.size(), 4u);
  EXPECT_EQ(root(std::string("]q\0(h\0h\0e.", 10)).items.size(), 2u);  // a list that contains itself twice
}

TEST(Pickle, WhatIsRefused) {
  EXPECT_NE(message("cos\nsystem\n(X\x04\0\0\0echotR.").find("'os.system'"), std::string::npos);
  EXPECT_NE(message("cbuiltins\neval\n.").find("holt runs nothing"), std::string::npos);
  EXPECT_NE(message("\x8c\x02os\x8c\x06system\x93.").find("'os.system'"), std::string::npos);
  EXPECT_NE(message("i").find("opcode 0x69"), std::string::npos);          // INST
  EXPECT_NE(message("\x81.").find("opcode 0x81"), std::string::npos);      // NEWOBJ
  EXPECT_NE(message("\x82\x01.").find("opcode 0x82"), std::string::npos);  // EXT1
  EXPECT_NE(message("").find("ends within"), std::string::npos);
  EXPECT_NE(message(".").find("stack is empty"), std::string::npos);
  EXPECT_NE(message("K\x01(0.").find("stack is empty"), std::string::npos);  // POP does not reach below a mark
  EXPECT_NE(message("t.").find("there is none"), std::string::npos);
  EXPECT_NE(message("h\x05.").find("never set"), std::string::npos);
  EXPECT_NE(message("NK\x01"
                    "a.")
                .find("no list"),
            std::string::npos);
  EXPECT_NE(message("}(K\x01u.").find("key without a value"), std::string::npos);
  EXPECT_NE(message("NNb.").find("attributes"), std::string::npos);
  EXPECT_NE(message("N)R.").find("no name"), std::string::npos);
  EXPECT_NE(message("ctorch\nFloatStorage\n)R.").find("a call of"), std::string::npos);
  EXPECT_NE(message("\x80\x09.").find("protocol 9"), std::string::npos);
  EXPECT_NE(message("X\xff\xff\xff\xff.").find("ends within"), std::string::npos);
  EXPECT_NE(message("NQ.").find("torch.save"), std::string::npos);
  EXPECT_NE(message("ctorch._utils\n_rebuild_tensor_v2\n(NNNNNNtR.").find("a tensor"), std::string::npos);
}

TEST(Pickle, ObjectsAreCounted) { EXPECT_NE(message(std::string(3'000'000, 'N')).find("objects"), std::string::npos); }

}  // namespace
}  // namespace holt
