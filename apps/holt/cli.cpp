#include "apps/holt/cli.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <sstream>

#include "core/nearest.h"
#include "kernels/error.h"

namespace holt::app {
namespace {

template <class T>
bool parse(const std::string& text, T& x) {
  const char* end = text.data() + text.size();
  const auto r = std::from_chars(text.data(), end, x);
  return r.ec == std::errc() && r.ptr == end;
}

std::string joined(const std::vector<std::string>& words) {
  std::string all;
  for (size_t i = 0; i < words.size(); ++i) all += (i == 0 ? "" : i + 1 == words.size() ? " or " : ", ") + words[i];
  return all;
}

// `text` in lines of at most `width`, all but the first indented.
std::string wrap(const std::string& text, size_t indent, size_t width) {
  std::string out, word;
  size_t column = indent;
  const auto flush = [&] {
    if (word.empty()) return;
    if (column > indent && column + 1 + columns(word) > width) {
      out += "\n" + std::string(indent, ' ');
      column = indent;
    } else if (column > indent) {
      out += ' ';
      ++column;
    }
    out += word;
    column += columns(word);
    word.clear();
  };
  for (const char c : text) {
    if (c == ' ')
      flush();
    else
      word += c;
  }
  flush();
  return out;
}

constexpr size_t kWidth = 100, kIndent = 26;

std::string option_line(const CLI::Option& o) {
  std::string name = o.get_snames().empty() ? "    " : "-" + o.get_snames()[0] + ", ";
  name = "  " + name + (o.get_lnames().empty() ? "" : "--" + o.get_lnames()[0]);
  if (o.get_positional()) name = "      " + o.get_name();
  if (o.get_items_expected_max() > 0 && !o.get_type_name().empty()) name += " " + o.get_type_name();
  std::string text = o.get_description();
  if (!o.get_default_str().empty() && o.get_items_expected_max() > 0) text += " [" + o.get_default_str() + "]";
  const size_t gap = columns(name) + 2 <= kIndent ? kIndent - columns(name) : 0;
  const std::string start = gap ? name + std::string(gap, ' ') : name + "\n" + std::string(kIndent, ' ');
  return start + wrap(text, kIndent, kWidth) + "\n";
}

std::vector<std::string> words_of_commands(const CLI::App& app) {
  std::vector<std::string> words;
  for (const CLI::App* s : app.get_subcommands([](const CLI::App*) { return true; })) words.push_back(s->get_name());
  return words;
}

std::vector<std::string> words_of(const CLI::App& app) {
  std::vector<std::string> words = words_of_commands(app);
  for (const CLI::Option* o : app.get_options())
    for (const std::string& l : o->get_lnames()) words.push_back("--" + l);
  return words;
}

// The command chosen, innermost first, and what it stands in: a command, its group, the program.
std::vector<CLI::App*> chosen_path(CLI::App& app) {
  std::vector<CLI::App*> path{&app};
  while (!path.front()->get_subcommands().empty()) path.insert(path.begin(), path.front()->get_subcommands().front());
  return path;
}

// "holt bench model"
std::string full_name(const CLI::App& app) {
  return (app.get_parent() ? full_name(*app.get_parent()) + " " : "") + app.get_name();
}

void allow_extras(CLI::App& app) {
  app.allow_extras();
  for (CLI::App* command : app.get_subcommands([](CLI::App*) { return true; })) allow_extras(*command);
}

// The first word of `app` or of the command chosen that nothing took; "" if all were.
std::string unknown_word(CLI::App& app) {
  for (CLI::App* a : chosen_path(app)) {
    const std::vector<std::string> rest = a->remaining();
    if (rest.empty()) continue;
    // A flag explains the value behind it.
    const auto flag = std::find_if(rest.begin(), rest.end(), [](auto& w) { return w.starts_with("-"); });
    const std::string word = (flag == rest.end() ? rest.front() : *flag);
    const std::string bare = word.substr(0, word.find('=')), guess = nearest(bare, words_of(*a));
    const bool command = !words_of_commands(*a).empty() && flag == rest.end();
    return (command              ? "there is no command '"
            : flag == rest.end() ? "unexpected word '"
                                 : "unknown option '") +
           bare + "'" + (guess.empty() ? "" : "; did you mean '" + guess + "'?");
  }
  return "";
}

int usage_error(const std::string& what, const CLI::App& chosen) {
  std::fprintf(stderr, "holt: %s\nSee: %s --help\n", what.c_str(), full_name(chosen).c_str());
  return kUsage;
}

}  // namespace

size_t columns(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string padded(const std::string& text, size_t width) {
  return text + std::string(width - std::min(width, columns(text)), ' ');
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    if (line.ends_with('\r')) line.pop_back();
    if (!line.empty()) lines.push_back(line);
  }
  return lines;
}

CLI::Validator integer(int64_t low) {
  return {[low](std::string& text) -> std::string {
            int64_t x = 0;
            if (!parse(text, x)) return "expected an integer, got '" + text + "'";
            return x >= low ? "" : format("must be at least {}, got {}", low, x);
          },
          ""};
}

CLI::Validator number(double low, bool exclusive, double high) {
  return {[=](std::string& text) -> std::string {
            double x = 0;
            if (!parse(text, x) || !std::isfinite(x)) return "expected a number, got '" + text + "'";
            if (x > low || (x == low && !exclusive))
              return x <= high ? "" : format("must be at most {}, got {}", high, x);
            return format("must be {} {}, got {}", exclusive ? "greater than" : "at least", low, x);
          },
          ""};
}

CLI::Validator one_of(std::vector<std::string> words) {
  return {[words = std::move(words)](std::string& text) -> std::string {
            if (std::find(words.begin(), words.end(), text) != words.end()) return "";
            const std::string guess = nearest(text, words);
            return "expected " + joined(words) + ", got '" + text + "'" +
                   (guess.empty() ? "" : "; did you mean '" + guess + "'?");
          },
          ""};
}

std::string help(const CLI::App& app) {
  const std::string name = full_name(app);
  const auto commands = app.get_subcommands([](const CLI::App*) { return true; });
  std::string words = commands.empty() ? "" : " COMMAND";
  for (const CLI::Option* o : app.get_options([](const CLI::Option* x) { return x->get_positional(); }))
    words += o->get_required() ? " " + o->get_name() : " [" + o->get_name() + "]";
  std::string out = wrap(app.get_description(), 0, kWidth) + "\n\nUsage: " + name + words + " [OPTIONS]\n";
  if (!commands.empty()) {
    out += "\nCommands:\n";
    for (const CLI::App* c : commands)
      out += "  " + c->get_name() + std::string(kIndent - 2 - c->get_name().size(), ' ') +
             wrap(c->get_description(), kIndent, kWidth) + "\n";
  }
  std::vector<std::string> groups = app.get_groups();
  std::rotate(groups.begin(), std::find(groups.begin(), groups.end(), "Options") + 1, groups.end());  // --help: last
  for (const std::string& group : groups) {
    std::string lines;
    for (const CLI::Option* o : app.get_options([&](const CLI::Option* x) { return x->get_group() == group; }))
      lines += option_line(*o);
    if (!lines.empty() && !group.empty()) out += "\n" + (group == "Options" ? "Other" : group) + ":\n" + lines;
  }
  return out + (app.get_footer().empty() ? "" : "\n" + app.get_footer() + "\n");
}

int run(CLI::App& app, const Action& action, int argc, char** argv) {
  const auto chosen = [&]() -> CLI::App& { return *chosen_path(app).front(); };
  allow_extras(app);  // reported below, with a guess at what was meant
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    std::fputs(help(chosen()).c_str(), stdout);
    return kOk;
  } catch (const CLI::CallForVersion& version) {
    std::puts(version.what());
    return kOk;
  } catch (const CLI::ArgumentMismatch& e) {
    const std::string what = e.what();
    return usage_error(what.substr(0, what.find(':')) + " needs one value", chosen());
  } catch (const CLI::ParseError& e) { return usage_error(e.what(), chosen()); }
  if (const std::string unknown = unknown_word(app); !unknown.empty()) return usage_error(unknown, chosen());
  if (!action) {
    std::fputs(help(chosen()).c_str(), stderr);
    return kUsage;
  }
  try {
    return action();
  } catch (const Error& e) { std::fprintf(stderr, "holt: %s\n", e.message().c_str()); } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "holt: out of memory\n");
  } catch (const std::exception& e) { std::fprintf(stderr, "holt: %s\n", e.what()); }
  return kError;
}

}  // namespace holt::app
