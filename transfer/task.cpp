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

// Images of each class.
std::vector<int64_t> counts(const std::vector<int64_t>& labels, int64_t classes) {
  std::vector<int64_t> images(classes);
  for (const int64_t label : labels) ++images.at(label);
  return images;
}

std::vector<int64_t> present(const std::vector<int64_t>& images) {
  std::vector<int64_t> classes;
  for (size_t c = 0; c < images.size(); ++c)
    if (images[c]) classes.push_back(static_cast<int64_t>(c));
  return classes;
}

std::vector<int64_t> labels_of(const data::Dataset& dataset) {
  const auto* labels = dataset.labels.data<int64_t>();
  return {labels, labels + dataset.size()};
}

Split cut_split(const std::string& name, const data::Benchmark& benchmark, const TaskRequest& r,
                const std::vector<int64_t>& labels) {
  const std::vector<std::string>& classes = benchmark.classes();
  const std::vector<int64_t> images = counts(labels, std::ssize(classes));
  Split split = make_split(r.split, classes, r.target, r.split_seed, present(images));
  for (const int64_t c : split.seen)
    check(images[c] > 0, "{}: domain {} has no training image of the seen class '{}'; leave it out with --split", name,
          r.target, classes[c]);
  return split;
}

}  // namespace

Split task_split(const std::string& name, const data::Benchmark& benchmark, const TaskRequest& r) {
  return cut_split(name, benchmark, r, benchmark.labels(r.target, data::Part::train, r.data_seed));
}

Task own_task(const data::Dataset& train, const data::Normalize& normalize) {
  data::validate(train);
  check(train.size() > 0, "{}: there are no images", train.name);
  Task task{.data = train.name, .source = {}, .target = train.name};
  task.split = {"present", present(counts(labels_of(train), train.num_classes()))};
  task.train = task.train_all = train;
  task.normalize = normalize;
  return task;
}

Task make_task(const std::string& name, const data::Benchmark& benchmark, const TaskRequest& r) {
  Task task{.data = name, .source = r.source, .target = r.target};
  task.normalize = benchmark.normalize();
  task.train_all = limited(benchmark.load(r.target, data::Part::train, r.data_seed), r.limit);
  task.test = limited(benchmark.load(r.target, data::Part::test, r.data_seed), r.limit);
  data::validate(task.train_all);
  data::validate(task.test);
  task.split = cut_split(name, benchmark, r, labels_of(task.train_all));
  task.train = of_classes(task.train_all, task.split.mask(task.classes()));
  return task;
}

}  // namespace holt::transfer
