#include "operator/plugin/replay/policy_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace whorl::plugin {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string PolicyWith(const std::string& spec) {
  return "apiVersion: whorl.dev/v1alpha1\nkind: PartitionPolicy\nmetadata: {name: p}\nspec: " + spec + "\n";
}
std::string WhyNot(const std::string& text) {
  const auto file = ParsePolicyFile(text);
  return file ? "it was taken" : file.error().message;
}

TEST(PolicyFile, TakesWhatAnAdministratorWouldApply) {
  const auto file = ReadPolicyFile(WHORL_SOURCE_DIR "/crd/examples/default-policy.yaml");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->policy.name, "default");
  const auto hard = ParsePolicyFile(PolicyWith("{resources: {cpu: {partition: Hard, floorPercent: 20}}}"));
  ASSERT_TRUE(hard) << hard.error().message;
  EXPECT_EQ(hard->policy.engine.cpu.partition, PartitionKind::kHard);
  EXPECT_DOUBLE_EQ(hard->policy.engine.cpu.floor_fraction, 0.2);
}

TEST(PolicyFile, NamesTheFieldTheReasonAndTheRemedy) {
  const auto why = WhyNot(PolicyWith("{resources: {cpu: {floorPercent: 120}}}"));
  EXPECT_THAT(why, HasSubstr("spec.resources.cpu.floorPercent is 120"));
  EXPECT_THAT(why, HasSubstr("from 0 to 100"));
  EXPECT_THAT(why, HasSubstr("kubectl explain ppol.spec"));
  EXPECT_THAT(WhyNot(PolicyWith("{resources: {cpu: {floorPercent: 12.5}}}")), HasSubstr("must be a whole number"));
  EXPECT_THAT(WhyNot(PolicyWith("{resources: {cpu: {floorPercent: \"12\"}}}")), HasSubstr("must be a whole number"));
  EXPECT_THAT(WhyNot(PolicyWith("{resources: {cpu: {partition: Rigid}}}")), HasSubstr("Soft or Hard"));
  EXPECT_THAT(WhyNot(PolicyWith("{resources: {cpu: {maxBonusPercent: 350}}}")), HasSubstr("maxBonusPercent must be"));
}

TEST(PolicyFile, RefusesWhatIsNoPolicy) {
  EXPECT_THAT(WhyNot("kind: Pod\napiVersion: v1\n"), HasSubstr("kind is Pod; it must be PartitionPolicy"));
  EXPECT_THAT(WhyNot("just text"), HasSubstr("no mapping at the top"));
  EXPECT_THAT(WhyNot(""), HasSubstr("0 YAML documents"));
  EXPECT_THAT(WhyNot("a: 1\n---\nb: 2\n"), HasSubstr("2 YAML documents"));
  EXPECT_THAT(WhyNot("a: [1,\nb: }"), HasSubstr("line 2"));
}

TEST(PolicyFile, SaysWhichFieldsItDoesNotKnow) {
  const auto file = ParsePolicyFile(PolicyWith("{resources: {cpu: {marginPercnt: 5}, gpu: {}}, pause: None}"));
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_THAT(file->unknown, ElementsAre("spec.resources.cpu.marginPercnt", "spec.resources.gpu"));
}

TEST(PolicyFile, AliasesDoNotUnpackIntoAllMemory) {
  std::string text = "a: &a [1,1,1,1,1,1,1,1,1,1]\n";
  for (char c = 'b'; c < 'm'; ++c) {
    const std::string before(1, static_cast<char>(c - 1));
    text += std::string(1, c) + ": &" + c + " [";
    for (int i = 0; i < 10; ++i) text += (i > 0 ? ",*" : "*") + before;
    text += "]\n";
  }
  EXPECT_THAT(WhyNot(text), HasSubstr("larger or deeper"));
}

TEST(PolicyFile, AMissingFileIsNamed) {
  const auto file = ReadPolicyFile("/nonexistent/p.yaml");
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, Code::kNotFound);
  EXPECT_THAT(file.error().message, HasSubstr("/nonexistent/p.yaml"));
}

}  // namespace
}  // namespace whorl::plugin
