// report.html: a whole study on one page, one file, no network.
//
//   write_atomically(out + "/report.html", render_report({.results = outcome.results, .command = "holt transfer …"}));
//
// The page (transfer/report/: template, style, scripts) is part of the program. What JavaScript draws comes from one
// JSON block in the page (report/data.cpp); the table, the footnotes and the options are plain HTML (report/html.cpp)
// and need none. A file of 200 jobs with 62 classes has about 2 MB.
#pragma once
#include <string>
#include <vector>

#include "transfer/result.h"

namespace holt::transfer {

/// One image to show. Pictures of a target domain are matched with each Result's samples by position.
struct Picture {
  std::string png;       ///< a PNG file's bytes; at most about 96 pixels a side: each is in the page as it is
  std::string domain;    ///< of the source or of a target
  int64_t position = 0;  ///< in the domain's test part
  int64_t label = 0;
  std::string caption = {};  ///< more to say on hovering
};

struct ReportInput {
  std::vector<Result> results;  ///< of one data set, with equal classes; failed jobs too
  std::vector<Picture> pictures = {};
  std::string command = {};             ///< what repeats the run
  std::string date = {};                ///< as it is to be shown
  std::vector<std::string> notes = {};  ///< more lines below the table
};

/// The page. Errors: no results, results of different data sets or class lists, a label outside the classes.
std::string render_report(const ReportInput& input);

}  // namespace holt::transfer
