// Names in messages: the word that was meant by a mistyped one, and what else there is.
#pragma once
#include <string>
#include <vector>

namespace holt {

/// Levenshtein distance, in bytes.
size_t edit_distance(const std::string& a, const std::string& b);

/// The candidate nearest to `word`, or "" if none is near enough to be meant. A beginning counts as near.
std::string nearest(const std::string& word, const std::vector<std::string>& candidates);

/// "; did you mean 'NAME'?", or "" if no candidate is near.
std::string did_you_mean(const std::string& word, const std::vector<std::string>& candidates);

/// "a, b, c", of more than `most` names the first ones and what stands for the rest: "a, b, …".
std::string first_of(const std::vector<std::string>& names, size_t most, const std::string& rest = ", …");

}  // namespace holt
