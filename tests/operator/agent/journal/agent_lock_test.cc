#include "operator/agent/journal/agent_lock.h"

#include <gtest/gtest.h>

#include <optional>

#include "tests/fake/temp_dir.h"

namespace whorl::agent {
namespace {

TEST(AgentLock, ASecondAgentIsRefusedByName) {
  const fake::TempDir dir;
  EXPECT_FALSE(AgentLock::IsHeld(dir.path()));
  std::optional<AgentLock> first;
  first.emplace(std::move(*AgentLock::Take(dir.path())));
  EXPECT_TRUE(AgentLock::IsHeld(dir.path()));
  const auto second = AgentLock::Take(dir.path());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::kConflict);
  EXPECT_NE(second.error().message.find("pid " + std::to_string(getpid())), std::string::npos)
      << second.error().message;
  first.reset();
  EXPECT_FALSE(AgentLock::IsHeld(dir.path()));
  EXPECT_TRUE(AgentLock::Take(dir.path()));
}

TEST(AgentLock, AskingDoesNotTakeIt) {
  const fake::TempDir dir;
  {
    const auto once = AgentLock::Take(dir.path());
  }
  EXPECT_FALSE(AgentLock::IsHeld(dir.path()));
  EXPECT_TRUE(AgentLock::Take(dir.path()));
}

}  // namespace
}  // namespace whorl::agent
