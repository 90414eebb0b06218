#include "data/leaf.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "kernels/error.h"
#include "kernels/file.h"

namespace holt::data {
namespace {

using Json = nlohmann::json;

// Where the parser stands is told by the depth of containers: 1 the file's object, 2 user_data, 3 a user, 4 its x or y,
// 5 one image. All else in the file is passed over.
class Reader : public nlohmann::json_sax<Json> {
 public:
  Reader(const std::string& path, int64_t classes, std::map<std::string, LeafUser>& users)
      : path_(path), classes_(classes), users_(users) {}
  bool found() const { return found_; }

  bool null() override { return scalar("null"); }
  bool boolean(bool) override { return scalar("a truth value"); }
  bool string(string_t&) override { return scalar("a string"); }
  bool binary(binary_t&) override { return scalar("bytes"); }
  bool number_integer(number_integer_t v) override { return number(static_cast<double>(v)); }
  bool number_unsigned(number_unsigned_t v) override { return number(static_cast<double>(v)); }
  bool number_float(number_float_t v, const string_t&) override { return number(v); }

  bool start_object(size_t) override { return open(true); }
  bool start_array(size_t) override { return open(false); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    if (depth_ == 1) top_ = name;
    if (depth_ == 2) name_ = name;
    if (depth_ == 3) field_ = name;
    return true;
  }
  bool parse_error(size_t position, const std::string&, const Json::exception& e) override {
    fail("{}: not JSON at byte {}: {}", path_, position, e.what());
  }

 private:
  bool inside() const { return top_ == "user_data" && (depth_ < 4 || field_ == "x" || field_ == "y"); }
  std::string place() const { return depth_ >= 3 ? format("{}: user {}", path_, name_) : path_; }
  [[noreturn]] void fail_structure(const char* got) const {
    fail("{}: not LEAF's structure: expected {}, got {}", place(),
         depth_ == 0     ? "an object"
         : depth_ == 1   ? "user_data to be an object"
         : depth_ == 2   ? "a user to be an object with x and y"
         : depth_ == 3   ? field_ + " to be an array"
         : field_ == "x" ? "images that are arrays of 784 numbers"
                         : "labels that are integers",
         got);
  }

  bool open(bool object) {
    const bool wanted = object ? depth_ <= 2 : depth_ == 3 || (depth_ == 4 && field_ == "x");
    const bool matters = depth_ == 0 || (top_ == "user_data" && (depth_ < 3 || field_ == "x" || field_ == "y"));
    if (matters && !wanted) fail_structure(object ? "an object" : "an array");
    if (matters && depth_ == 1) found_ = true;
    if (matters && depth_ == 2) {
      check(!users_.contains(name_), "{}: user {} is there already, in this file or another one", path_, name_);
      user_ = &users_[name_];
      has_x_ = has_y_ = false;
    }
    if (matters && depth_ == 3) {
      bool& there = field_ == "x" ? has_x_ : has_y_;
      check(!there, "{}: user {} has {} twice", path_, name_, field_);
      there = true;
    }
    ++depth_;
    return true;
  }

  bool close() {
    --depth_;
    if (top_ != "user_data") return true;
    if (depth_ == 4 && field_ == "x")
      check(user_->pixels.size() % kLeafPixels == 0 && pixels_ == kLeafPixels,
            "{}: image {} has {} numbers, expected {}", place(), (std::ssize(user_->pixels) - 1) / kLeafPixels, pixels_,
            kLeafPixels);
    pixels_ = 0;
    if (depth_ == 2) {
      check(has_x_ && has_y_, "{}: user {} has no {}", path_, name_, has_x_ ? "y" : "x");
      const int64_t images = std::ssize(user_->pixels) / kLeafPixels;
      check(images == std::ssize(user_->labels), "{}: user {} has {} images, but {} labels", path_, name_, images,
            user_->labels.size());
    }
    return true;
  }

  // The message is made only for an Error: this runs for each pixel of gigabytes.
  bool number(double v) {
    if (depth_ == 5 && inside() && field_ == "x") {
      if (!(v >= 0 && v <= 1)) [[unlikely]]
        fail("{}: image {}: the pixel {} is outside 0 … 1", place(), std::ssize(user_->pixels) / kLeafPixels, v);
      ++pixels_;
      user_->pixels.push_back(static_cast<uint8_t>(255 * v + 0.5));
    } else if (depth_ == 4 && inside() && field_ == "y") {
      if (v != std::floor(v) || v < 0 || v >= static_cast<double>(classes_))
        fail("{}: label {} is outside 0 … {}", place(), v, classes_ - 1);
      user_->labels.push_back(static_cast<int64_t>(v));
    } else {
      return scalar("a number");
    }
    return true;
  }

  // Anything that is no container where one is expected, or no number where that is.
  bool scalar(const char* what) const {
    const bool matters = depth_ == 0 || (top_ == "user_data" && (depth_ < 3 || field_ == "x" || field_ == "y"));
    if (matters) fail_structure(what);
    return true;
  }

  const std::string& path_;
  int64_t classes_;
  std::map<std::string, LeafUser>& users_;
  LeafUser* user_ = nullptr;
  int64_t depth_ = 0, pixels_ = 0;
  std::string top_, name_, field_;
  bool found_ = false, has_x_ = false, has_y_ = false;
};

}  // namespace

void read_leaf(const std::string& path, int64_t classes, std::map<std::string, LeafUser>& users) {
  const MappedFile file(path);
  const char* text = reinterpret_cast<const char*>(file.data());
  check(file.size() > 0, "{}: the file is empty", path);
  Reader reader(path, classes, users);
  Json::sax_parse(text, text + file.size(), &reader);
  check(reader.found(), "{}: not LEAF's structure: it has no user_data", path);
}

}  // namespace holt::data
