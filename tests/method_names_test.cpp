// Methods by name: composition, exclusions, suggestions; and what can go wrong while one runs.
#include "tests/harness/method_fixture.h"

namespace holt::transfer {
namespace {

TEST_F(MethodsTest, TheOrderOfThePartsIsOfNoAccount) {
  Options o = tiny_options();
  EXPECT_EQ(parse_method("rank+distill+lolsgd+frozen-classifier", o).parts,
            parse_method("frozen-classifier+lolsgd+distill+rank", o).parts);
  EXPECT_EQ(parse_method("distill", o).parts, parse_method("distill+sgd", o).parts);
  EXPECT_EQ(bits("rank+lolsgd+frozen-classifier", o), bits("frozen-classifier+lolsgd+rank", o));
  EXPECT_EQ(bits("gate+align", o), bits("align+gate+sgd", o));
}

TEST_F(MethodsTest, EveryExclusionHoldsBothWays) {
  int pairs = 0;
  for (const MethodEntry& p : method_parts())
    for (const std::string& q : p.excludes) {
      Options o;
      const auto known = [&](const MethodEntry& e) { return e.name == q; };
      ASSERT_TRUE(std::any_of(method_parts().begin(), method_parts().end(), known)) << q;
      EXPECT_ERROR(parse_method(p.name + "+" + q, o), "does not go with");
      EXPECT_ERROR(parse_method(q + "+" + p.name, o), "does not go with");
      ++pairs;
    }
  EXPECT_GT(pairs, 15);
}

TEST_F(MethodsTest, PairsWithoutSense) {
  Options o;
  for (const char* name : {"source+distill", "source+rank", "bn-stats+frozen-classifier", "bn-stats+l2sp",
                           "linear-probe+frozen-classifier", "linear-probe+rank", "lp-ft+frozen-classifier",
                           "oracle+distill", "oracle+gate", "oracle+seen-softmax", "oracle+holt", "distill+lwf"})
    EXPECT_ERROR(parse_method(name, o), "does not go with");
  for (const char* name : {"sgd+lolsgd", "lolsgd+local-sgd", "linear-probe+lp-ft", "source+oracle", "sgd+bn-stats"})
    EXPECT_ERROR(parse_method(name, o), "only one of its parts can train");
  for (const char* name : {"lolsgd+lolsgd", "gate+gate", "holt+gate", "sgd+sgd"})
    EXPECT_ERROR(parse_method(name, o), "twice");
}

TEST_F(MethodsTest, UnknownNames) {
  Options o;
  EXPECT_ERROR(parse_method("lol-sgd", o), "there is no 'lol-sgd'; did you mean 'lolsgd'?");
  EXPECT_ERROR(parse_method("frozn-classifier+lolsgd", o), "did you mean 'frozen-classifier'?");
  EXPECT_ERROR(parse_method("olsgd", o), "did you mean 'lolsgd'?");
  EXPECT_ERROR(parse_method("hot", o), "did you mean 'holt'?");
  EXPECT_ERROR(parse_method("quantum", o), "there is no 'quantum'; 'holt transfer --list-methods' shows all");
  for (const char* name : {"", "+", "sgd+", "+sgd", "sgd++gate", "sgd gate", "SGD"})
    EXPECT_ERROR(parse_method(name, o), "there is no");
}

TEST_F(MethodsTest, StandardMethodsAreAllOfTheTable) {
  std::set<std::string> parts;
  for (const std::string& name : standard_methods()) {
    Options o;
    for (const MethodEntry* p : parse_method(name, o).parts) parts.insert(p->name);
  }
  for (const MethodEntry& p : method_parts())
    EXPECT_TRUE(parts.count(p.name) || p.name == "recorder" || p.name == "late trainer") << p.name;
  EXPECT_GE(standard_methods().size(), 16u);
}

TEST_F(MethodsTest, RegisteringAMethod) {
  EXPECT_ERROR(
      register_method(
          {.name = "sgd", .description = "", .source = "", .make = [] { return std::make_unique<Recorder>(); }}),
      "there is a method 'sgd' already");
  EXPECT_ERROR(register_method({.name = "a+b", .description = "", .source = "", .make = nullptr}),
               "needs a name without '+'");
  EXPECT_ERROR(
      register_method(
          {.name = "holt", .description = "", .source = "", .make = [] { return std::make_unique<Recorder>(); }}),
      "there is a method 'holt' already");
  // A trainer of a program's own comes first like the others.
  register_method({.name = "late trainer", .description = "", .source = "", .role = Role::trainer, .make = [] {
                     return std::make_unique<Recorder>();
                   }});
  Options o;
  const Method m = parse_method("gate+late trainer+distill", o);
  EXPECT_EQ(m.parts.front()->name, "late trainer");
  EXPECT_EQ(m.parts.size(), 3u);
}

TEST_F(MethodsTest, ALossThatIsNotFiniteNamesStepAndLayer) {
  Options o = tiny_options();
  o.lr = 1e30;
  for (const char* name : {"sgd", "lolsgd", "frozen-classifier", "local-sgd"}) {
    EXPECT_ERROR(run(name, o), "the loss is");
    EXPECT_ERROR(run(name, o), "at step 2;");
    EXPECT_ERROR(run(name, o), "try a smaller lr");
  }
  Task poisoned = tiny_task();
  poisoned.normalize.std = {0};
  EXPECT_ERROR(run("sgd", tiny_options(), 1, poisoned), "std");
  auto broken = nn::clone(*source_);
  broken->classifier().weight.data<float>()[3] = NAN;
  Options plain = tiny_options();
  const Method sgd = parse_method("sgd", plain);
  EXPECT_ERROR(adapt(*broken, tiny_task(), sgd, plain, {}), "at step 1; the parameter fc.weight is not finite");
}

TEST_F(MethodsTest, CancellingEndsEveryMethod) {
  for (const std::string& name : standard_methods()) {
    if (name == "source") continue;
    Options o = tiny_options();
    const Method m = parse_method(name, o);
    int asked = 0;
    EXPECT_ERROR(adapt(*source_, tiny_task(), m, o, {.cancelled = [&] { return ++asked > 1; }}), "cancelled");
  }
}

TEST_F(MethodsTest, WatchingChangesNothing) {
  const Task task = tiny_task();
  for (const char* name : {"sgd", "lolsgd", "holt", "lp-ft"}) {
    Options o = tiny_options();
    const Method m = parse_method(name, o);
    int64_t last = 0;
    const auto watch = [&](int64_t step, const Classifier& now) {
      EXPECT_GT(step, last);
      last = step;
      evaluate(now, task.test, task.normalize, {});
    };
    const Adapted a = adapt(*source_, task, m, o, {.seed = 1, .watch = watch});
    EXPECT_EQ(last, std::ssize(a.history.loss));
    EXPECT_EQ(bits_of(*a.classifier.model), bits(name)) << name;
  }
}

TEST_F(MethodsTest, RefusesAModelOfAnotherTask) {
  Options o = tiny_options();
  const Method m = parse_method("sgd", o);
  const auto model = nn::clone(*source_);
  model->train();
  EXPECT_ERROR(adapt(*model, tiny_task(), m, o, {}), "must be in evaluation mode");
  nn::ModelConfig config = source_->config();
  config.classes = 9;
  Generator g(0);
  const auto other = nn::make_model(config, g);
  other->eval();
  EXPECT_ERROR(adapt(*other, tiny_task(), m, o, {}), "has 9 classes and the task 6");
  nn::ModelConfig mlp = nn::parse_model("mlp:hidden=8");
  mlp.classes = 6, mlp.height = mlp.width = 8;
  const auto no_bn = nn::make_model(mlp, g);
  prepare_source(*no_bn, {});
  const Method frozen = parse_method("frozen-bn", o);
  EXPECT_ERROR(adapt(*no_bn, tiny_task(), frozen, o, {}), "has no BatchNorm");
}

}  // namespace
}  // namespace holt::transfer
