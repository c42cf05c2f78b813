#include "crd/annotations.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace whorl::crd {
namespace {

using ::testing::HasSubstr;

constexpr auto kNoPause = Pause::kNone;

PolicyLimit Allows(Mode mode, Pause pause = kNoPause) {
  return {.state = PolicyState::kFound, .max_mode = mode, .pause = pause, .trouble = ""};
}

TEST(ModeGrammar, IsClosed) {
  EXPECT_EQ(ParseMode("off").value(), Mode::kOff);
  EXPECT_EQ(ParseMode("observe").value(), Mode::kObserve);
  EXPECT_EQ(ParseMode("recommend").value(), Mode::kRecommend);
  EXPECT_EQ(ParseMode("enforce").value(), Mode::kEnforce);
  for (const char* wrong :
       {"", "Enforce", "ENFORCE", " enforce", "enforce ", "enforced", "on", "true", "enforce\n", "0"}) {
    const auto mode = ParseMode(wrong);
    ASSERT_FALSE(mode) << wrong;
    EXPECT_EQ(mode.error().code, Code::kInvalid);
    EXPECT_THAT(mode.error().message, HasSubstr("must be off, observe, recommend or enforce"));
  }
}

TEST(ModeGrammar, ShowsAUsersTextBoundedAndOnOneLine) {
  const auto mode = ParseMode("x\ny\"z" + std::string(100'000, 'q') + "\xff");
  ASSERT_FALSE(mode);
  EXPECT_LT(mode.error().message.size(), 200U);
  EXPECT_THAT(mode.error().message, HasSubstr("\"x?y?zqqq"));
}

TEST(PolicyNameGrammar, IsADnsName) {
  for (const char* good : {"default", "a", "0", "gold-2", "team.gold", "a-b.c-d"})
    EXPECT_EQ(ParsePolicyName(good).value(), good);
  EXPECT_TRUE(ParsePolicyName(std::string(63, 'a')));
  for (const std::string& wrong :
       {std::string(), std::string("Gold"), std::string("-a"), std::string("a-"), std::string(".a"), std::string("a."),
        std::string("a..b"), std::string("a.-b"), std::string("a-.b"), std::string("a_b"), std::string("a b"),
        std::string("a/b"), std::string("ä"), std::string(64, 'a')}) {
    const auto name = ParsePolicyName(wrong);
    ASSERT_FALSE(name) << wrong;
    EXPECT_THAT(name.error().message, HasSubstr("must be the name of a PartitionPolicy"));
  }
}

struct Row {
  const char* name;
  ModeRequest request;
  PolicyLimit policy;
  Mode mode;
  Cap cap;
};

std::ostream& operator<<(std::ostream& out, const Row& row) { return out << row.name; }

class Authority : public ::testing::TestWithParam<Row> {};

TEST_P(Authority, TheLowerMayOnlyNarrow) {
  const Row& row = GetParam();
  const auto effective = DecideMode(row.request, row.policy);
  EXPECT_EQ(effective.mode, row.mode);
  EXPECT_EQ(CapName(effective.cap), CapName(row.cap));
  EXPECT_EQ(effective.message.empty(), row.cap == Cap::kNotCapped) << effective.message;
}

ModeRequest Vm(const char* mode) { return {.vm_mode = mode, .vm_policy = {}, .namespace_mode = {}}; }
ModeRequest Both(const char* vm, const char* ns) { return {.vm_mode = vm, .vm_policy = {}, .namespace_mode = ns}; }
ModeRequest Namespace(const char* ns) { return {.vm_mode = {}, .vm_policy = {}, .namespace_mode = ns}; }
ModeRequest WithPolicy(const char* vm, const char* policy) {
  return {.vm_mode = vm, .vm_policy = policy, .namespace_mode = {}};
}

const PolicyLimit kMissingPolicy{
    .state = PolicyState::kMissing, .max_mode = Mode::kEnforce, .pause = kNoPause, .trouble = ""};
const PolicyLimit kBrokenPolicy{
    .state = PolicyState::kInvalid, .max_mode = Mode::kEnforce, .pause = kNoPause, .trouble = "spec.x"};

INSTANTIATE_TEST_SUITE_P(
    Table, Authority,
    ::testing::Values(
        Row{"nobody asked", {}, Allows(Mode::kEnforce), Mode::kOff, Cap::kNotCapped},
        Row{"the VM asks and may", Vm("enforce"), Allows(Mode::kEnforce), Mode::kEnforce, Cap::kNotCapped},
        Row{"the VM asks for less than it may", Vm("observe"), Allows(Mode::kEnforce), Mode::kObserve, Cap::kNotCapped},
        Row{"the VM is out", Vm("off"), Allows(Mode::kEnforce), Mode::kOff, Cap::kNotCapped},
        Row{"the policy allows less", Vm("enforce"), Allows(Mode::kObserve), Mode::kObserve, Cap::kPolicyMaxMode},
        Row{"the policy allows nothing", Vm("enforce"), Allows(Mode::kOff), Mode::kOff, Cap::kPolicyMaxMode},
        Row{"the policy does not widen", Vm("recommend"), Allows(Mode::kEnforce), Mode::kRecommend, Cap::kNotCapped},
        Row{"the namespace's default", Namespace("enforce"), Allows(Mode::kEnforce), Mode::kEnforce, Cap::kNotCapped},
        Row{"the namespace's default under the policy", Namespace("enforce"), Allows(Mode::kRecommend),
            Mode::kRecommend, Cap::kPolicyMaxMode},
        Row{"the VM narrows its namespace", Both("observe", "enforce"), Allows(Mode::kEnforce), Mode::kObserve,
            Cap::kNotCapped},
        Row{"the VM cannot widen its namespace", Both("enforce", "observe"), Allows(Mode::kEnforce), Mode::kObserve,
            Cap::kNamespaceMode},
        Row{"the namespace is out", Both("enforce", "off"), Allows(Mode::kEnforce), Mode::kOff, Cap::kNamespaceMode},
        Row{"the VM is out of an enrolled namespace", Both("off", "enforce"), Allows(Mode::kEnforce), Mode::kOff,
            Cap::kNotCapped},
        Row{"of equal caps the policy is named", Both("enforce", "observe"), Allows(Mode::kObserve), Mode::kObserve,
            Cap::kPolicyMaxMode},
        Row{"a lower namespace under a policy", Both("enforce", "observe"), Allows(Mode::kRecommend), Mode::kObserve,
            Cap::kNamespaceMode},
        Row{"hold leaves the mode", Vm("enforce"), Allows(Mode::kEnforce, Pause::kHold), Mode::kEnforce,
            Cap::kNotCapped},
        Row{"drain leaves no more than observe", Vm("enforce"), Allows(Mode::kEnforce, Pause::kHoldAndDrain),
            Mode::kObserve, Cap::kPaused},
        Row{"drain above everything", Both("enforce", "observe"), Allows(Mode::kObserve, Pause::kHoldAndDrain),
            Mode::kObserve, Cap::kPaused},
        Row{"drain does not enrol", Vm("off"), Allows(Mode::kEnforce, Pause::kHoldAndDrain), Mode::kOff,
            Cap::kNotCapped},
        Row{"no such policy", Vm("enforce"), kMissingPolicy, Mode::kObserve, Cap::kInvalidPolicy},
        Row{"no such policy, observing anyway", Vm("observe"), kMissingPolicy, Mode::kObserve, Cap::kNotCapped},
        Row{"a policy that cannot be read", Vm("enforce"), kBrokenPolicy, Mode::kObserve, Cap::kInvalidPolicy},
        Row{"an unknown word on the VM", Vm("Enforce"), Allows(Mode::kEnforce), Mode::kOff, Cap::kInvalidMode},
        Row{"an unknown word on the VM above a good namespace", Both("yes", "enforce"), Allows(Mode::kEnforce),
            Mode::kOff, Cap::kInvalidMode},
        Row{"an unknown word on the namespace", Both("enforce", "yes"), Allows(Mode::kEnforce), Mode::kOff,
            Cap::kInvalidMode},
        Row{"an unknown word on the namespace alone", Namespace("yes"), Allows(Mode::kEnforce), Mode::kOff,
            Cap::kInvalidMode},
        Row{"a VM that is out does not mind its namespace's word", Both("off", "yes"), Allows(Mode::kEnforce),
            Mode::kOff, Cap::kNotCapped},
        Row{"a policy name that is none", WithPolicy("enforce", "No Name"), Allows(Mode::kEnforce), Mode::kOff,
            Cap::kInvalidPolicy},
        Row{"a policy name that is none on a VM that is out", WithPolicy("off", "No Name"), Allows(Mode::kEnforce),
            Mode::kOff, Cap::kNotCapped}));

TEST(DecideMode, SaysWhyAndWhatToDo) {
  const auto by_policy = DecideMode(WithPolicy("enforce", "gold"), Allows(Mode::kObserve));
  EXPECT_EQ(by_policy.message,
            "asked for enforce, gets observe; PartitionPolicy gold allows no more than Observe: its administrator may "
            "raise spec.maxMode");
  EXPECT_EQ(by_policy.policy, "gold");
  EXPECT_EQ(by_policy.requested, Mode::kEnforce);
  const auto invalid = DecideMode(Vm("Enforce"), Allows(Mode::kEnforce));
  ASSERT_EQ(invalid.invalid_modes.size(), 1U);
  EXPECT_EQ(invalid.invalid_modes[0],
            "VirtualMachine: whorl.dev/mode is \"Enforce\"; it must be off, observe, recommend or enforce, in lower "
            "case. It is treated as off.");
  const auto missing = DecideMode(WithPolicy("observe", "gold"), kMissingPolicy);
  ASSERT_EQ(missing.invalid_policies.size(), 1U);
  EXPECT_THAT(missing.invalid_policies[0], HasSubstr("PartitionPolicy gold does not exist"));
}

TEST(DecideMode, PassesThePauseOn) {
  EXPECT_EQ(DecideMode(Vm("enforce"), Allows(Mode::kEnforce, Pause::kHold)).pause, Pause::kHold);
}

TEST(PolicyNameOf, IsDefaultUnlessNamed) {
  EXPECT_EQ(PolicyNameOf({}), "default");
  EXPECT_EQ(PolicyNameOf(WithPolicy("off", "gold")), "gold");
  EXPECT_EQ(PolicyNameOf(WithPolicy("off", "Gold")), std::nullopt);
}

}  // namespace
}  // namespace whorl::crd
