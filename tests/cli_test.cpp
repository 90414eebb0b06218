// The `holt` program as a person uses it: started as a process, on a small data set in the true format that is made
// here.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <thread>

#include "core/safetensors.h"
#include "kernels/error.h"
#include "kernels/philox.h"
#include "kernels/stream.h"
#include "tests/harness/expect_text.h"
#include "tests/harness/idx_header.h"
#include "tests/harness/json.h"
#include "tests/harness/program.h"

namespace holt {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using test::Arguments, test::Process, test::Result, test::holt_run, test::kProgram, test::operator+;

std::string bytes_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in) << path;
  return {std::istreambuf_iterator<char>(in), {}};
}
void write(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

class CliTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    setenv("OMP_NUM_THREADS", "1", 1);  // for the programs: other tests run beside this one
    folder_ = fs::temp_directory_path() / format("holt_cli_test.{}", getpid());
    fs::create_directories(folder_ / "data");
    write_part("train", 400, 1);
    write_part("t10k", 120, 2);
  }
  static void TearDownTestSuite() { fs::remove_all(folder_); }

  // Noise over bright bars, mirror images of themselves, whose place tells the class: learnt in a few steps.
  static void write_part(const std::string& part, int n, uint64_t seed) {
    std::string images = test::idx_header({n, 28, 28}), labels = test::idx_header({n});
    for (int i = 0; i < n; ++i) {
      const int k = i % 10;
      labels += static_cast<char>(k);
      for (int y = 0; y < 28; ++y)
        for (int x = 0; x < 28; ++x) {
          const bool middle = x >= 7 && x < 21, inside = y * 5 / 28 == k / 2 && middle == (k % 2 == 0);
          const uint32_t noise = philox(seed, 0, (i * 28 + y) * 28 + x).v[0] % 80;
          images += static_cast<char>(noise + (inside ? 150 : 0));
        }
    }
    write(folder_ / "data" / (part + "-images-idx3-ubyte"), images);
    write(folder_ / "data" / (part + "-labels-idx1-ubyte"), labels);
  }

  static std::string data() { return (folder_ / "data").string(); }
  static std::string out(const std::string& name) { return (folder_ / name).string(); }
  // `holt train` of a LeNet with dropout, shifts and mirrors: everything random that there is.
  static Arguments train(const std::string& run, const Arguments& more = {}) {
    return Arguments{"train",    "--data-dir", data(),    "--out", out(run), "--model", "lenet:dropout=0.2",
                     "--epochs", "3",          "--batch", "32",    "--lr",   "0.05",    "--pad",
                     "2"} +
           more;
  }
  static Arguments resume(const std::string& run) {
    return {"train", "--resume", "--data-dir", data(), "--out", out(run)};
  }
  // The log without its times.
  static std::vector<Json> log_of(const std::string& run) {
    std::ifstream in(folder_ / run / "log.jsonl");
    std::vector<Json> lines;
    for (std::string line; std::getline(in, line);) {
      lines.push_back(parse_json(line));
      lines.back().erase("seconds");
      lines.back().erase("images_per_second");
    }
    return lines;
  }
  static void expect_same_run(const std::string& a, const std::string& b) {
    EXPECT_EQ(log_of(a), log_of(b));
    for (const char* file : {"model.safetensors", "checkpoint.safetensors"})
      EXPECT_TRUE(bytes_of(folder_ / a / file) == bytes_of(folder_ / b / file)) << file << " of " << a << " and " << b;
  }
  // The uninterrupted run that others are compared with; trained once.
  static const std::string& reference() {
    static const std::string name = [] {
      const Result r = holt_run(train("reference"));
      EXPECT_EQ(r.code, 0) << r.err;
      EXPECT_HAS(r.out, "done in");
      return "reference";
    }();
    return name;
  }
  static void expect_fails(const Arguments& arguments, int code, const std::string& says) {
    const Result r = holt_run(arguments);
    std::string line;
    for (const std::string& a : arguments) line += " " + a;
    EXPECT_EQ(r.code, code) << line << "\n" << r.out << r.err;
    EXPECT_TRUE(r.err.starts_with("holt: ")) << line << "\n" << r.err;
    EXPECT_NE(r.err.find(says), std::string::npos) << line << "\n" << r.err;
  }

  static inline fs::path folder_;
};

TEST_F(CliTest, HelpOfEveryCommand) {
  const Result top = holt_run({"--help"});
  EXPECT_EQ(top.code, 0);
  for (const char* part : {"Usage: holt COMMAND", "train", "eval", "info", "Examples:"}) EXPECT_HAS(top.out, part);
  const Result train = holt_run({"train", "--help"});
  EXPECT_EQ(train.code, 0);
  for (const char* part : {"--epochs N", "[128]", "resnet8", "Run folder:", "Examples:", "--resume", "Ctrl-C"})
    EXPECT_HAS(train.out, part);
  for (const char* command : {"eval", "info"}) {
    const Result r = holt_run({command, "-h"});
    EXPECT_EQ(r.code, 0);
    EXPECT_HAS(r.out, "Examples:");
  }
  EXPECT_HAS(holt_run({"--version"}).out, "holt 0.");
  const Result none = holt_run({});
  EXPECT_EQ(none.code, 2);
  EXPECT_HAS(none.err, "Usage: holt COMMAND");
}

TEST_F(CliTest, UsageErrors) {
  const std::pair<Arguments, std::string> wrong[] = {
      {{"trian"}, "did you mean 'train'?"},
      {{"train", "--epohs", "3"}, "unknown option '--epohs'; did you mean '--epochs'?"},
      {{"train", "--opt=sgd"}, "did you mean '--optimizer'?"},
      {{"train", "stray"}, "unexpected word 'stray'"},
      {{"train", "--batch"}, "--batch needs one value"},
      {{"train", "--batch", "0"}, "--batch: must be at least 1, got 0"},
      {{"train", "--batch", "1.5"}, "expected an integer, got '1.5'"},
      {{"train", "--epochs", "0"}, "--epochs: must be at least 1"},
      {{"train", "--lr", "-1"}, "--lr: must be greater than 0, got -1"},
      {{"train", "--lr", "nan"}, "expected a number, got 'nan'"},
      {{"train", "--lr", "fast"}, "expected a number, got 'fast'"},
      {{"train", "--momentum", "1.5"}, "must be at most 1, got 1.5"},
      {{"train", "--seed", "-1"}, "must be at least 0, got -1"},
      {{"train", "--model", "resnet9"}, "did you mean 'resnet8'?"},
      {{"train", "--data", "fasion"}, "did you mean 'fashion'?"},
      {{"train", "--optimizer", "adam"}, "did you mean 'adamw'?"},
      {{"train", "--schedule", "linear"}, "expected cosine, step or constant, got 'linear'"},
      {{"train", "--device", "gpu"}, "expected cpu, simt, cuda or cuda:N, got 'gpu'"},
      {{"train", "--resume", "--overwrite"}, "excludes"},
      {{"eval", "--part", "val"}, "expected test or train"},
      {{"info", "--peak"}, "did you mean '--peaks'?"},
      {{"--foo"}, "unknown option '--foo'"},
  };
  for (const auto& [arguments, says] : wrong) expect_fails(arguments, 2, says);
}

TEST_F(CliTest, TrainsTestsAndEvaluates) {
  const std::vector<Json> log = log_of(reference());
  ASSERT_EQ(log.size(), 3u);
  EXPECT_EQ(log[2].at("epoch"), 3);
  EXPECT_EQ(log[2].at("step"), 3 * 13);
  EXPECT_GT(log[2].at("test_accuracy").get<double>(), 0.9);
  // The saved model has the accuracy that training reported; the last checkpoint is the same model.
  for (const char* file : {"", "/model.safetensors", "/checkpoint.safetensors"}) {
    const Result r = holt_run({"eval", "--model", out(reference()) + file, "--data-dir", data(), "--json"});
    ASSERT_EQ(r.code, 0) << r.err;
    const Json j = parse_json(r.out);
    EXPECT_EQ(j.at("accuracy"), log[2].at("test_accuracy"));
    EXPECT_NEAR(j.at("loss").get<double>(), log[2].at("test_loss").get<double>(), 1e-6);
    EXPECT_EQ(j.at("samples"), 120);
    EXPECT_EQ(j.at("classes").size(), 10u);
  }
  EXPECT_HAS(holt_run({"eval", "--model", out(reference()), "--data-dir", data()}).out, "Ankle boot");
}

TEST_F(CliTest, TheSameSeedTheSameRun) {
  reference();
  ASSERT_EQ(holt_run(train("again")).code, 0);
  expect_same_run("again", reference());
  ASSERT_EQ(holt_run(train("seed", {"--seed", "1"})).code, 0);
  EXPECT_NE(log_of("seed"), log_of(reference()));
}

// Frozen parameters end as the seed drew them, the others do not; and a resumed run keeps them frozen.
TEST_F(CliTest, FreezesLayers) {
  const Arguments some = {"--freeze", "conv1.*,fc*.weight", "--lr", "0.1"};
  EXPECT_HAS(holt_run(train("frozen", some + Arguments{"--max-steps", "1"})).out, "5 of 10 parameter tensors");
  {
    Process p(train("longer", some), kProgram);
    ASSERT_TRUE(p.wait_for("epoch 1/3  train loss"));
    p.send(SIGKILL);
    p.finish();
  }
  ASSERT_EQ(holt_run(resume("longer")).code, 0);
  const auto weights = [](const std::string& run) { return read_safetensors(out(run) + "/model.safetensors").tensors; };
  const auto a = weights("frozen"), b = weights("longer");
  for (const auto& [name, tensor] : a) {
    const bool frozen = name.starts_with("conv1.") || (name.starts_with("fc") && name.ends_with(".weight"));
    EXPECT_EQ(tensor.to_vector<float>() == b.at(name).to_vector<float>(), frozen) << name;
  }
  expect_fails(train("frozen-whole", {"--freeze", "*"}), 1, "leaves nothing to train");
  expect_fails(train("frozen-nothing", {"--freeze", "conv9.*"}), 1, "the nearest are conv1.*");
}

// kill -9 after the first epoch, then --resume: as if nothing had been.
TEST_F(CliTest, ResumesAfterAKill) {
  {
    Process p(train("killed"), kProgram);
    ASSERT_TRUE(p.wait_for("epoch 1/3  train loss"));
    p.send(SIGKILL);
    EXPECT_EQ(p.finish().code, 128 + SIGKILL);
  }
  const Result r = holt_run(resume("killed"));
  ASSERT_EQ(r.code, 0) << r.err;
  EXPECT_HAS(r.out, "continuing in epoch");
  expect_same_run("killed", reference());
}

// Ctrl-C in the middle of each epoch, and a polite kill: saved, told how to go on, and the result is the same.
TEST_F(CliTest, ResumesAfterCtrlC) {
  Arguments arguments = train("stopped");
  for (const auto& [line, signal] : {std::pair{"epoch 1/3   4/13", SIGINT}, {"epoch 2/3   7/13", SIGTERM}}) {
    Process p(arguments, kProgram);
    ASSERT_TRUE(p.wait_for(line));
    p.send(signal);
    const Result r = p.finish();
    if (r.code != 0) {  // on a busy machine the run may be over before the signal comes
      EXPECT_EQ(r.code, 128 + signal) << r.err;
      EXPECT_HAS(r.out, "holt train --resume --out " + out("stopped"));
      EXPECT_FALSE(fs::exists(out("stopped") + "/model.safetensors"));
    }
    arguments = resume("stopped");
  }
  ASSERT_EQ(holt_run(arguments).code, 0);
  expect_same_run("stopped", reference());
}

TEST_F(CliTest, SecondCtrlCEndsAtOnce) {
  // The emulated GPU is so slow that the first step is still running when the second signal comes.
  Process p(train("impatient", {"--device", "simt", "--model", "resnet8"}), kProgram);
  ASSERT_TRUE(p.wait_for("steps"));
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  p.send(SIGINT);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  p.send(SIGINT);
  const Result r = p.finish();
  EXPECT_EQ(r.code, 130);
  EXPECT_EQ(r.out.find("Continue with"), std::string::npos);
}

TEST_F(CliTest, AnExistingRunIsNotTouched) {
  reference();
  fs::copy(out(reference()), out("kept"), fs::copy_options::recursive);
  expect_fails(train("kept"), 1, "continue it with --resume, replace it with --overwrite");
  expect_fails(resume("kept") + Arguments{"--lr", "0.2"}, 1, "--lr 0.2 differs");
  expect_fails(resume("kept") + Arguments{"--model", "resnet8"}, 1, "--model \"resnet8\" differs");
  expect_same_run("kept", reference());
  const Result r = holt_run(resume("kept") + Arguments{"--lr", "0.05"});  // agreeing is allowed
  EXPECT_EQ(r.code, 0);
  EXPECT_HAS(r.out, "this run is finished");
  expect_same_run("kept", reference());
  ASSERT_EQ(holt_run(train("kept", {"--overwrite", "--epochs", "1"})).code, 0);
  EXPECT_EQ(log_of("kept").size(), 1u);
}

TEST_F(CliTest, FolderErrors) {
  write(out("file"), "x");
  expect_fails(train("file"), 1, "is not a folder");
  expect_fails(resume("absent"), 1, "no run to resume");
  fs::create_directories(out("empty"));
  expect_fails(resume("empty"), 1, "holds no checkpoint.safetensors");
  expect_fails({"train", "--data-dir", data(), "--out", "/proc/holt"}, 1, "/proc/holt");
  if (geteuid() != 0) {  // root may write anywhere
    fs::create_directories(out("readonly"));
    fs::permissions(out("readonly"), fs::perms::owner_read | fs::perms::owner_exec);
    expect_fails(train("readonly"), 1, "cannot write");
  }
  expect_fails({"train", "--data-dir", out("nowhere"), "--out", out("never")}, 1,
               "apt-get install dataset-fashion-mnist");
  EXPECT_FALSE(fs::exists(out("never")));  // nothing came of it, so nothing is left
  if (cuda_device_count() == 0) expect_fails(train("gpu", {"--device", "cuda"}), 1, "cuda");
}

TEST_F(CliTest, TwoRunsInOneFolder) {
  Process first(train("shared", {"--epochs", "500"}), kProgram);
  ASSERT_TRUE(first.wait_for("train loss"));
  expect_fails(resume("shared"), 1, "another process works in");
  first.send(SIGINT);
  EXPECT_EQ(first.finish().code, 130);
}

// A disk that fills up: here a limit on the size of files.
TEST_F(CliTest, FullDisk) {
  reference();
  fs::copy(out(reference()), out("full"), fs::copy_options::recursive);
  std::string command = "trap '' XFSZ; ulimit -f 64; exec " + std::string(kProgram);
  for (const std::string& a : train("full", {"--overwrite"})) command += " '" + a + "'";
  const Result r = Process({"-c", command}, "bash").finish();
  EXPECT_EQ(r.code, 1) << r.out << r.err;
  EXPECT_HAS(r.err, "full/checkpoint.safetensors");
  expect_same_run("full", reference());  // what was there is there
  int files = 0;
  for ([[maybe_unused]] const auto& f : fs::directory_iterator(out("full"))) ++files;
  EXPECT_EQ(files, 3);  // no temporary file is left
}

TEST_F(CliTest, DamagedCheckpointsAndModels) {
  reference();
  fs::copy(out(reference()), out("damaged"), fs::copy_options::recursive);
  const std::string path = out("damaged") + "/checkpoint.safetensors", good = bytes_of(path);
  for (const size_t size : {size_t{0}, size_t{7}, size_t{100}, good.size() / 2, good.size() - 1}) {
    write(path, good.substr(0, size));
    expect_fails(resume("damaged"), 1, path);
    expect_fails({"eval", "--model", path, "--data-dir", data()}, 1, path);
  }
  write(path, bytes_of(out(reference()) + "/model.safetensors"));
  expect_fails(resume("damaged"), 1, "is no checkpoint");
  // Another model's name over these tensors.
  std::string renamed = good;
  for (size_t at; (at = renamed.find("lenet")) != std::string::npos;) renamed.replace(at, 5, "mlpxx");
  write(path, renamed);
  expect_fails(resume("damaged"), 1, path);
  expect_fails({"eval", "--model", path, "--data-dir", data()}, 1, path);
  expect_fails({"eval", "--model", out("nothing"), "--data-dir", data()}, 1, "there is no model");
}

TEST_F(CliTest, DamagedData) {
  const std::string bad = out("bad-data");
  fs::copy(data(), bad, fs::copy_options::recursive);
  const Arguments go = {"train", "--data-dir", bad, "--out", out("bad-run")};
  const std::string labels = bad + "/train-labels-idx1-ubyte", good = bytes_of(labels);
  write(labels, good.substr(0, good.size() - 1) + "\x0a");
  expect_fails(go, 1, "label 10 of sample 399 is outside 0 … 9");
  write(labels, good.substr(0, 50));
  expect_fails(go, 1, labels);
  write(labels, good);
  const std::string images = bad + "/train-images-idx3-ubyte";
  write(images, bytes_of(images) + "x");
  expect_fails(go, 1, "bytes follow");
}

TEST_F(CliTest, NanStopsAndKeepsTheLastCheckpoint) {
  const Result r = holt_run(train("nan", {"--lr", "1e30", "--schedule", "constant"}));
  EXPECT_EQ(r.code, 1) << r.out;
  EXPECT_HAS(r.err, "try a smaller --lr than 1e+30");
  EXPECT_HAS(r.err, "step");
  const Result e = holt_run({"eval", "--model", out("nan"), "--data-dir", data(), "--json"});  // it is whole and sound
  ASSERT_EQ(e.code, 0) << e.err;
  EXPECT_TRUE(std::isfinite(parse_json(e.out).at("loss").get<double>()));
}

TEST_F(CliTest, Info) {
  const Result r = holt_run({"info"});
  EXPECT_EQ(r.code, 0);
  for (const char* part : {"Devices", "cpu", "simt", "cuda", "oneDNN", "Boost", "compiler"}) EXPECT_HAS(r.out, part);
  EXPECT_HAS(r.out, cuda_device_count() == 0 ? cuda_missing_reason() : "cuda:0");
}

// The same few steps on the emulated GPU, and on a real one or its double: 200 images, the losses of the cpu.
TEST_F(CliTest, GpusTrainAsTheCpuDoes) {
  const auto run = [&](const std::string& device) {
    const Result r = holt_run({"train", "--data-dir", data(), "--out", out(device), "--device", device, "--limit-train",
                               "200", "--limit-test", "8", "--batch", "8", "--max-steps", "3", "--lr", "0.05"});
    EXPECT_EQ(r.code, 0) << r.err;
    return log_of(device).at(0);
  };
  const Json cpu = run("cpu");
  EXPECT_EQ(cpu.at("step"), 3);
  for (const std::string& gpu :
       cuda_device_count() ? std::vector<std::string>{"simt", "cuda"} : std::vector<std::string>{"simt"}) {
    const Json log = run(gpu);
    for (const char* key : {"train_loss", "test_loss"})
      EXPECT_NEAR(log.at(key).get<double>(), cpu.at(key).get<double>(), 1e-4 * cpu.at(key).get<double>()) << gpu << key;
  }
}

}  // namespace
}  // namespace holt
