#include "data/image_lists.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <set>
#include <sstream>

#include "kernels/error.h"
#include "kernels/file.h"

namespace holt::data {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMostListed = 1'000'000;
constexpr std::string_view kBlank = " \t\r";

std::string_view trim(std::string_view s) {
  const size_t begin = s.find_first_not_of(kBlank);
  return begin == s.npos ? "" : s.substr(begin, s.find_last_not_of(kBlank) - begin + 1);
}

bool parse(std::string_view text, int64_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

// "a path 12" → the path and the label's text; the label is empty if the line has only one word.
std::pair<std::string_view, std::string_view> cut_line(std::string_view line) {
  const size_t blank = line.find_last_of(kBlank);
  if (blank == line.npos) return {line, ""};
  return {trim(line.substr(0, blank)), line.substr(blank + 1)};
}

std::vector<std::string> lines_of(const std::string& path) {
  std::istringstream in(read_file(path));
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) {
    if (lines.empty() && line.starts_with("\xEF\xBB\xBF")) line.erase(0, 3);  // Windows' byte order mark
    lines.emplace_back(trim(line));
  }
  return lines;
}

bool is_list(const std::vector<std::string>& lines) {
  const auto first = std::find_if(lines.begin(), lines.end(), [](const std::string& l) { return !l.empty(); });
  int64_t label;
  return first != lines.end() && parse(cut_line(*first).second, label);
}

std::vector<ImageFile> read_list(const fs::path& folder, const fs::path& list, const std::vector<std::string>& lines,
                                 int64_t classes) {
  std::vector<ImageFile> files;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].empty()) continue;
    const auto [path, text] = cut_line(lines[i]);
    int64_t label = 0;
    check(!path.empty() && parse(text, label), "{}: line {}: expected 'path label', got '{}'", list.string(), i + 1,
          lines[i]);
    check(label >= 0 && label < classes, "{}: line {}: label {} is outside 0 … {}", list.string(), i + 1, label,
          classes - 1);
    files.push_back({(folder / path).string(), label, format("{}:{}", list.filename().string(), i + 1)});
  }
  return files;
}

// The folders that hold the files, where they tell the labels apart; else the labels as numbers.
std::vector<std::string> class_names(const ImageDomains& all, size_t count) {
  std::vector<std::string> names(count);
  bool tell = true;
  for (const auto& [domain, d] : all.domains)
    for (const auto* part : {&d.train, &d.test})
      for (const ImageFile& f : *part) {
        std::string& name = names[static_cast<size_t>(f.label)];
        const std::string parent = fs::path(f.path).parent_path().filename().string();
        if (name.empty()) name = parent;
        tell = tell && name == parent;
      }
  if (tell && std::set<std::string>(names.begin(), names.end()).size() == count) return names;
  for (size_t k = 0; k < count; ++k) names[k] = std::to_string(k);
  return names;
}

void check_classes(const std::string& folder, const ImageDomains& all, size_t count, bool named) {
  std::vector<bool> used(count);
  for (const auto& [domain, d] : all.domains)
    for (const auto* part : {&d.train, &d.test})
      for (const ImageFile& f : *part) used[static_cast<size_t>(f.label)] = true;
  const auto unused = std::find(used.begin(), used.end(), false);
  if (unused == used.end()) return;
  const auto k = static_cast<size_t>(unused - used.begin());
  if (named) fail("{}: class {} ('{}') of classes.txt has no image in any list", folder, k, all.classes[k]);
  fail("{}: labels go up to {}, but no list has an image with label {}{}", folder, count - 1, k,
       k == 0 ? "; labels count from 0" : "");
}

}  // namespace

std::optional<ImageDomains> read_image_lists(const std::string& folder) {
  std::map<std::string, std::vector<std::string>> lists;  // by the name without .txt
  ImageDomains all;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const fs::path& path = entry.path();
    std::error_code ignored;
    if (path.extension() != ".txt" || path.filename().string().starts_with(".") || !entry.is_regular_file(ignored))
      continue;
    std::vector<std::string> lines = lines_of(path.string());
    if (path.filename() == "classes.txt") {
      while (!lines.empty() && lines.back().empty()) lines.pop_back();
      all.classes = std::move(lines);
    } else if (is_list(lines)) {
      lists[path.stem().string()] = std::move(lines);
    }
  }
  if (lists.empty()) return std::nullopt;

  const bool named = !all.classes.empty();
  const auto read = [&](const std::string& name) {
    return read_list(folder, fs::path(folder) / (name + ".txt"), lists.at(name),
                     named ? std::ssize(all.classes) : kMostListed);
  };
  for (const auto& [name, lines] : lists) {
    const auto part = [&](const char* ending) {
      return name.ends_with(ending) ? name.substr(0, name.size() - std::string_view(ending).size()) : "";
    };
    const std::string train = part("_train"), test = part("_test"), domain = train + test;
    if (domain.empty()) {
      if (!all.domains.contains(name)) all.domains[name] = {read(name), {}, false};
      continue;
    }
    const std::string other = domain + (train.empty() ? "_train" : "_test");
    check(lists.contains(other), "{}: {}.txt is there, but {}.txt is not; both are needed", folder, name, other);
    if (!train.empty()) all.domains[domain] = {read(name), read(other), true};
  }
  int64_t last = -1;
  for (const auto& [name, d] : all.domains)
    for (const auto* files : {&d.train, &d.test})
      for (const ImageFile& f : *files) last = std::max(last, f.label);
  const size_t count = named ? all.classes.size() : static_cast<size_t>(last + 1);
  check_classes(folder, all, count, named);
  if (!named) all.classes = class_names(all, count);
  return all;
}

}  // namespace holt::data
