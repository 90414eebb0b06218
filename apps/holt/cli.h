// What the commands share of the command line: validators with messages that say what to write instead, help texts, and
// the suggestion for a mistyped word.
#pragma once
#include <CLI/CLI.hpp>
#include <functional>
#include <limits>
#include <string>
#include <vector>

namespace holt::app {

/// Adds options alike: add("Data", "--limit", value, "N", "Use the first N images only", integer(0)). The help shows
/// the value's default. An option without dashes is known by its position.
class AddOption {
 public:
  explicit AddOption(CLI::App& command) : command_(command) {}
  template <class T>
  CLI::Option* operator()(const std::string& group, const std::string& flag, T& value, const std::string& type,
                          const std::string& text, const CLI::Validator& validator) const {
    return command_.add_option(flag, value, text)
        ->type_name(type)
        ->group(group)
        ->check(validator)
        ->capture_default_str();
  }

 private:
  CLI::App& command_;
};

/// What a command does once its flags are read; returns the exit code.
using Action = std::function<int()>;

enum Exit { kOk = 0, kError = 1, kUsage = 2 };

/// An integer of at least `low`.
CLI::Validator integer(int64_t low = std::numeric_limits<int64_t>::min());
/// A finite number: low ≤ x, or low < x where `exclusive`; x ≤ high.
CLI::Validator number(double low, bool exclusive = false, double high = std::numeric_limits<double>::infinity());
/// One of the words; a mistyped one is answered with the nearest.
CLI::Validator one_of(std::vector<std::string> words);

/// Columns that UTF-8 text takes on a terminal (one a code point), and the text filled up to `width` of them.
size_t columns(const std::string& text);
std::string padded(const std::string& text, size_t width);

/// The lines of a text that are not empty, without Windows' carriage returns.
std::vector<std::string> lines_of(const std::string& text);

/// Usage, description, options by group with their defaults, examples (the app's footer).
std::string help(const CLI::App& app);

/// Parses and runs. Prints help, and errors as "holt: …" on stderr. Returns the exit code: 0, 1 for holt::Error and
/// anything else that went wrong, 2 for a wrong command line.
int run(CLI::App& app, const Action& action, int argc, char** argv);

}  // namespace holt::app
