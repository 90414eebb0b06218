#include "transfer/journal.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/json.h"
#include "kernels/error.h"
#include "kernels/file.h"

namespace holt::transfer {
namespace {

// Calls f(result) for every whole line; returns the bytes up to the end of the last one.
template <class F>
size_t read_lines(const std::string& path, F&& f) {
  if (!std::filesystem::exists(path)) return 0;
  const std::string text = read_file(path);
  size_t begin = 0;
  for (int64_t number = 1; begin < text.size(); ++number) {
    const size_t end = text.find('\n', begin);
    if (end == std::string::npos) break;
    Result result;
    try {
      parse_json(std::string_view(text).substr(begin, end - begin)).get_to(result);
    } catch (const nlohmann::json::exception& e) {
      fail("{}: line {} is no result of holt ({}); remove that line, and its job is done again; nothing was changed",
           path, number, e.what());
    }
    f(std::move(result));
    begin = end + 1;
  }
  return begin;
}

void keep_last(std::vector<Result>& results, Result result) {
  const auto same = std::find_if(results.begin(), results.end(), [&](const Result& r) { return r.id == result.id; });
  if (same == results.end())
    results.push_back(std::move(result));
  else
    *same = std::move(result);
}

}  // namespace

Journal::Journal(std::string path) : path_(std::move(path)) {
  const size_t whole = read_lines(path_, [&](Result r) { keep(std::move(r)); });
  if (std::filesystem::exists(path_) && std::filesystem::file_size(path_) > whole) {
    std::error_code problem;
    std::filesystem::resize_file(path_, whole, problem);
    check(!problem, "{}: its last line is cut off and cannot be removed: {}", path_, problem.message());
    repaired_ = true;
  }
}

void Journal::keep(Result result) { keep_last(results_, std::move(result)); }

const Result* Journal::find(const std::string& id) const {
  for (const Result& r : results_)
    if (r.id == id && r.error.empty()) return &r;
  return nullptr;
}

void Journal::add(const Result& result) {
  const std::string line =
      json_text(nlohmann::json(result), -1, NotUtf8::replace);  // a file's name in a message need not be UTF-8
  const std::lock_guard lock(mutex_);
  append_line(path_, line);
  keep(parse_json(line).get<Result>());  // as another run will read it: some numbers are rounded
}

std::vector<Result> read_results(const std::string& path) {
  check(std::filesystem::exists(path), "{}: no such file", path);
  std::vector<Result> results;
  read_lines(path, [&](Result r) { keep_last(results, std::move(r)); });
  return results;
}

}  // namespace holt::transfer
