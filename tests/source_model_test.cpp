// The source model of a study: trained, cached or given; and plans that make no sense end before it is trained.
#include "nn/models/registry.h"
#include "nn/state_file.h"
#include "tests/harness/run_fixture.h"

namespace holt::transfer {
namespace {

TEST_F(RunnerTest, TheCacheChangesNothing) {
  Plan p = plan();
  const Outcome fresh = run(p);
  EXPECT_NE(said_.find("trained in"), std::string::npos);
  Plan q = plan("again");
  said_.clear();
  const Outcome cached = run(q);
  EXPECT_NE(said_.find("found in the cache"), std::string::npos);
  Plan none = plan("none");
  none.cache = "";
  const Outcome uncached = run(none);
  EXPECT_EQ(content(cached), content(fresh));
  EXPECT_EQ(content(uncached), content(fresh));
  EXPECT_EQ(cached.source_accuracy, fresh.source_accuracy);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_ / "cache"), {}), 1);
}

TEST_F(RunnerTest, ADamagedCacheFileIsReplaced) {
  const Outcome fresh = run(plan());
  const fs::path file = *fs::directory_iterator(folder_ / "cache");
  const std::string good = read_file(file.string());
  int n = 0;
  for (const std::string& bad : {std::string(), std::string("rubbish"), good.substr(0, good.size() / 2)}) {
    std::ofstream(file, std::ios::binary) << bad;
    said_.clear();
    const Outcome o = run(plan(format("damaged{}", n++)));
    EXPECT_EQ(content(o), content(fresh));
    EXPECT_NE(said_.find("cannot be used and is trained again"), std::string::npos) << said_;
    EXPECT_EQ(read_file(file.string()), good);
  }
}

TEST_F(RunnerTest, ACacheThatIsNoFolderIsKnownBeforeTraining) {
  std::ofstream(folder_ / "cache") << "a file";
  RunEvents events;
  events.source = [](const SourceProgress&) { ADD_FAILURE() << "training began"; };
  EXPECT_ERROR(run(plan(), events), "cache");
}

TEST_F(RunnerTest, TrainingStartsFromPretrainedWeights) {
  Plan p = plan();
  p.methods = {"source"};
  const Outcome drawn = run(p);
  const auto start = [&](uint64_t seed) {  // for other classes: its classifier is not used
    Generator g(seed);
    nn::ModelConfig c = nn::parse_model(p.training.model);
    const Shape shape = benchmark_.image_shape();
    c.classes = 3, c.height = shape[0], c.width = shape[1], c.channels = shape[2];
    nn::save_model((folder_ / "start.safetensors").string(), *nn::make_model(c, g));
  };
  start(1);
  p.training.weights = (folder_ / "start.safetensors").string();
  p.out = plan("one").out;
  said_.clear();
  const Outcome one = run(p);
  EXPECT_NE(said_.find("the classifier stays the model's own"), std::string::npos) << said_;
  EXPECT_NE(one.source_id, drawn.source_id);
  start(2);  // the same name, other weights: another model
  p.out = plan("two").out;
  EXPECT_NE(run(p).source_id, one.source_id);
  p.training.weights = "/nowhere.pth";
  p.out = plan("none").out;
  EXPECT_ERROR(run(p), "/nowhere.pth");
}

TEST_F(RunnerTest, TheSourceModelOfAFile) {
  const Outcome trained = run(plan());
  const fs::path cached = *fs::directory_iterator(folder_ / "cache");
  Plan p = plan("file");
  p.source_model = cached.string();
  const Outcome o = run(p);
  ASSERT_EQ(o.results.size(), 8u);
  EXPECT_NE(o.source_id, trained.source_id);
  for (size_t i = 0; i < 8; ++i) EXPECT_EQ(o.results[i].plain.overall, trained.results[i].plain.overall);

  // A file whose inputs are normalised otherwise is used as it says; one for other classes is refused.
  const LoadedClassifier loaded = load_classifier(cached.string());
  nn::Usage other = loaded.usage;
  other.mean = {0.4f}, other.std = {0.25f};
  const std::string path = (folder_ / "other.safetensors").string();
  save_classifier(path, loaded.classifier, other);
  Plan q = plan("other");
  q.source_model = path;
  q.methods = {"source"};
  class Other : public test::TinyBenchmark {
   public:
    data::Normalize normalize() const override { return {{0.4f}, {0.25f}}; }
  };
  Plan r = plan("same");
  r.source_model = path;
  r.methods = {"source"};
  EXPECT_EQ(content(run(q)), content(transfer::run(r, Other(), {})));

  other.classes[1] = "wasp";
  save_classifier(path, loaded.classifier, other);
  EXPECT_ERROR(run(q), "its class 1 is 'wasp', and that of tiny is 'bee'");
  q.source_model = (folder_ / "missing.safetensors").string();
  EXPECT_ERROR(run(q), "missing.safetensors");
}

TEST_F(RunnerTest, AnotherFoldersModelIsAnother) {
  const auto id = [&](const std::string& folder, const std::string& out) {
    Plan p = plan(out);
    p.methods = {"source"};
    p.benchmark.folder = folder;
    return run(p).source_id;
  };
  const std::string here = folder_.string();
  EXPECT_NE(id("", "a"), id(here, "b"));
  EXPECT_EQ(id(here, "c"), id(here + "/../" + folder_.filename().string(), "d"));
}

TEST_F(RunnerTest, ASourceThatDiverges) {
  Plan p = plan();
  p.training.lr = 1e30;
  EXPECT_ERROR(run(p), "try a smaller --source-lr");
}

TEST_F(RunnerTest, BadPlansEndBeforeTraining) {
  RunEvents events;
  events.source = [](const SourceProgress&) { ADD_FAILURE() << "training began"; };
  const auto expect = [&](const std::string& says, auto&& change) {
    Plan p = plan();
    change(p);
    EXPECT_ERROR(run(p, events), says);
    EXPECT_FALSE(fs::exists(results()));
  };
  expect("clean is the source and cannot be the target", [](Plan& p) { p.targets = {"dim", "clean"}; });
  expect("has no domain 'dima'; did you mean 'dim'?", [](Plan& p) { p.targets = {"dima"}; });
  expect("has no domain 'Clean'", [](Plan& p) { p.source = "Clean"; });
  expect("at least one must be seen", [](Plan& p) { p.split = "random:6"; });
  expect("no class is seen", [](Plan& p) { p.split = "classes:"; });
  expect("all 6 classes are seen", [](Plan& p) { p.split = "present"; });
  expect("names the class 'bea', which the data does not have; did you mean 'bee'?",
         [](Plan& p) { p.split = "classes:bea"; });
  expect("there is no 'sgdx'; did you mean 'sgd'?", [](Plan& p) { p.methods = {"source", "sgdx"}; });
  expect("no methods or no seeds", [](Plan& p) { p.methods = {}; });
  expect("no methods or no seeds", [](Plan& p) { p.seeds = {}; });
  expect("option 'lrr' is unknown", [](Plan& p) { p.sets = {"lrr=1"}; });
  expect("option 'lrr' is unknown", [](Plan& p) { p.sets = {"sgd:lrr=1"}; });
  expect("write NAME=VALUE", [](Plan& p) { p.sets = {"lr"}; });
  expect("has no method 'hotl'; did you mean 'holt'?", [](Plan& p) { p.sets = {"hotl:lr=1"}; });
  expect("has no method 'lp-ft'", [](Plan& p) { p.sets = {"lp-ft:lr=1"}; });
  expect("calibration 'agl' is unknown", [](Plan& p) { p.calibrations = {"agl"}; });
  expect("there is no folder", [](Plan& p) { p.out += "/nowhere"; });
  expect("no model 'resnet9'", [](Plan& p) { p.training.model = "resnet9"; });
}

}  // namespace
}  // namespace holt::transfer
