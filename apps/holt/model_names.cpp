#include "apps/holt/commands.h"
#include "nn/models/registry.h"

namespace holt::app {

CLI::Validator model_name() {
  return {[](std::string& text) -> std::string {
            std::vector<std::string> names;
            for (const nn::ModelEntry& m : nn::models()) names.push_back(m.name);
            std::string name = text.substr(0, text.find(':'));
            return one_of(names)(name);
          },
          ""};
}

std::string model_list() {
  std::string all;
  for (const nn::ModelEntry& m : nn::models()) all += (all.empty() ? "" : ", ") + m.name;
  return all;
}

}  // namespace holt::app
