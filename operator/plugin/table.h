#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace whorl::plugin {

enum class Colour : std::uint8_t { kNone, kGreen, kYellow, kRed, kDim, kBold };

// `text` between the terminal's codes for `colour`, or as it is.
std::string Paint(const std::string& text, Colour colour, bool colours);

// One cell of a table; the colour is put on after the width is known.
struct Cell {
  std::string text;
  Colour colour = Colour::kNone;
};

// Columns as wide as their widest cell, three spaces between, as kubectl's are;
// the last column is not padded. Every row has as many cells as the header.
std::string Table(const std::vector<std::string>& header, const std::vector<std::vector<Cell>>& rows, bool colours);

// "#####....." of ten characters for 0 to 100.
std::string Bar(std::int64_t score);

// Breaks text at spaces so that no line is longer than `width`, each line
// beginning with `indent`; a longer word stays whole.
std::string Wrap(const std::string& text, std::size_t width, const std::string& indent);

}  // namespace whorl::plugin
