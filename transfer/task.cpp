#include "transfer/task.h"

namespace holt::transfer {

data::Dataset of_classes(const data::Dataset& dataset, const std::vector<bool>& keep) {
  std::vector<int64_t> positions;
  const auto* labels = dataset.labels.data<int64_t>();
  for (int64_t i = 0; i < dataset.size(); ++i)
    if (keep.at(labels[i])) positions.push_back(i);
  return data::select(dataset, positions);
}

data::Dataset limited(const data::Dataset& dataset, int64_t limit) {
  if (limit <= 0) return dataset;
  std::vector<int64_t> count(dataset.num_classes()), positions;
  for (int64_t i = 0; i < dataset.size(); ++i)
    if (count[dataset.labels.data<int64_t>()[i]]++ < limit) positions.push_back(i);
  return data::select(dataset, positions);
}

namespace {

Split cut_split(const std::string& name, const data::Benchmark& benchmark, const TaskRequest& r,
                const std::vector<int64_t>& labels) {
  const std::vector<std::string>& classes = benchmark.classes();
  std::vector<int64_t> images(classes.size()), present;
  for (const int64_t label : labels) ++images.at(label);
  for (size_t c = 0; c < images.size(); ++c)
    if (images[c]) present.push_back(static_cast<int64_t>(c));
  Split split = make_split(r.split, classes, r.target, r.split_seed, present);
  for (const int64_t c : split.seen)
    check(images[c] > 0, "{}: domain {} has no training image of the seen class '{}'; leave it out with --split", name,
          r.target, classes[c]);
  return split;
}

}  // namespace

Split task_split(const std::string& name, const data::Benchmark& benchmark, const TaskRequest& r) {
  return cut_split(name, benchmark, r, benchmark.labels(r.target, data::Part::train, r.data_seed));
}

Task make_task(const std::string& name, const data::Benchmark& benchmark, const TaskRequest& r) {
  Task task{.data = name, .source = r.source, .target = r.target};
  task.normalize = benchmark.normalize();
  task.train_all = limited(benchmark.load(r.target, data::Part::train, r.data_seed), r.limit);
  task.test = limited(benchmark.load(r.target, data::Part::test, r.data_seed), r.limit);
  data::validate(task.train_all);
  data::validate(task.test);
  const auto* labels = task.train_all.labels.data<int64_t>();
  task.split = cut_split(name, benchmark, r, {labels, labels + task.train_all.size()});
  task.train = of_classes(task.train_all, task.split.mask(task.classes()));
  return task;
}

}  // namespace holt::transfer
