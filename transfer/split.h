// Which classes the target data holds: the seen ones S. The others, U = C \ S, are missing from it and still occur in
// the test.
#pragma once
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace holt::transfer {

struct Split {
  std::string name;           ///< how it came about: "random:31", "file:lists/seen.txt"
  std::vector<int64_t> seen;  ///< class indices, ascending

  /// The classes of 0 … C−1 that are missing, ascending.
  std::vector<int64_t> unseen(int64_t classes) const;
  /// C flags.
  std::vector<bool> mask(int64_t classes) const;
  friend bool operator==(const Split&, const Split&) = default;
};

/// Error unless the classes are ascending, within 0 … C−1, at least one and not all.
void validate(const Split& split, int64_t classes);

/// Splits by what --split says:
///   random           half of the classes (the smaller half), drawn from (seed, target)
///   random:N         N classes; N% for a part of them, rounded to the nearest number, halves up
///   first-half, last-half, even, odd
///   present          the classes that `present` lists: what the target's training images hold
///   classes:a,b,…    class names
///   file:PATH        class names, one a line; # begins a comment
/// Errors: an unknown form or class name (the nearest is suggested), a class named twice, none seen or all seen.
Split make_split(const std::string& spec, const std::vector<std::string>& classes, const std::string& target,
                 uint64_t seed, const std::vector<int64_t>& present);

void to_json(nlohmann::json& j, const Split& s);
void from_json(const nlohmann::json& j, Split& s);

}  // namespace holt::transfer
