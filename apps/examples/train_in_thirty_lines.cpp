// Trains a small residual network for one epoch and prints its test accuracy: the whole of holt in thirty lines.
#include <cstdio>

#include "data/fashion.h"
#include "data/loader.h"
#include "nn/models/registry.h"
#include "nn/optim.h"
#include "nn/schedule.h"
#include "nn/train_loop.h"

int main() try {
  using namespace holt;
  const data::Normalize normalize{{data::kFashionMean}, {data::kFashionStd}};
  const data::Loader train(data::fashion(data::Split::train), {.batch = 128, .shuffle = true, .normalize = normalize});
  const data::Loader test(data::fashion(data::Split::test), {.batch = 500, .normalize = normalize});

  Generator rng(1);
  auto model = nn::make_model({.name = "resnet8", .classes = 10, .channels = 1, .height = 28, .width = 28}, rng);
  nn::SGD sgd(model->named_parameters(), {.lr = 0.1, .momentum = 0.9, .nesterov = true, .weight_decay = 5e-4});

  auto batches = train.epoch(0);
  for (int64_t step = 0; auto batch = batches.next(); ++step) {
    const Tensor loss = cross_entropy((*model)(batch->images), batch->labels);
    loss.backward();
    sgd.step(nn::schedule::cosine(step, {.total = train.batches(), .warmup = 50}));
    sgd.zero_grad();
    if (step % 50 == 0) std::printf("step %3ld  loss %.3f\n", static_cast<long>(step), loss.item());
  }
  const nn::Scores scores = nn::evaluate(*model, test.epoch(0), Device::cpu);
  std::printf("test accuracy %.2f %%\n", 100 * scores.accuracy());
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
