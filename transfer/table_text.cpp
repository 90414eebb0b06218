#include "transfer/table_text.h"

#include <algorithm>

#include "kernels/error.h"

namespace holt::transfer {
namespace {

// Code points: every character that a table holds is one column wide.
int64_t width_of(const std::string& text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; });
}

std::string spaces(int64_t n) { return std::string(static_cast<size_t>(std::max<int64_t>(n, 0)), ' '); }

// "frozen-classifier+lolsgd+rank" in lines no wider than `width`, broken before a '+'; a part that is wider stays
// whole.
std::vector<std::string> broken(const std::string& name, int64_t width) {
  std::vector<std::string> lines = {""};
  size_t begin = 0;
  while (begin < name.size()) {
    const size_t end = std::min(name.find('+', begin + 1), name.size());
    const std::string part = name.substr(begin, end - begin);
    if (!lines.back().empty() && width_of(lines.back()) + width_of(part) > width) lines.push_back("  ");
    lines.back() += part;
    begin = end;
  }
  return lines;
}

// Words of `text` in lines no wider than `width`; lines after the first are set in by two more.
std::string wrapped(const std::string& text, int64_t width) {
  const size_t indent = std::min(text.find_first_not_of(' '), text.size());
  std::string result = text.substr(0, indent);
  int64_t used = static_cast<int64_t>(indent);
  bool first = true;
  for (size_t begin = indent; begin < text.size();) {
    const size_t end = std::min(text.find(' ', begin), text.size());
    const std::string word = text.substr(begin, end - begin);
    if (!first && used + 1 + width_of(word) > width) {
      result.append("\n").append(spaces(static_cast<int64_t>(indent) + 2));
      used = static_cast<int64_t>(indent) + 2;
    } else if (!first) {
      result += " ";
      ++used;
    }
    result += word;
    used += width_of(word);
    first = false;
    begin = end + 1;
  }
  return result + "\n";
}

std::string joined(const Cell& cell) { return cell.more.empty() ? cell.text : cell.text + " " + cell.more; }

// What the terminal shows: ± for the overall column, won/of for the comparison.
std::string terminal_cell(const Column& column, const Cell& cell) {
  return column.key == "overall" || column.key == "vs sgd" ? joined(cell) : cell.text;
}

// "γ best‡" → "γbest‡": columns are dear here.
std::string terminal_title(const Column& column) {
  std::string title = column.title;
  if (title.starts_with("γ ")) title.erase(std::string("γ").size(), 1);
  return title;
}

std::string published_line(const Published& p) {
  std::string line = p.what + ", " + p.network + ": " + percent(p.overall);
  if (p.seen && p.unseen) line += format(" (seen {}, unseen {})", percent(*p.seen), percent(*p.unseen));
  return line;
}

std::string escaped_pipe(std::string text) {
  for (size_t at = 0; (at = text.find_first_of("|\n", at)) != std::string::npos; at += 2)
    text.replace(at, 1, text[at] == '|' ? "\\|" : "  ");
  return text;
}

}  // namespace

std::string terminal_table(const Table& table, const TerminalStyle& style) {
  const Grid g = grid(table);
  // Columns are as wide as they must be; the methods' names take what is left.
  std::vector<int64_t> widths;
  int64_t taken = 0;
  for (size_t c = 0; c < g.columns.size(); ++c) {
    int64_t w = width_of(terminal_title(g.columns[c]));
    for (const auto& row : g.cells) w = std::max(w, width_of(terminal_cell(g.columns[c], row[c])));
    widths.push_back(w);
    taken += w + 2;
  }
  int64_t longest = 6;
  for (const TableRow& row : table.rows) longest = std::max(longest, width_of(row_name(row)));
  const int64_t room = std::max<int64_t>(style.width - taken, 20);
  int64_t names = std::min(longest, room);
  for (const TableRow& row : table.rows)
    for (const std::string& line : broken(row_name(row), names)) names = std::max(names, width_of(line));

  std::string rule;
  for (int64_t i = 0; i < names + taken; ++i) rule += "─";
  std::string out = "method" + spaces(names - 6);
  for (size_t c = 0; c < g.columns.size(); ++c)
    out += "  " + spaces(widths[c] - width_of(terminal_title(g.columns[c]))) + terminal_title(g.columns[c]);
  out += "\n" + rule + "\n";
  for (size_t r = 0; r < table.rows.size(); ++r) {
    const std::vector<std::string> lines = broken(row_name(table.rows[r]), names);
    out += lines.front() + spaces(names - width_of(lines.front()));
    for (size_t c = 0; c < g.columns.size(); ++c) {
      const std::string text = terminal_cell(g.columns[c], g.cells[r][c]);
      const std::string gap = spaces(widths[c] - width_of(text) + 1);  // and one more column, where the * stands
      if (!g.cells[r][c].best)
        out += gap + " " + text;
      else
        out += gap + (style.bold ? format(" \033[1m{}\033[0m", text) : "*" + text);
    }
    out += "\n";
    for (size_t i = 1; i < lines.size(); ++i) out += lines[i] + "\n";
  }
  out += rule + "\n";
  for (const Published& p : table.published) out += wrapped("published: " + published_line(p), style.width);
  if (!table.published.empty()) out += wrapped(published_remark(), style.width);
  for (const std::string& line : footnotes(table, style.bold ? "Bold" : "*")) out += wrapped(line, style.width);
  return out;
}

std::string markdown_table(const Table& table) {
  const Grid g = grid(table);
  std::string head = "| method |", rule = "|:--|";
  for (const Column& column : g.columns) {
    head += format(" {} |", column.title);
    rule += "--:|";
  }
  std::string out = format("{}\n{}\n", head, rule);
  for (size_t r = 0; r < table.rows.size(); ++r) {
    out += format("| {} |", escaped_pipe(row_name(table.rows[r])));
    for (const Cell& cell : g.cells[r]) {
      const std::string text = cell.best ? format("**{}**", cell.text) : cell.text;
      out += format(cell.more.empty() ? " {}{} |" : " {} {} |", text, cell.more);
    }
    out += "\n";
  }
  out += "\n";
  for (const Published& p : table.published) out += format("* Published: {}\n", published_line(p));
  if (!table.published.empty()) out += format("* {}\n", published_remark());
  for (const std::string& line : footnotes(table)) {
    const bool nested = line.starts_with("  ");
    out += (nested ? "  * " : "* ") + escaped_pipe(line.substr(nested ? 2 : 0)) + "\n";
  }
  return out;
}

}  // namespace holt::transfer
