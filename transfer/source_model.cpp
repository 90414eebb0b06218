#include "transfer/source_model.h"

#include <chrono>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/json.h"
#include "kernels/file.h"
#include "kernels/hash.h"
#include "kernels/parallel.h"
#include "nn/models/registry.h"
#include "nn/optim.h"
#include "nn/schedule.h"
#include "nn/train_loop.h"
#include "nn/weights/weights.h"
#include "transfer/adapt.h"

namespace holt::transfer {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int64_t kTestBatch = 500;
constexpr int kTrainingVersion = 3;  // grows when train() or a built-in benchmark changes: caches forget

nn::ModelConfig model_config(const SourceRequest& r) {
  nn::ModelConfig c = nn::parse_model(r.training.model);
  const Shape shape = r.benchmark.image_shape();
  c.classes = std::ssize(r.benchmark.classes());
  c.height = shape[0], c.width = shape[1], c.channels = shape[2];
  return c;
}

data::Loader loader(const SourceRequest& r, data::Part part) {
  const bool train = part == data::Part::train;
  data::LoaderOptions o;
  o.batch = train ? r.training.batch : kTestBatch;
  o.shuffle = train;
  o.seed = r.training.seed;
  o.normalize = r.benchmark.normalize();
  if (train) o.augment = {.pad = static_cast<int>(r.training.pad), .flip = r.training.flip};
  return {limited(r.benchmark.load(r.domain, part, r.data_seed), r.limit), o};
}

// Everything decays, as in the papers' PyTorch.
nn::SGD make_optimizer(const nn::Model& model, const SourceTraining& t) {
  return {model.named_parameters(), {.lr = t.lr, .momentum = 0.9, .nesterov = true, .weight_decay = t.weight_decay}};
}

void train(nn::Model& model, const SourceRequest& r) {
  const data::Loader train_loader = loader(r, data::Part::train);
  nn::SGD optimizer = make_optimizer(model, r.training);
  const int64_t steps = train_loader.batches(), total = r.training.epochs * steps;
  model.train();
  const auto begin = Clock::now();
  int64_t done = 0, images = 0;
  for (int64_t epoch = 0; epoch < r.training.epochs; ++epoch) {
    nn::Scores scores;
    auto batches = train_loader.epoch(epoch);
    for (int64_t step = 0; auto batch = batches.next(); ++step, ++done) {
      check(!r.cancelled || !r.cancelled(), "cancelled");
      const double factor = nn::schedule::cosine(done, {.total = total});
      const double loss = nn::train_step(model, optimizer, batch->images.to(r.device), batch->labels.to(r.device),
                                         scores, {.factor = factor});
      check(std::isfinite(loss), "source model: the loss is {} at step {}; try a smaller --source-lr than {}", loss,
            done + 1, r.training.lr);
      images += batch->labels.numel();
      const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
      if (r.progress)
        r.progress({epoch, r.training.epochs, step + 1, steps, scores.loss(), scores.accuracy(),
                    static_cast<double>(images) / seconds,
                    seconds * static_cast<double>(total - done - 1) / static_cast<double>(done + 1)});
    }
  }
}

void check_fits(const SourceModel& source, const SourceRequest& r, const std::string& path) {
  const nn::ModelConfig& c = source.model->config();
  const nn::ModelConfig wanted = model_config(r);
  check(c.classes == wanted.classes && c.height == wanted.height && c.width == wanted.width &&
            c.channels == wanted.channels,
        "{}: a model for {} classes and images of {}×{}×{}, but {} has {} classes and images of {}×{}×{}", path,
        c.classes, c.height, c.width, c.channels, r.data, wanted.classes, wanted.height, wanted.width, wanted.channels);
  const std::vector<std::string>& theirs = source.usage.classes;
  for (size_t i = 0; i < theirs.size(); ++i)
    check(theirs[i] == r.benchmark.classes()[i], "{}: its class {} is '{}', and that of {} is '{}'", path, i, theirs[i],
          r.data, r.benchmark.classes()[i]);
}

void take(SourceModel& source, LoadedClassifier loaded, const SourceRequest& r, const std::string& path) {
  check(!loaded.classifier.correction && !loaded.classifier.gate,
        "{}: it was adapted by a method with align or gate; a source model is a plain network", path);
  source.model = std::move(loaded.classifier.model);
  source.usage = std::move(loaded.usage);
  check_fits(source, r, path);
  prepare_source(*source.model, r.device);
}

// Where the cache keeps this model; "" without a cache. Makes the folder before anything is trained in vain.
std::string cache_path(const SourceRequest& r, const std::string& id) {
  if (r.cache.empty()) return "";
  std::error_code problem;
  std::filesystem::create_directories(r.cache, problem);
  check(!problem && std::filesystem::is_directory(r.cache), "source model: the cache {} cannot be made: {}", r.cache,
        problem ? problem.message() : "it is no folder");
  return r.cache + "/" + r.data + "-" + id + ".safetensors";
}

}  // namespace

std::string fingerprint(const std::string& text) { return format("{:016x}", fnv1a(text)); }

SourceModel get_source_model(const SourceRequest& r) {
  SourceModel source;
  const data::Normalize normalize = r.benchmark.normalize();
  if (!r.file.empty()) {
    take(source, load_classifier(r.file, r.device), r, r.file);
    source.id = fingerprint(read_file(r.file));
    return source;
  }

  const nn::ModelConfig config = model_config(r);
  nlohmann::json identity = {{"data", r.data},
                             {"folder", r.folder.empty() ? "" : std::filesystem::weakly_canonical(r.folder).string()},
                             {"domain", r.domain},
                             {"data_seed", r.data_seed},
                             {"limit", r.limit},
                             {"training", r.training},
                             {"classes", r.benchmark.classes()},
                             {"height", config.height},
                             {"width", config.width},
                             {"channels", config.channels},
                             {"device", to_string(r.device)},
                             {"version", kTrainingVersion}};
  std::optional<nn::Weights> start;
  if (!r.training.weights.empty()) {
    start = nn::read_weights(r.training.weights);
    identity["weights"] = fingerprint(read_file(start->file.path));
  }
  const std::string identity_text = json_text(identity, -1, NotUtf8::replace);
  source.id = fingerprint(identity_text);
  const std::string path = cache_path(r, source.id);
  if (!path.empty() && std::filesystem::exists(path)) try {
      LoadedClassifier loaded = load_classifier(path, r.device);
      source.test_accuracy = std::strtod(loaded.metadata["transfer.source_accuracy"].c_str(), nullptr);
      take(source, std::move(loaded), r, path);
      source.cached = true;
      return source;
    } catch (const Error& e) {
      source.note = format("the cached source model cannot be used and is trained again ({})", e.message());
    }

  const auto begin = Clock::now();
  Generator generator(r.training.seed);
  source.model = nn::make_model(config, generator);
  if (start)
    for (const std::string& note : nn::load_weights(*start, *source.model))
      source.note += (source.note.empty() ? "" : "; ") + note;
  source.model->to(r.device);
  const ThreadLimit limit(r.training.threads > 0 ? static_cast<int>(r.training.threads) : omp_get_max_threads());
  train(*source.model, r);
  source.test_accuracy = nn::evaluate(*source.model, loader(r, data::Part::test).epoch(0), r.device).accuracy();
  source.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  const size_t channels = static_cast<size_t>(config.channels);
  source.usage = {r.benchmark.classes(), normalize.mean.empty() ? std::vector<float>(channels, 0) : normalize.mean,
                  normalize.std.empty() ? std::vector<float>(channels, 1) : normalize.std};
  prepare_source(*source.model, r.device);
  if (!path.empty()) {
    Classifier plain{.model = nn::clone(*source.model)};
    save_classifier(
        path, plain, source.usage,
        {{"transfer.source_accuracy", format("{}", source.test_accuracy)}, {"transfer.source", identity_text}});
  }
  return source;
}

}  // namespace holt::transfer
