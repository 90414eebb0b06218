// LOLSGD and its controls against models that are trained here, one by one, and averaged.
#include "tests/harness/method_fixture.h"

namespace holt::transfer {
namespace {

// The mean of models that are trained here on the batches that the recorder saw.
TEST_F(MethodsTest, LolsgdByHand) {
  for (const char* name : {"lolsgd", "local-sgd", "sgd-restart"}) {
    recorded.clear();
    Options o = tiny_options();
    o.keep = 0.67;  // two of three classes
    o.server_lr = std::string(name) == "sgd-restart" ? 1 : 0.6;
    const int64_t locals = std::string(name) == "sgd-restart" ? 1 : o.locals;
    const Bits got = bits_of(*run(std::string(name) + "+recorder", o).model);
    ASSERT_EQ(std::ssize(recorded), o.rounds * locals * o.local_steps) << name;
    auto theta = nn::clone(*source_);
    theta->requires_grad("*", true);
    size_t at = 0;
    std::set<std::set<int64_t>> subsets;
    for (int64_t round = 0; round < o.rounds; ++round) {
      std::map<std::string, std::vector<double>> sum;
      for (int64_t m = 0; m < locals; ++m) {
        const auto local = nn::clone(*theta);
        local->train();
        nn::SGD sgd(local->named_parameters(), {.lr = o.lr, .momentum = 0.9, .nesterov = true});
        std::set<int64_t> labels;
        for (int64_t t = 0; t < o.local_steps; ++t) {
          const Recorded& r = recorded[at++];
          labels.insert(r.labels.begin(), r.labels.end());
          const auto n = std::ssize(r.labels);
          cross_entropy((*local)(from(r.images, {n, 8, 8, 1})), from(r.labels, {n})).backward();
          sgd.step();
          sgd.zero_grad();
        }
        EXPECT_EQ(labels.size(), std::string(name) == "lolsgd" ? 2u : 3u) << name;
        subsets.insert(labels);
        for (const auto& [key, x] : bits_of(*local)) {
          sum[key].resize(x.size());
          for (size_t i = 0; i < x.size(); ++i) sum[key][i] += x[i] / static_cast<double>(locals);
        }
      }
      nn::State next;
      for (const auto& [key, t] : theta->state()) {
        std::vector<float> x = t.to_vector<float>();
        for (size_t i = 0; i < x.size(); ++i) x[i] += static_cast<float>(o.server_lr * (sum[key][i] - x[i]));
        next[key] = from(x, t.shape());
      }
      theta->load_state(next);
    }
    EXPECT_LT(largest_difference(got, bits_of(*theta)), 2e-6) << name;
    EXPECT_EQ(subsets.size() > 1, std::string(name) == "lolsgd");  // drawn anew
  }
}

TEST_F(MethodsTest, LolsgdWithOneLocalIsItsControl) {
  for (const int64_t rounds : {1, 3}) {
    Options o = tiny_options();
    o.locals = 1;
    o.keep = 1;
    o.rounds = rounds;
    EXPECT_EQ(bits("lolsgd", o), bits("sgd-restart", o));
    EXPECT_EQ(bits("local-sgd", o), bits("sgd-restart", o));
  }
}

TEST_F(MethodsTest, LocalWorkersChangeNothing) {
  for (const char* name : {"lolsgd", "frozen-classifier+lolsgd+distill+rank+l2sp", "local-sgd", "holt+lolsgd"}) {
    const Bits one = bits_of(*run(name).model);
    EXPECT_EQ(bits_of(*run(name, tiny_options(), 1, tiny_task(), 3).model), one) << name;
    EXPECT_EQ(bits_of(*run(name, tiny_options(), 1, tiny_task(), 2).model), one) << name;
  }
}

TEST_F(MethodsTest, ServerLearningRate) {
  Options o = tiny_options();
  o.server_lr = 0;
  EXPECT_EQ(bits("lolsgd", o), bits_of(*source_));
  o.server_lr = 3;  // far beyond the mean: statistics stay statistics
  for (const auto& [name, x] : bits("lolsgd", o))
    for (const float v : x) EXPECT_TRUE(v >= 0 || name.find("running_var") == std::string::npos) << name;
}

TEST_F(MethodsTest, MomentumAndStatisticsOfTheLocals) {
  Options keep = tiny_options();
  keep.local_momentum = "keep";
  EXPECT_NE(bits("lolsgd", keep), bits("lolsgd"));
  Options single = tiny_options(), single_keep = keep;
  single.rounds = single_keep.rounds = 1;  // nothing to keep it for
  EXPECT_EQ(bits("lolsgd", single), bits("lolsgd", single_keep));

  Options still = tiny_options();
  still.local_bn = "keep";
  const Moved m(bits_of(*source_), bits("lolsgd", still));
  EXPECT_EQ(m.statistics, 0);
  EXPECT_GT(m.features, 0);
}

// With its momentum kept, one model in rounds is plain SGD: the recorded batches through one optimiser.
TEST_F(MethodsTest, KeptMomentumIsOneLongRun) {
  Options o = tiny_options();
  o.local_momentum = "keep";
  const Bits got = bits_of(*run("sgd-restart+recorder", o).model);
  const auto model = nn::clone(*source_);
  model->requires_grad("*", true);
  model->train();
  nn::SGD sgd(model->named_parameters(), {.lr = o.lr, .momentum = 0.9, .nesterov = true});
  for (const Recorded& r : recorded) {
    const auto n = std::ssize(r.labels);
    cross_entropy((*model)(from(r.images, {n, 8, 8, 1})), from(r.labels, {n})).backward();
    sgd.step();
    sgd.zero_grad();
  }
  EXPECT_LT(largest_difference(got, bits_of(*model)), 2e-6);
}

}  // namespace
}  // namespace holt::transfer
