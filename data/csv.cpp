#include "data/csv.h"

#include <algorithm>
#include <string_view>

#include "kernels/error.h"
#include "kernels/file.h"

namespace holt::data {
namespace {

class Records {
 public:
  Records(const std::string& path, std::string_view text) : path_(path), text_(text) {
    if (text_.starts_with("\xEF\xBB\xBF")) at_ = 3;  // Windows' byte order mark
  }
  /// False at the end. `line` becomes the line on which the record begins.
  bool next(std::vector<std::string>& fields, int64_t& line) {
    for (; at_ < text_.size() && (text_[at_] == '\n' || text_[at_] == '\r'); ++at_) line_ += ends_line();
    if (at_ == text_.size()) return false;
    line = line_;
    fields.clear();
    do {
      fields.emplace_back();
      read_field(fields.back());
    } while (at_ < text_.size() && text_[at_] == ',' && ++at_);
    return true;
  }

 private:
  bool at_end() const { return at_ == text_.size() || text_[at_] == ',' || text_[at_] == '\n' || text_[at_] == '\r'; }

  // A lone \r, as old Macs wrote, counts too.
  bool ends_line() const {
    return text_[at_] == '\n' || (text_[at_] == '\r' && (at_ + 1 == text_.size() || text_[at_ + 1] != '\n'));
  }

  void read_field(std::string& field) {
    if (at_ == text_.size() || text_[at_] != '"') {
      while (!at_end()) {
        check(text_[at_] != '"', "{}: line {}: a quote inside a field that does not begin with one", path_, line_);
        field += text_[at_++];
      }
      return;
    }
    const int64_t begin = line_;
    for (++at_;; ++at_) {
      check(at_ < text_.size(), "{}: line {}: a quote that does not end", path_, begin);
      if (text_[at_] == '"' && !(at_ + 1 < text_.size() && text_[at_ + 1] == '"' && ++at_)) break;
      line_ += ends_line();
      field += text_[at_];
    }
    ++at_;
    check(at_end(), "{}: line {}: text behind a closing quote", path_, line_);
  }

  const std::string& path_;
  std::string_view text_;
  size_t at_ = 0;
  int64_t line_ = 1;
};

}  // namespace

void read_csv(const std::string& path, const std::vector<std::string>& columns,
              const std::function<void(const std::vector<std::string>&, int64_t)>& row) {
  const MappedFile file(path);
  Records records(path, {reinterpret_cast<const char*>(file.data()), file.size()});
  std::vector<std::string> header, record, chosen(columns.size());
  int64_t line = 0;
  check(records.next(header, line), "{}: the file is empty", path);
  std::vector<size_t> places;
  for (const std::string& c : columns) {
    const auto found = std::find(header.begin(), header.end(), c);
    check(found != header.end(), "{}: the header has no column '{}'", path, c);
    check(std::find(found + 1, header.end(), c) == header.end(), "{}: the header has the column '{}' twice", path, c);
    places.push_back(static_cast<size_t>(found - header.begin()));
  }
  while (records.next(record, line)) {
    check(record.size() == header.size(), "{}: line {}: {} fields, the header has {}", path, line, record.size(),
          header.size());
    for (size_t i = 0; i < places.size(); ++i) chosen[i] = record[places[i]];
    row(chosen, line);
  }
}

}  // namespace holt::data
