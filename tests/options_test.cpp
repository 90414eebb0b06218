// The options of methods: text in, text out, ranges, JSON.
#include "transfer/options.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "nn/optim.h"
#include "tests/harness/expect_error.h"
#include "tests/harness/json.h"

namespace holt::transfer {
namespace {

using Json = nlohmann::json;
constexpr int kInteger = 0, kNumber = 1, kFlag = 2, kText = 3;  // alternatives of OptionInfo::Member

// Two legal values of each option, neither its standard one.
std::vector<std::string> values(const OptionInfo& info) {
  switch (info.member.index()) {
    case kInteger:
      return {"7", "3"};
    case kNumber:
      return {"0.123456789012345", "0.9"};
    case kFlag:
      return {"true", "false"};
    default:
      return info.words.empty() ? std::vector<std::string>{"-2.5", "none"} : info.words;
  }
}

TEST(OptionsTest, EveryOptionGoesInAndComesOut) {
  for (const OptionInfo& info : option_table())
    for (const std::string& value : values(info)) {
      Options o;
      set(o, info.name, value);
      EXPECT_EQ(get(o, info.name), value) << info.name;
      for (const OptionInfo& other : option_table())
        EXPECT_TRUE(other.name == info.name || get(o, other.name) == get(Options{}, other.name)) << info.name;
      Options again;
      for (const OptionInfo& each : option_table()) set(again, each.name, get(o, each.name));
      EXPECT_EQ(again, o) << info.name;
    }
}

TEST(OptionsTest, TheTableHasEveryMember) {
  // One option at a time, to another value: each must make a difference to ==, and each name stand once.
  std::set<std::string> names;
  size_t bytes = 0;
  for (const OptionInfo& info : option_table()) {
    EXPECT_TRUE(names.insert(info.name).second) << info.name;
    EXPECT_FALSE(info.help.empty());
    Options o;
    for (const std::string& value : values(info))
      if (value != get(o, info.name)) {
        set(o, info.name, value);
        break;
      }
    EXPECT_FALSE(o == Options{}) << info.name;
    bytes += info.member.index() == kText ? sizeof(std::string) : 8;  // flags are padded
  }
  EXPECT_GE(bytes, sizeof(Options));  // a member that the table lacks would make the struct larger
}

TEST(OptionsTest, TheStandardValuesAreTheMethodsDocumented) {
  const std::pair<const char*, const char*> documented[] = {{"steps", "100"},
                                                            {"batch", "32"},
                                                            {"lr", "0.005"},
                                                            {"momentum", "0.9"},
                                                            {"nesterov", "true"},
                                                            {"weight-decay", "0"},
                                                            {"lolsgd.locals", "4"},
                                                            {"lolsgd.keep", "0.5"},
                                                            {"lolsgd.rounds", "20"},
                                                            {"lolsgd.local-steps", "5"},
                                                            {"lolsgd.lr", "1"},
                                                            {"lolsgd.bn", "average"},
                                                            {"lolsgd.momentum", "reset"},
                                                            {"distill.weight", "0.1"},
                                                            {"distill.temperature", "1"},
                                                            {"rank.weight", "3"},
                                                            {"rank.kind", "frobenius"},
                                                            {"l2sp.weight", "0.3"},
                                                            {"frozen-bn.lr", "0.001"},
                                                            {"seen-softmax.tau", "1"},
                                                            {"seen-softmax.unseen-margin", "none"},
                                                            {"align.steps", "100"},
                                                            {"align.lr", "0.01"},
                                                            {"align.tau", "0.5"},
                                                            {"gate.beta", "0.5"},
                                                            {"gate.shrink", "0.1"}};
  for (const auto& [name, value] : documented) EXPECT_EQ(get(Options{}, name), value) << name;
}

TEST(OptionsTest, Ranges) {
  for (const OptionInfo& info : option_table()) {
    if (info.member.index() == kText || info.member.index() == kFlag) continue;
    const bool whole = info.member.index() == kInteger;
    const auto text = [&](double x) { return whole ? format("{}", static_cast<int64_t>(x)) : format("{}", x); };
    Options o;
    set(o, info.name, text(info.low));
    set(o, info.name, text(info.high));
    const Options before = o;
    EXPECT_ERROR(set(o, info.name, text(info.low - 1)), "option " + info.name);
    EXPECT_ERROR(set(o, info.name, text(info.high * 2)), "is outside");
    for (const char* bad : {"", "x", "1x", " 1", "1 ", "nan", "inf", "-inf", "1e999", "0x10", "1,5"})
      EXPECT_ERROR(set(o, info.name, bad), "option " + info.name);
    if (whole) EXPECT_ERROR(set(o, info.name, "1.5"), "is no whole number");
    if (whole) EXPECT_ERROR(set(o, info.name, "99999999999999999999"), "option " + info.name);
    EXPECT_EQ(o, before) << info.name << ": a value that was refused left a trace";
  }
}

TEST(OptionsTest, WordsAndFlags) {
  Options o;
  const Options before = o;
  EXPECT_ERROR(set(o, "nesterov", "yes"), "write true or false, not 'yes'");
  EXPECT_ERROR(set(o, "schedule", "linear"), "'linear' is not one of constant, cosine");
  EXPECT_ERROR(set(o, "rank.kind", ""), "not one of frobenius, logdet, nuclear");
  for (const char* bad : {"", "x", "nan", "inf", "1e39", "1e300", "None", "1 "})
    EXPECT_ERROR(set(o, "seen-softmax.unseen-margin", bad), "write a number, or none");
  EXPECT_EQ(o, before);
}

TEST(OptionsTest, UnknownNames) {
  Options o;
  EXPECT_ERROR(set(o, "learning-rate", "1"), "option 'learning-rate' is unknown; known are steps, batch, lr");
  EXPECT_ERROR(set(o, "momentun", "1"), "did you mean 'momentum'?");
  EXPECT_ERROR(set(o, "lolsgd.localsteps", "1"), "did you mean 'lolsgd.local-steps'?");
  EXPECT_ERROR(get(o, "LR"), "option 'LR' is unknown");
  EXPECT_ERROR(set(o, "", "1"), "option '' is unknown");
}

// What the table allows, the optimiser takes: no plan fails at its first step.
TEST(OptionsTest, SgdTakesEveryMomentum) {
  for (const double momentum : {option_info("momentum").low, option_info("momentum").high}) {
    Options o;
    set(o, "momentum", format("{}", momentum));
    const Tensor x = zeros({1}).requires_grad_();
    nn::SGD({{"x", x}}, {.lr = o.lr, .momentum = o.momentum});
  }
}

TEST(OptionsTest, JsonIsComplete) {
  Options o;
  for (const OptionInfo& info : option_table()) set(o, info.name, values(info).front());
  const Json j = o;
  EXPECT_EQ(j.size(), option_table().size());
  EXPECT_EQ(parse_json(json_text(j)).get<Options>(), o);
  for (const OptionInfo& info : option_table()) {
    Json without = j;
    without.erase(info.name);
    EXPECT_THROW(without.get<Options>(), Json::exception) << info.name;
    Json mistyped = j;
    mistyped[info.name] = Json::array();
    EXPECT_THROW(mistyped.get<Options>(), Json::exception) << info.name;
  }
}

}  // namespace
}  // namespace holt::transfer
