// CSV (RFC 4180): fields in quotes may hold commas, line breaks and doubled quotes; lines end in \n, \r\n or \r.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace holt::data {

/// Calls row(fields, line) for each row below the header, with the named columns' fields in that order; `line` is where
/// the row begins, from 1. Empty lines are skipped. Errors name the file, and the line: a column that is missing or
/// there twice, a row with more or fewer fields than the header, a quote that does not end or stands inside a bare
/// field.
void read_csv(const std::string& path, const std::vector<std::string>& columns,
              const std::function<void(const std::vector<std::string>& fields, int64_t line)>& row);

}  // namespace holt::data
