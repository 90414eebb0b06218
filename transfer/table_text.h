// The table as text: for a terminal, for a README, for other programs.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "transfer/table.h"

namespace holt::transfer {

struct TerminalStyle {
  bool bold = false;  ///< the best by ANSI codes, where a terminal reads them; else by a * before them
  int64_t width = 100;
};

/// UTF-8, with rules and footnotes. The overall column alone carries its ±: all fit in the width; long methods' names
/// are broken at their '+'.
std::string terminal_table(const Table& table, const TerminalStyle& style = {});

/// A pipe table with every ±, then the footnotes as a list.
std::string markdown_table(const Table& table);

/// RFC 4180, one line for each method: fractions 0 … 1, empty for nothing. Columns NAME, NAME_std (over seeds),
/// NAME_target_std (between targets).
std::string summary_csv(const Table& table);

/// RFC 4180, one line for each job, failed ones too.
std::string jobs_csv(const std::vector<Result>& results);

/// {"data", "tasks", "seeds", "selections", "rows": [{"method", "overall": {"mean", "std", "target_std"}, …}], …}
nlohmann::json summary_json(const Table& table);

}  // namespace holt::transfer
