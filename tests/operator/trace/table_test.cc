#include "operator/trace/table.h"

#include <gtest/gtest.h>
#include <unistd.h>
#include <zstd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace whorl::trace {
namespace {

TEST(Table, ReadsRowsByColumnName) {
  auto table = Table::Parse("a,b\r\n1,x\n\n2,\n");
  ASSERT_TRUE(table);
  ASSERT_TRUE(table->Next());
  EXPECT_EQ(table->Cell(*table->Column("b")), "x");
  ASSERT_TRUE(table->Next());
  EXPECT_EQ(table->Cell(1), "");
  EXPECT_EQ(table->line(), 4u);
  EXPECT_FALSE(table->Next());
}

TEST(Table, CountsShortAndLongRows) {
  auto table = Table::Parse("a,b,c\n1\n1,2,3,4\n1,2,3\n");
  ASSERT_TRUE(table);
  while (table->Next()) EXPECT_EQ(table->Cell(0), "1");
  EXPECT_EQ(table->short_rows(), 1u);
  EXPECT_EQ(table->long_rows(), 1u);
}

TEST(Table, RefusesAHeaderOneCannotRelyOn) {
  for (const char* text : {"", "\n\n", "a,,b\n", "a,b,a\n"}) EXPECT_FALSE(Table::Parse(text)) << text;
}

TEST(Table, AMissingColumnIsNamedTogetherWithThoseThatAreThere) {
  auto table = Table::Parse("t,value\n");
  const auto column = table->Require("label");
  ASSERT_FALSE(column);
  EXPECT_EQ(column.error().message, "no column 'label'; there are: t, value");
}

TEST(Table, OnlyAWholeFiniteNumberIsANumber) {
  EXPECT_EQ(Number("-1.5e3"), -1500);
  for (const char* cell : {"", " 1", "1 ", "1x", "nan", "inf", "-inf", "1e999", "--1", "0x10"}) {
    EXPECT_FALSE(Number(cell)) << cell;
  }
  EXPECT_EQ(Integer("-7"), -7);
  EXPECT_FALSE(Integer("1.0"));
}

class Files : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("whorl_eval_test." + std::to_string(getpid()));
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::filesystem::path Write(const std::string& name, const std::string& bytes) const {
    std::ofstream(folder_ / name, std::ios::binary) << bytes;
    return folder_ / name;
  }
  std::filesystem::path folder_;
};

std::string Packed(const std::string& text) {
  std::string packed(ZSTD_compressBound(text.size()), '\0');
  packed.resize(ZSTD_compress(packed.data(), packed.size(), text.data(), text.size(), 3));
  return packed;
}

TEST_F(Files, PlainAndCompressedReadAlike) {
  std::string text = "a,b\n";
  for (int i = 0; i < 200'000; ++i) text += std::to_string(i) + ",1\n";  // more than one block
  EXPECT_EQ(*ReadText(Write("x.csv", text)), text);
  EXPECT_EQ(*ReadText(Write("x.csv.zst", Packed(text))), text);
  EXPECT_EQ(*ReadText(Write("two.csv.zst", Packed("a\n") + Packed("1\n"))), "a\n1\n");
}

TEST_F(Files, ABrokenOrAbsentFileIsAnErrorWithItsName) {
  const auto cut = ReadText(Write("cut.csv.zst", Packed(std::string(5000, 'a')).substr(0, 12)));
  ASSERT_FALSE(cut);
  EXPECT_EQ(cut.error().code, Code::kCorrupt);
  EXPECT_NE(cut.error().message.find("cut.csv.zst"), std::string::npos);
  EXPECT_EQ(ReadText(Write("text.csv.zst", "a,b\n1,2\n")).error().code, Code::kCorrupt);
  EXPECT_EQ(ReadText(folder_ / "none.csv").error().code, Code::kNotFound);
}

}  // namespace
}  // namespace whorl::trace
