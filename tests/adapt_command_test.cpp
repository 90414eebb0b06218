// `holt adapt` and `holt predict` as a person uses them: a model of a few steps, a folder of glyphs written by hand, in
// PNG files.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "data/class_folder.h"
#include "data/glyphs.h"
#include "kernels/file.h"
#include "nn/models/registry.h"
#include "nn/optim.h"
#include "nn/state_file.h"
#include "nn/train_loop.h"
#include "tests/harness/expect_error.h"
#include "tests/harness/expect_text.h"
#include "tests/harness/json.h"
#include "tests/harness/program.h"
#include "transfer/adapt.h"

namespace holt {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using test::Arguments, test::Result, test::holt_run, test::operator+;

constexpr int64_t kSide = data::kGlyphSide;
const std::vector<std::string> kNames = {"A/B", "C", "D", "E", "F", "G"};
constexpr int64_t kFirst = 10;  // glyphs: 0 … 9, then A

// Glyphs of the first six letters in one font.
data::Dataset letters(const data::GlyphFont& font, int64_t each) {
  const std::vector<uint8_t> masters = data::glyph_masters(font);
  const int64_t n = std::ssize(kNames) * each, pixels = kSide * kSide;
  data::Dataset d{font.name, empty({n, kSide, kSide, 1}, DType::u8), empty({n}, DType::i64), kNames};
  std::vector<float> sample(pixels);
  for (int64_t i = 0; i < n; ++i) {
    const int64_t label = i % std::ssize(kNames), glyph = kFirst + label;
    data::warp_glyph(data::glyph_warp(1, font.name, data::Part::train, glyph, i),
                     masters.data() + glyph * data::kGlyphMasterSide * data::kGlyphMasterSide, sample.data());
    for (int64_t p = 0; p < pixels; ++p)
      d.images.data<uint8_t>()[i * pixels + p] = static_cast<uint8_t>(sample[static_cast<size_t>(p)] * 255 + 0.5f);
    d.labels.data<int64_t>()[i] = label;
  }
  return d;
}

class AdaptCommand : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    setenv("OMP_NUM_THREADS", "1", 1);
    folder_ = fs::temp_directory_path() / format("holt_adapt_command_test.{}", getpid());
    fs::create_directories(folder_);
    const auto& fonts = data::glyph_fonts();
    const auto hand = std::find_if(fonts.begin(), fonts.end(), [](auto& f) { return f.target; });

    const nn::Usage usage{kNames, {0.2f}, {0.35f}};
    const data::Loader loader(letters(*std::find_if(fonts.begin(), fonts.end(), [](auto& f) { return !f.target; }), 8),
                              {.batch = 48, .shuffle = true, .prefetch = 0, .normalize = {usage.mean, usage.std}});
    Generator generator(1);
    nn::ModelConfig config = nn::parse_model("resnet8:stem_stride=2");
    config.classes = std::ssize(kNames);
    const auto model = nn::make_model(config, generator);
    nn::SGD sgd(model->named_parameters(), {.lr = 0.05, .momentum = 0.9});
    nn::Scores scores;
    for (int64_t epoch = 0; epoch < 12; ++epoch)
      for (auto batches = loader.epoch(epoch); auto b = batches.next();)
        nn::train_step(*model, sgd, b->images, b->labels, scores);
    nn::save_model(path("model"), *model, nn::to_metadata(usage));

    const data::Dataset d = letters(*hand, 6);
    for (int64_t i = 0; i < d.size(); ++i) {
      const int64_t label = d.labels.data<int64_t>()[i];
      const fs::path file = folder_ / (label < 3 ? "seen" : "missing") /
                            (label == 0 ? "A_B" : kNames[static_cast<size_t>(label)]) / format("{}.png", i);
      fs::create_directories(file.parent_path());
      const uint8_t* pixels = d.images.data<uint8_t>() + i * kSide * kSide;
      data::write_png(file.string(), {kSide, kSide, 1, {pixels, pixels + kSide * kSide}});
    }
  }
  static void TearDownTestSuite() { fs::remove_all(folder_); }
  static std::string path(const std::string& name) { return (folder_ / name).string(); }
  static Arguments adapt(const std::string& out) {
    return {"adapt", "--model", path("model"), "--data",        path("seen"), "--out",   path(out),
            "--set", "steps=6", "--set",       "align.steps=4", "--set",      "batch=16"};
  }
  // Adapts unless it was done before.
  static std::string adapted() {
    if (!fs::exists(path("adapted"))) {
      const Result r = holt_run(adapt("adapted"));
      EXPECT_EQ(r.code, 0) << r.err;
    }
    return path("adapted");
  }
  // A copy of the folder of seen classes.
  static std::string copy_of_seen(const std::string& name) {
    fs::remove_all(path(name));
    fs::copy(path("seen"), path(name), fs::copy_options::recursive);
    return path(name);
  }
  static inline fs::path folder_;
};

TEST_F(AdaptCommand, SaysWhatItDoes) {
  const Result r = holt_run(adapt("told"));
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_HAS(r.out, "18 images, 6 of each class, each taken whole");
  EXPECT_HAS(r.out, "seen     3 classes: A/B, C, D");
  EXPECT_HAS(r.out, "missing  3 classes: E, F, G");
  EXPECT_HAS(r.out, "adapted  by holt");
  EXPECT_HAS(r.out, "6 steps at lr 0.005, batch 16");
  EXPECT_HAS(r.out, "accuracy on these images:");
  EXPECT_HAS(r.out, "Next: holt predict --model " + path("told"));
  EXPECT_FALSE(fs::exists(path("told.lock")));
  const transfer::LoadedClassifier loaded = transfer::load_classifier(path("told"));
  EXPECT_TRUE(loaded.classifier.correction);
  EXPECT_TRUE(loaded.classifier.gate);
  EXPECT_EQ(loaded.classifier.seen, (std::vector<int64_t>{0, 1, 2}));
  EXPECT_EQ(loaded.metadata.at("transfer.method"), "holt");
  EXPECT_EQ(parse_json(loaded.metadata.at("transfer.options")).at("steps"), 6);
}

TEST_F(AdaptCommand, IsAFunctionOfItsSeed) {
  const auto bytes = [](const std::string& out, const Arguments& more) {
    const Result r = holt_run(adapt(out) + more);
    EXPECT_EQ(r.code, 0) << r.err;
    return read_file(path(out));
  };
  const std::string first = bytes("seed1", {"--seed", "1"});
  EXPECT_EQ(first, bytes("seed1", {"--seed", "1", "--overwrite"}));
  EXPECT_NE(first, bytes("seed1", {"--seed", "2", "--overwrite"}));
}

// γ and the options that were chosen are in the file, and used.
TEST_F(AdaptCommand, Calibrates) {
  for (const std::string mode : {"alg", "pcv"}) {
    const Result r = holt_run(adapt("gamma-" + mode) + Arguments{"--method", "sgd", "--calibrate", mode});
    ASSERT_EQ(r.code, 0) << r.err;
    EXPECT_HAS(r.out, "by " + mode);
    const double gamma = transfer::load_classifier(path("gamma-" + mode)).classifier.gamma;
    EXPECT_TRUE(std::isfinite(gamma));
    EXPECT_HAS(r.out, format("γ        {:.3f}", gamma));
  }
  transfer::LoadedClassifier c = transfer::load_classifier(path("gamma-alg"));
  const auto says = [&](const std::string& name, double gamma, const Arguments& more = {}) {
    c.classifier.gamma = gamma;
    transfer::save_classifier(path(name), c.classifier, c.usage);
    const Result r = holt_run(Arguments{"predict", path("seen"), "--top", "1", "--json", "--model", path(name)} + more);
    EXPECT_EQ(r.code, 0) << r.err;
    return r.out;
  };
  const auto missing = [](const std::string& out) {
    int64_t count = 0;
    std::istringstream lines(out);
    for (std::string line; std::getline(lines, line);) {
      const std::string name = parse_json(line).at("predictions").at(0).at("class");
      count += name == "E" || name == "F" || name == "G";
    }
    return count;
  };
  EXPECT_EQ(missing(says("gamma-100", 100)), 18);
  EXPECT_EQ(missing(says("gamma-minus", -100)), 0);
  EXPECT_EQ(says("gamma-100", 100, {"--no-calibration"}), says("gamma-0", 0));
  const Result r = holt_run({"adapt", "--model", path("gamma-100"), "--data", path("seen"), "--out", path("twice")});
  EXPECT_EQ(r.code, 1);
  EXPECT_HAS(r.err, "adapted already");
}

TEST_F(AdaptCommand, SelectsOptions) {
  const Result r = holt_run(adapt("selected") + Arguments{"--method", "l2sp", "--select", "pcv", "--set", "steps=2"});
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_HAS(r.out, "chose    lr = ");
  EXPECT_EQ(transfer::load_classifier(path("selected")).metadata.at("transfer.selection"), "pcv");
}

TEST_F(AdaptCommand, AllClassesAreForTheOracle) {
  const std::string all = copy_of_seen("all");
  fs::copy(path("missing"), all, fs::copy_options::recursive);
  const Arguments go = {"adapt", "--model", path("model"), "--data", all, "--out", path("oracle"), "--set", "steps=2"};
  const Result r = holt_run(go);
  EXPECT_EQ(r.code, 1);
  EXPECT_HAS(r.err, "all 6 classes, so that nothing is missing; use plain fine-tuning: --method oracle");
  EXPECT_FALSE(fs::exists(path("oracle")));
  const Result oracle = holt_run(go + Arguments{"--method", "oracle"});
  EXPECT_EQ(oracle.code, 0) << oracle.err;
  EXPECT_EQ(holt_run(go + Arguments{"--method", "oracle", "--overwrite", "--calibrate", "alg"}).code, 1);
}

TEST_F(AdaptCommand, Data) {
  const auto fails = [](const std::string& data, const std::string& part) {
    const Result r = holt_run({"adapt", "--model", path("model"), "--data", data, "--out", path("never")});
    EXPECT_EQ(r.code, 1) << r.out;
    EXPECT_HAS(r.err, part);
    EXPECT_FALSE(fs::exists(path("never")));
    EXPECT_FALSE(fs::exists(path("never.lock")));
  };
  fails(path("nowhere"), "is no folder");
  fails(path("seen/C"), "lies beside the class folders");
  const std::string data = copy_of_seen("data");
  fs::rename(data + "/A_B", data + "/A_BB");
  fails(data, "1 of the 3 folders in " + data + " are no class of the model: 'A_BB' (is it 'A_B'?); its 6 classes are");
  fs::rename(data + "/A_BB", data + "/A_B");
  fs::create_directories(data + "/E");
  fails(data, "holds no image; remove the folder, and the class counts as missing");
  std::ofstream(data + "/E/0.png") << "no picture";
  fails(data, "E/0.png");
  fails(data, "--skip-corrupt");
  const Arguments lenient = {"adapt", "--model", path("model"), "--data",
                             data,    "--out",   path("never"), "--skip-corrupt"};
  const Result none = holt_run(lenient);
  EXPECT_EQ(none.code, 1);
  EXPECT_HAS(none.err, "no image of the class 'E'");
  fs::rename(data + "/E/0.png", data + "/C/broken.png");
  fs::remove(data + "/E");
  const Result some = holt_run(adapt("lenient") + Arguments{"--data", data, "--skip-corrupt"});
  EXPECT_EQ(some.code, 0) << some.err;
  EXPECT_HAS(some.out, "left out: " + data + "/C/broken.png");
  EXPECT_HAS(some.out, "18 images");
  fs::create_directories(data + "/C/deeper");
  fails(data, "is a folder inside a class");
  fs::create_directories(path("empty"));
  fails(path("empty"), "holds no class folders");
}

TEST_F(AdaptCommand, OneSeenClass) {
  fs::create_directories(path("one"));
  fs::copy(path("seen") + "/C", path("one") + "/C", fs::copy_options::recursive);
  const Arguments go = adapt("one.safetensors") + Arguments{"--data", path("one")};
  const Result r = holt_run(go + Arguments{"--calibrate", "pcv"});
  EXPECT_EQ(r.code, 1);
  EXPECT_HAS(r.err, "has images of one only");
  EXPECT_EQ(holt_run(go).code, 0);
}

// Whatever goes wrong, what was there stays.
TEST_F(AdaptCommand, Output) {
  write_atomically(path("precious"), "mine");
  const auto fails = [](const Arguments& more, const std::string& part) {
    const Result r = holt_run(adapt("precious") + more);
    EXPECT_EQ(r.code, 1) << r.out;
    EXPECT_HAS(r.err, part);
    EXPECT_EQ(read_file(path("precious")), "mine");
  };
  fails({}, "exists; --overwrite replaces it");
  fails({"--overwrite", "--method", "sgd", "--set", "lr=1e12"}, "the loss is");
  fails({"--overwrite", "--method", "lol-sgd"}, "did you mean 'lolsgd'?");
  fails({"--overwrite", "--set", "stps=3"}, "option 'stps' is unknown");
  fails({"--overwrite", "--model", path("seen/C/1.png")}, "1.png");
  fails({"--overwrite", "--model", path("nothing")}, "there is no model");
  fails({"--overwrite", "--calibrate", "alg"}, "the gate of 'holt' lowers the seen ones");
  fails({"--out", path("model"), "--overwrite"}, "is the model itself");
  fails({"--out", path("seen")}, "is a folder");
  fails({"--out", path("no/where")}, "there is no folder");
  fails({"--out", "/proc/adapted"}, "cannot write /proc/adapted");
  const int lock = open(path("precious.lock").c_str(), O_CREAT | O_RDWR, 0666);
  ASSERT_EQ(flock(lock, LOCK_EX | LOCK_NB), 0);
  fails({"--overwrite"}, "another process is making");
  close(lock);
  EXPECT_EQ(holt_run(adapt("precious") + Arguments{"--overwrite"}).code, 0);
  EXPECT_NE(read_file(path("precious")), "mine");
  EXPECT_EQ(holt_run({"adapt", "--model", path("model")}).code, 1);
  EXPECT_EQ(holt_run(adapt("x") + Arguments{"--select", "oracle"}).code, 2);
}

TEST_F(AdaptCommand, Predicts) {
  const std::string model = adapted(), image = path("seen/C/1.png");
  const Result one = holt_run({"predict", "--model", model, image, "--json", "--top", "9"});
  ASSERT_EQ(one.code, 0) << one.err;
  const Json j = parse_json(one.out);
  EXPECT_EQ(j.at("image"), image);
  ASSERT_EQ(j.at("predictions").size(), kNames.size());
  double sum = 0;
  for (const Json& p : j.at("predictions")) sum += p.at("probability").get<double>();
  EXPECT_NEAR(sum, 1, 1e-9);

  // What the program says is what the library says.
  const transfer::LoadedClassifier c = transfer::load_classifier(model);
  const data::Dataset d = data::load_image_files("one", {{image, 0}}, kNames, {.frame = transfer::input_frame(c)});
  const auto guesses = transfer::predict(c.classifier, d, {c.usage.mean, c.usage.std}, Device::cpu, 1);
  EXPECT_EQ(j.at("predictions").at(0).at("class"), kNames[static_cast<size_t>(guesses[0][0].label)]);
  EXPECT_NEAR(j.at("predictions").at(0).at("probability").get<double>(), guesses[0][0].probability, 1e-6);

  const Result plain = holt_run({"predict", "--model", path("model"), path("seen"), image, "--top", "2"});
  ASSERT_EQ(plain.code, 0) << plain.err;
  EXPECT_EQ(std::count(plain.out.begin(), plain.out.end(), '\n'), 19);
  EXPECT_HAS(plain.out, image);
  EXPECT_HAS(plain.out, " %");
}

TEST_F(AdaptCommand, PredictsTheRest) {
  const std::string model = adapted(), image = path("seen/C/1.png");
  write_atomically(path("broken.png"), "no picture");
  write_atomically(path("list.txt"), image + "\r\n\n" + path("broken.png") + "\n" + path("absent.png") + "\n" + image);
  const Result r = holt_run({"predict", "--model", model, "--list", path("list.txt"), "--json"});
  EXPECT_EQ(r.code, 1);
  EXPECT_HAS(r.err, "broken.png: no image format that is known");
  EXPECT_HAS(r.err, "absent.png");
  EXPECT_HAS(r.err, "2 of 4 images could not be read");
  std::istringstream lines(r.out);
  std::vector<Json> parsed;
  for (std::string line; std::getline(lines, line);) parsed.push_back(parse_json(line));
  ASSERT_EQ(parsed.size(), 4u);
  EXPECT_EQ(parsed[0], parsed[3]);
  EXPECT_TRUE(parsed[1].contains("error"));
  EXPECT_EQ(parsed[2].at("image"), path("absent.png"));

  fs::create_directories(path("nothing-here"));
  const auto fails = [&](const Arguments& arguments, int code, const std::string& part) {
    const Result f = holt_run({Arguments{"predict", "--model", model} + arguments});
    EXPECT_EQ(f.code, code) << f.out;
    EXPECT_HAS(f.err, part);
  };
  fails({path("broken.png")}, 1, "1 of 1 images could not be read");
  fails({}, 1, "name images");
  fails({path("nothing-here")}, 1, "there are no images in");
  fails({"--list", path("nowhere")}, 1, "nowhere");
  fails({image, "--top", "0"}, 2, "must be at least 1");
}

}  // namespace
}  // namespace holt
