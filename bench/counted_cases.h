// Cases run on the counting emulator (kernels/simt/counters.h), and what they asked of the memory system as a table.
#pragma once
#include <string>
#include <vector>

#include "kernels/simt/counters.h"
#include "tests/harness/case.h"

namespace holt::bench {

/// What one call of the case's op does with this rung; empty: the production rung.
std::vector<simt::KernelCounts> count_case(const test::Case& c, std::string_view rung);

/// What it launches.
std::vector<simt::KernelCounts> launches_of_case(const test::Case& c, std::string_view rung);

/// Of each op and dtype the case with the most compulsory bytes among the family's Scope::study cases.
std::vector<test::Case> study_cases(const test::CaseFamily& family);

/// Rows of a Markdown table of the rungs of a case, or of the kernels' lines.
extern const std::string_view kRungHeader, kLineHeader;
std::string rung_row(const test::Case& c, std::string_view rung, const std::vector<simt::KernelCounts>& kernels);
std::string line_rows(const std::vector<simt::KernelCounts>& kernels);

}  // namespace holt::bench
