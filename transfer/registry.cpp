// The methods' names: what they are made of, and what does not go together.
#include <algorithm>

#include "core/nearest.h"
#include "transfer/method.h"

namespace holt::transfer {

namespace methods {
#define METHOD(name) MethodEntry name();
#include "transfer/methods/list.def"
#undef METHOD
}  // namespace methods

namespace {

// Pointers to its elements are given away: a deque keeps them valid as it grows.
std::deque<MethodEntry>& all_parts() {
  static std::deque<MethodEntry> parts = {
#define METHOD(name) methods::name(),
#include "transfer/methods/list.def"
#undef METHOD
  };
  return parts;
}

const MethodEntry* find_part(const std::string& name) {
  for (const MethodEntry& p : all_parts())
    if (p.name == name) return &p;
  return nullptr;
}

// "; did you mean 'lolsgd'?" for "lol-sgd".
std::string suggestion(const std::string& word) {
  std::vector<std::string> names;
  for (const MethodEntry& p : all_parts()) names.push_back(p.name);
  for (const MethodAlias& a : method_aliases()) names.push_back(a.name);
  return did_you_mean(word, names);
}

std::vector<std::string> split_words(const std::string& name) {
  std::vector<std::string> words;
  size_t begin = 0;
  for (size_t plus = name.find('+'); plus != std::string::npos; plus = name.find('+', begin)) {
    words.push_back(name.substr(begin, plus - begin));
    begin = plus + 1;
  }
  words.push_back(name.substr(begin));
  return words;
}

}  // namespace

const std::deque<MethodEntry>& method_parts() { return all_parts(); }

const std::vector<MethodAlias>& method_aliases() {
  static const std::vector<MethodAlias> aliases = {
      {"holt",
       "ours: seen-softmax with τ = 0.5, align and gate",
       "seen-softmax+align+gate",
       {{"seen-softmax.tau", "0.5"}}},
  };
  return aliases;
}

void register_method(MethodEntry entry) {
  check(!entry.name.empty() && entry.name.find('+') == std::string::npos && entry.make != nullptr,
        "register_method: '{}' needs a name without '+', and a make function", entry.name);
  const auto& aliases = method_aliases();
  const bool taken = find_part(entry.name) || std::any_of(aliases.begin(), aliases.end(),
                                                          [&](const MethodAlias& x) { return x.name == entry.name; });
  check(!taken, "register_method: there is a method '{}' already", entry.name);
  all_parts().push_back(std::move(entry));
}

Method parse_method(const std::string& name, Options& options) {
  std::vector<std::string> words;
  for (const std::string& word : split_words(name)) {
    const auto alias = std::find_if(method_aliases().begin(), method_aliases().end(),
                                    [&](const MethodAlias& a) { return a.name == word; });
    if (alias == method_aliases().end()) {
      words.push_back(word);
      continue;
    }
    for (const std::string& part : split_words(alias->composition)) words.push_back(part);
    for (const auto& [option, value] : alias->options) set(options, option, value);
  }

  Method method{name, {}};
  for (const std::string& word : words) {
    const MethodEntry* part = find_part(word);
    check(part, "method '{}': there is no '{}'{} 'holt transfer --list-methods' shows all", name, word,
          suggestion(word).empty() ? ";" : suggestion(word));
    check(std::find(method.parts.begin(), method.parts.end(), part) == method.parts.end(), "method '{}': '{}' twice",
          name, word);
    method.parts.push_back(part);
  }
  const auto trainers = std::count_if(method.parts.begin(), method.parts.end(),
                                      [](const MethodEntry* p) { return p->role == Role::trainer; });
  check(trainers <= 1, "method '{}': only one of its parts can train", name);
  if (trainers == 0) method.parts.push_back(find_part("sgd"));
  // The trainer first, also where a program registered it after everything else.
  const auto place = [](const MethodEntry* p) {
    const auto it = std::find_if(all_parts().begin(), all_parts().end(), [&](const MethodEntry& e) { return &e == p; });
    return std::pair(p->role != Role::trainer, it - all_parts().begin());
  };
  std::sort(method.parts.begin(), method.parts.end(),
            [&](const MethodEntry* a, const MethodEntry* b) { return place(a) < place(b); });
  for (const MethodEntry* p : method.parts)
    for (const MethodEntry* q : method.parts)
      check(std::find(p->excludes.begin(), p->excludes.end(), q->name) == p->excludes.end(),
            "method '{}': {} does not go with {}", name, p->name, q->name);
  return method;
}

int64_t training_steps(const Method& method, const Options& o) {
  const MethodEntry& trainer = *method.parts.front();
  return trainer.steps ? trainer.steps(o) : o.steps;
}

double estimated_work(const Method& method, const Options& o) {
  const MethodEntry& trainer = *method.parts.front();
  const double steps = trainer.work ? trainer.work(o) : static_cast<double>(training_steps(method, o));
  double each = 1, more = 0.3 * static_cast<double>(o.steps);  // evaluation
  for (const MethodEntry* part : method.parts) {
    each += part->step_work;
    if (part != &trainer && part->work) more += part->work(o);
  }
  return steps * each + more;
}

const std::vector<std::string>& standard_methods() {
  static const std::vector<std::string> all = {
      "source",
      "bn-stats",
      "linear-probe",
      "lp-ft",
      "sgd",
      "l2sp",
      "wise",
      "lwf",
      "frozen-bn",
      "frozen-classifier",
      "sgd-restart",
      "local-sgd",
      "lolsgd",
      "frozen-classifier+lolsgd",
      "frozen-classifier+lolsgd+distill",
      "frozen-classifier+lolsgd+distill+rank",
      "seen-softmax",
      "seen-softmax+align",
      "seen-softmax+gate",
      "holt",
      "oracle",
  };
  return all;
}

}  // namespace holt::transfer
