#include "apps/holt/source.h"

#include "data/fashion.h"

namespace holt::app {

const std::vector<std::string>& source_names() {
  static const std::vector<std::string> names = {"fashion"};
  return names;
}

Source load_source(const std::string& name, Part part, const std::string& folder, int64_t limit) {
  check(name == "fashion", "there is no data set '{}'; known: fashion", name);
  data::Dataset d = data::fashion(part == Part::train ? data::Split::train : data::Split::test,
                                  folder.empty() ? data::kFashionFolder : folder);
  if (limit > 0) d = data::first(d, limit);
  return {std::move(d), {{data::kFashionMean}, {data::kFashionStd}}};
}

}  // namespace holt::app
