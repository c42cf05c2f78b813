#include "operator/plugin/table.h"

#include <algorithm>
#include <sstream>

namespace whorl::plugin {
namespace {

constexpr std::size_t kGap = 3;

const char* Code(Colour colour) {
  switch (colour) {
    case Colour::kGreen: return "\033[32m";
    case Colour::kYellow: return "\033[33m";
    case Colour::kRed: return "\033[31m";
    case Colour::kDim: return "\033[2m";
    case Colour::kBold: return "\033[1m";
    case Colour::kNone: break;
  }
  return "";
}

}  // namespace

std::string Paint(const std::string& text, Colour colour, bool colours) {
  if (!colours || colour == Colour::kNone || text.empty()) return text;
  return Code(colour) + text + "\033[0m";
}

std::string Table(const std::vector<std::string>& header, const std::vector<std::vector<Cell>>& rows, bool colours) {
  std::vector<std::size_t> width(header.size());
  for (std::size_t i = 0; i < header.size(); ++i) {
    width[i] = header[i].size();
    for (const auto& row : rows) width[i] = std::max(width[i], row[i].text.size());
  }
  std::string out;
  const auto line = [&](const auto& text_of, const auto& colour_of) {
    for (std::size_t i = 0; i < header.size(); ++i) {
      const std::string& text = text_of(i);
      out += Paint(text, colour_of(i), colours);
      if (i + 1 < header.size()) out += std::string(width[i] - text.size() + kGap, ' ');
    }
    while (!out.empty() && out.back() == ' ') out.pop_back();
    out += '\n';
  };
  line([&](std::size_t i) -> const std::string& { return header[i]; }, [](std::size_t) { return Colour::kNone; });
  for (const auto& row : rows) {
    line([&](std::size_t i) -> const std::string& { return row[i].text; },
         [&](std::size_t i) { return row[i].colour; });
  }
  return out;
}

std::string Bar(std::int64_t score) {
  constexpr std::int64_t kCells = 10;
  const auto full = static_cast<std::size_t>(std::clamp<std::int64_t>((score + 5) / kCells, 0, kCells));
  return std::string(full, '#') + std::string(kCells - full, '.');
}

std::string Wrap(const std::string& text, std::size_t width, const std::string& indent) {
  std::istringstream words(text);
  std::string out;
  std::string line = indent;
  bool empty = true;
  for (std::string word; words >> word;) {
    if (!empty && line.size() + 1 + word.size() > width) {
      out += line + '\n';
      line = indent;
      empty = true;
    }
    line += (empty ? "" : " ") + word;
    empty = false;
  }
  return empty ? out : out + line + '\n';
}

}  // namespace whorl::plugin
