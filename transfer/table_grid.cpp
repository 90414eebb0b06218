// What stands in each cell, and what stands below the table.
#include <algorithm>
#include <cmath>

#include "kernels/error.h"
#include "transfer/table.h"

namespace holt::transfer {
namespace {

Cell accuracy(const Statistic& s) {
  if (s.tasks.n == 0) return {"–"};
  const std::optional<double> deviation = s.deviation();
  return {percent(s.mean), deviation ? "±" + percent(*deviation) : "", s.mean};
}

Cell difference(const std::optional<Paired>& p) {
  if (!p) return {"–"};
  return {signed_percent(p->difference.mean), format("{}/{}", p->won, p->difference.n), p->difference.mean};
}

void mark_best(const Table& table, Grid& g) {
  for (size_t c = 0; c < g.columns.size(); ++c) {
    const Cell* best = nullptr;
    for (size_t r = 0; r < table.rows.size(); ++r) {
      const Cell& cell = g.cells[r][c];
      if (table.rows[r].competes() && cell.value && (!best || *cell.value > *best->value)) best = &cell;
    }
    if (!best) continue;
    const std::string text = best->text;
    for (size_t r = 0; r < table.rows.size(); ++r)
      if (table.rows[r].competes()) g.cells[r][c].best = g.cells[r][c].text == text;
  }
}

std::string selection_line(const std::string& selection) {
  if (selection == "none")
    return "Hyperparameters: those of the benchmark's recipe, the same for every target (--select none).";
  if (selection == "pcv")
    return "Hyperparameters: chosen by pseudo-partial cross-validation inside the seen classes (--select pcv).";
  if (selection == "oracle")
    return "† chosen on test accuracy (--select oracle): what no one could know. An upper bound, not a result.";
  return format("Hyperparameters: --select {}.", selection);
}

}  // namespace

// Halves go up, also those that a mean of fractions misses by its rounding: 0.9625 is 96.3, here as in the report's
// scripts.
std::string percent(double fraction) {
  const std::string text = format("{:.1f}", std::floor(1000 * fraction + 0.5 + 1e-5) / 10);
  return text == "-0.0" ? "0.0" : text;
}

std::string signed_percent(double fraction) {
  const std::string text = percent(std::abs(fraction));
  if (text == "0.0") return text;
  return (fraction < 0 ? "−" : "+") + text;
}

std::string row_name(const TableRow& row) { return row.peeked() ? row.method + " †" : row.method; }

Grid grid(const Table& table) {
  Grid g;
  g.columns = {{"overall", "overall", "accuracy on all test images"},
               {"seen", "seen", "accuracy on test images of the seen classes"},
               {"unseen", "unseen", "accuracy on test images of the classes without target data"},
               {"hmean", "hmean", "harmonic mean of seen and unseen"},
               {"ausuc", "AUSUC", "area under the seen–unseen curve"}};
  for (const std::string& name : table.calibrations)
    g.columns.push_back({"γ " + name, name == "best" ? "γ best‡" : "γ " + name,
                         "overall accuracy with the calibration '" + name + "'"});
  const bool compared =
      std::any_of(table.rows.begin(), table.rows.end(), [](const TableRow& r) { return r.against_sgd.has_value(); });
  if (compared)
    g.columns.push_back({"vs sgd", "vs sgd", "paired difference in overall, and on how many targets it is larger"});
  for (const TableRow& row : table.rows) {
    std::vector<Cell> cells;
    for (const Statistic* s : {&row.overall, &row.seen, &row.unseen, &row.hmean, &row.ausuc})
      cells.push_back(accuracy(*s));
    for (const std::string& name : table.calibrations) {
      const auto it = row.calibrated.find(name);
      cells.push_back(it == row.calibrated.end() ? Cell{"–"} : accuracy(it->second));
    }
    if (compared) cells.push_back(difference(row.against_sgd));
    g.cells.push_back(std::move(cells));
  }
  mark_best(table, g);
  return g;
}

std::vector<std::string> footnotes(const Table& table, const std::string& best) {
  std::vector<std::string> lines;
  for (const std::string& selection : table.selections) lines.push_back(selection_line(selection));
  std::string over =
      format("Percent; mean over {} {}", table.tasks.size(), table.tasks.size() == 1 ? "target" : "targets");
  if (table.seeds.size() > 1)
    over += format(" and {} seeds, ± standard deviation over seeds", table.seeds.size());
  else
    over += ", one seed";
  lines.push_back(format("{}. {}: best but for source and oracle.", over, best));
  if (std::any_of(table.rows.begin(), table.rows.end(), [](const TableRow& r) { return r.against_sgd.has_value(); }))
    lines.push_back("vs sgd: paired difference in overall accuracy, and on how many of the targets it is larger.");
  if (!table.calibrations.empty()) {
    const bool bound =
        std::find(table.calibrations.begin(), table.calibrations.end(), "best") != table.calibrations.end();
    lines.push_back(std::string("γ: overall accuracy after adding γ to the missing classes' logits.") +
                    (bound ? " ‡ γ chosen on the test images: an upper bound." : ""));
  }
  for (const std::string& note : table.notes) lines.push_back(note);
  if (!table.failures.empty())
    lines.push_back(format("{} {} and {} in no mean:", table.failures.size(),
                           table.failures.size() == 1 ? "job failed" : "jobs failed",
                           table.failures.size() == 1 ? "is" : "are"));
  for (const Failure& f : table.failures)
    lines.push_back(format("  {} on {}, seed {}: {}", f.method, f.task, f.seed, f.error));
  return lines;
}

}  // namespace holt::transfer
