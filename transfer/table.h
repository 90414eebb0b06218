// The results of many jobs as a table: one row for each method.
//
//   mean           over the tasks (source → target) of the mean over seeds: a task weighs the same however many of its
//                  jobs failed
//   ± deviation    over seeds, of the mean over tasks (n − 1); only seeds that finished every task of the row count
//   against sgd    the paired difference in overall accuracy: same task, same seed; a target is won if its mean over
//                  seeds is larger
//
// Writers (terminal, Markdown, CSV, JSON) are in transfer/table_text.h; the page is in transfer/report.h.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "transfer/published.h"
#include "transfer/result.h"
#include "transfer/summary.h"

namespace holt::transfer {

/// One number of a method. Fractions 0 … 1 for accuracies.
struct Statistic {
  double mean = 0;
  Summary tasks;  ///< of each task's mean over seeds: its std is the spread between targets
  Summary seeds;  ///< of each complete seed's mean over tasks: its std says how far another seed may lie
  /// The deviation over seeds; none for fewer than two.
  std::optional<double> deviation() const { return seeds.n > 1 ? std::optional(seeds.std) : std::nullopt; }
};

struct TableRow {
  std::string method, selection;
  int64_t jobs = 0, failed = 0;  ///< finished; not
  Statistic overall, seen, unseen, hmean, ausuc, seconds;
  std::map<std::string, Statistic> calibrated = {};  ///< overall accuracy by "alg", "pcv", "best"
  std::optional<Paired> against_sgd = {};            ///< over tasks; none for sgd itself and where no pair exists

  /// What no one could have: chosen on test accuracy, or trained on all classes.
  bool peeked() const { return selection == "oracle"; }
  /// Source and oracle frame the methods and do not compete with them.
  bool competes() const { return method != "source" && method != "oracle" && !peeked() && jobs > 0; }
};

struct Failure {
  std::string method, task, error;
  uint64_t seed;
};

struct Table {
  std::string data;
  std::vector<std::string> tasks;         ///< as task_names() has them, in the order of the results
  std::vector<uint64_t> seeds;            ///< ascending
  std::vector<std::string> selections;    ///< none, pcv, oracle: those that occur
  std::vector<std::string> calibrations;  ///< alg, pcv, best: those that occur
  std::vector<TableRow> rows;             ///< standard_methods() first, then as they come
  std::vector<Failure> failures;
  std::vector<Published> published;
  std::vector<std::string> notes;  ///< more lines to stand below the table

  const TableRow* find(const std::string& method) const;
  /// The best of the rows that compete, by overall accuracy; null if there is none.
  const TableRow* best() const;
};

/// Of jobs that were done twice (equal data, source, target, method, seed and selection) the last one stands.
std::vector<Result> latest(std::vector<Result> results);

/// One for each result: the target's name; "source → target" if the results have several sources.
std::vector<std::string> task_names(const std::vector<Result>& results);

/// Error if the results are of more than one data set.
Table tabulate(const std::vector<Result>& results);

/// What every writer shows, ready to be set.
struct Cell {
  std::string text;                  ///< "76.4", "+6.0", "–" for nothing
  std::string more = {};             ///< "±0.4", "10/10", or nothing
  std::optional<double> value = {};  ///< to sort by
  bool best = false;                 ///< of its column, among the rows that compete; equal texts are equally good
};
/// In all of them larger is better. Times are no column: an interrupted and repeated run leaves the same table, bit for
/// bit.
struct Column {
  std::string key, title, help;
};
struct Grid {
  std::vector<Column> columns;           ///< without the methods' names
  std::vector<std::vector<Cell>> cells;  ///< [rows][columns]
};
Grid grid(const Table& table);

/// The method's name with its mark: "sgd †" for a row that was chosen on test accuracy.
std::string row_name(const TableRow& row);

/// The lines below the table: how hyperparameters were chosen, what ± and the marks mean, what failed. `best` names
/// what marks the best: "*" where text cannot be bold.
std::vector<std::string> footnotes(const Table& table, const std::string& best = "Bold");

/// "76.4" for 0.764.
std::string percent(double fraction);
/// "+6.0", "−0.3", "0.0".
std::string signed_percent(double fraction);

}  // namespace holt::transfer
