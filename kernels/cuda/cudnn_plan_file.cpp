#include "kernels/cuda/cudnn_plan_file.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string_view>

#include "kernels/error.h"
#include "kernels/file.h"
#include "kernels/hash.h"

namespace holt::cudnn {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view kTitle = "holt cudnn plans ", kVersion = "1", kPrefix = "cudnn_plans.";

// JSON takes a space wherever it takes these, and a reason may.
std::string one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c == '\n' || c == '\r' || c == '\t'; }, ' ');
  return text;
}

std::string text_of(const PlanFile& file) {
  std::string text = format("{}{}\ncudnn {}\ngpu {}\n", kTitle, kVersion, file.cudnn, file.gpu);
  for (const auto& [problem, p] : file.plans)
    text += format("{}\t{}\t{}\t{}\t{}\n", problem, p.source, p.engine, p.workspace, one_line(p.json));
  return text + format("end {} {}\n", file.plans.size(), fnv1a(text));
}

// Cuts the text up to the next `end` (and that) off `rest`; nothing if there is none.
std::optional<std::string_view> cut(std::string_view& rest, char end) {
  const size_t at = rest.find(end);
  if (at == rest.npos) return {};
  const std::string_view piece = rest.substr(0, at);
  rest.remove_prefix(at + 1);
  return piece;
}

std::optional<std::string_view> cut_line(std::string_view& rest, std::string_view begins_with) {
  const auto line = cut(rest, '\n');
  if (!line || !line->starts_with(begins_with)) return {};
  return line->substr(begins_with.size());
}

std::optional<KeptPlan> parse_plan(std::string_view line) {
  const auto source = cut(line, '\t'), engine = cut(line, '\t'), workspace = cut(line, '\t');
  if (!workspace) return {};
  KeptPlan p{Source::own, std::string(*engine), 0, std::string(line)};
  const auto known = {Source::heuristic, Source::timed, Source::own};
  const auto found = std::find_if(known.begin(), known.end(), [&](Source s) { return to_string(s) == *source; });
  const char* const last = workspace->data() + workspace->size();
  const auto [end, error] = std::from_chars(workspace->data(), last, p.workspace);
  if (found == known.end() || error != std::errc{} || end != last || p.workspace < 0) return {};
  p.source = *found;
  return p;
}

// The file's content, or why it cannot be used.
std::optional<PlanFile> parse(std::string_view text, std::string& why) {
  std::string_view rest = text;
  const auto version = cut_line(rest, kTitle);
  why = "it is not a file of cuDNN plans";
  if (!version) return {};
  why = format("it has the format {} of another holt, and this one writes {}", *version, kVersion);
  if (*version != kVersion) return {};
  why = "it is damaged or lacks its end";
  const auto cudnn = cut_line(rest, "cudnn "), gpu = cut_line(rest, "gpu ");
  if (!cudnn || !gpu) return {};
  PlanFile file{std::string(*cudnn), std::string(*gpu), {}};
  while (!rest.empty()) {
    const size_t before = text.size() - rest.size();
    auto line = cut(rest, '\n');
    if (!line) return {};
    if (line->starts_with("end ")) {
      if (!rest.empty() || *line != format("end {} {}", file.plans.size(), fnv1a(text.substr(0, before)))) return {};
      why.clear();
      return file;
    }
    const auto problem = cut(*line, '\t');
    auto plan = problem ? parse_plan(*line) : std::nullopt;
    if (!plan) return {};
    file.plans.emplace(*problem, std::move(*plan));
  }
  return {};
}

// Whether a file stands for this cuDNN and GPU.
bool fits(const PlanFile& file, const std::string& cudnn, const std::string& gpu, std::string& why) {
  if (file.cudnn != cudnn)
    why = format("it is from cuDNN {}, and this is {}", file.cudnn, cudnn);
  else if (file.gpu != gpu)
    why = format("it is for the GPU '{}', and this is '{}'", file.gpu, gpu);
  else
    return true;
  return false;
}

}  // namespace

std::string to_string(Source s) { return s == Source::heuristic ? "heuristic" : s == Source::timed ? "timed" : "own"; }

std::string cache_folder() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value ? value : "");
  };
  if (std::getenv("HOLT_CACHE_DIR")) return variable("HOLT_CACHE_DIR");
  if (const std::string cache = variable("XDG_CACHE_HOME"); !cache.empty()) return cache + "/holt";
  if (const std::string home = variable("HOME"); !home.empty()) return home + "/.cache/holt";
  return "";
}

std::string plan_path(const std::string& gpu) {
  const std::string folder = cache_folder();
  if (folder.empty()) return "";
  std::string name = gpu;
  const auto plain = [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); };
  std::replace_if(
      name.begin(), name.end(), [&](char c) { return !plain(c); }, '_');
  return format("{}/{}{}", folder, kPrefix, name);
}

std::map<std::string, KeptPlan> read_plans(const std::string& path, const std::string& cudnn, const std::string& gpu) {
  std::string why;
  try {
    if (path.empty() || !fs::exists(path)) return {};
    auto file = parse(read_file(path), why);
    if (file && fits(*file, cudnn, gpu, why)) return std::move(file->plans);
  } catch (const std::exception& e) { why = e.what(); }
  std::fprintf(stderr, "holt: the cuDNN plans in %s are not used: %s. They are made anew.\n", path.c_str(),
               why.c_str());
  return {};
}

void write_plans(const std::string& path, PlanFile file) {
  std::error_code error;
  fs::create_directories(fs::path(path).parent_path(), error);  // write_atomically names what is wrong with it
  if (fs::exists(path, error)) {
    std::string why;
    auto earlier = parse(read_file(path), why);
    if (earlier && fits(*earlier, file.cudnn, file.gpu, why)) file.plans.merge(earlier->plans);
  }
  write_atomically(path, text_of(file));
}

std::vector<std::pair<std::string, PlanFile>> all_plan_files() {
  std::vector<std::pair<std::string, PlanFile>> all;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(cache_folder(), error)) {
    const std::string path = entry.path().string();
    if (!entry.path().filename().string().starts_with(kPrefix)) continue;
    std::string why;
    try {
      if (auto file = parse(read_file(path), why)) {
        all.emplace_back(path, std::move(*file));
        continue;
      }
    } catch (const Error& e) { why = e.message(); }
    all.emplace_back(path, PlanFile{"", why, {}});
  }
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  return all;
}

}  // namespace holt::cudnn
