#include "operator/kube/line_splitter.h"

#include <gtest/gtest.h>

#include <vector>

namespace whorl::kube {
namespace {

TEST(LineSplitter, PutsLinesTogetherWhereverTheChunksBreak) {
  const std::string text = "{\"a\":1}\n{\"b\":2}\r\n\n{\"c\":3}\n";
  for (std::size_t size = 1; size <= text.size(); ++size) {
    LineSplitter lines;
    std::vector<std::string> seen;
    for (std::size_t at = 0; at < text.size(); at += size) {
      ASSERT_TRUE(lines
                      .Push(std::string_view(text).substr(at, size),
                            [&](std::string_view line) {
                              seen.emplace_back(line);
                              return true;
                            })
                      .value());
    }
    EXPECT_EQ(seen, (std::vector<std::string>{"{\"a\":1}", "{\"b\":2}", "{\"c\":3}"})) << "chunks of " << size;
    EXPECT_TRUE(lines.rest().empty());
  }
}

TEST(LineSplitter, KeepsTheLineThatWasCutOff) {
  LineSplitter lines;
  int seen = 0;
  ASSERT_TRUE(lines.Push("whole\nhal", [&](std::string_view) { return ++seen > 0; }));
  EXPECT_EQ(seen, 1);
  EXPECT_EQ(lines.rest(), "hal");
}

TEST(LineSplitter, EndsWhenTheReaderHasEnough) {
  LineSplitter lines;
  int seen = 0;
  EXPECT_FALSE(lines.Push("one\ntwo\n", [&](std::string_view) { return ++seen, false; }).value());
  EXPECT_EQ(seen, 1);
}

TEST(LineSplitter, RefusesALineWithoutEnd) {
  LineSplitter lines;
  const std::string block(1u << 20, 'x');
  Result<bool> result = true;
  int pushed = 0;
  for (; result && pushed < 100; ++pushed) result = lines.Push(block, [](std::string_view) { return true; });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::kCorrupt);
  EXPECT_EQ(pushed, 17);
}

}  // namespace
}  // namespace whorl::kube
