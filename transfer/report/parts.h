// The pieces of report.html. All texts from outside are escaped here.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "transfer/report.h"
#include "transfer/table.h"

namespace holt::transfer::report {

/// `text` for HTML's content and double-quoted attributes.
std::string escape(std::string_view text);
std::string base64(std::string_view bytes);

/// baseline, control, paper, ours or reference: how a method is drawn.
std::string family(const std::string& method);
/// What the method's parts do, in words: for a tooltip.
std::string describe(const std::string& method);

// report/html.cpp
std::string facts(const Table& table, const ReportInput& input);
std::string lead(const Table& table);
std::string table_html(const Table& table);
std::string footnotes_html(const Table& table);
std::string splits_html(const Table& table, const std::vector<Result>& results);
std::string methods_html(const Table& table, const std::vector<Result>& results);

/// The JSON block (report/data.cpp), safe inside a <script>: no '<', '>' or '&' in it.
std::string data_json(const Table& table, const std::vector<Result>& results, const std::vector<Picture>& pictures);

}  // namespace holt::transfer::report
