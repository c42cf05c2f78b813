#include "operator/kube/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/fake/fake_api.h"
#include "tests/fake/fake_api_clock.h"
#include "tests/fake/temp_dir.h"

namespace whorl::kube {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Json = nlohmann::json;

const ResourcePath kVms{.group = "kubevirt.io", .version = "v1", .plural = "virtualmachines"};
constexpr auto kDefaultVms = "/apis/kubevirt.io/v1/namespaces/default/virtualmachines";

Json Vm(const std::string& name) { return {{"kind", "VirtualMachine"}, {"metadata", {{"name", name}}}}; }

struct World {
  fake::FakeApi api;
  fake::WaitingClock clock;
  std::vector<std::pair<std::string, int>> seen;
  std::vector<std::string> warnings;
  std::unique_ptr<Client> client = api.NewClient(clock, Options());

  ClientOptions Options() {
    ClientOptions options;
    options.user_agent = "whorl-test/1";
    options.on_request = [this](std::string_view verb, int status) { seen.emplace_back(verb, status); };
    options.on_warning = [this](std::string_view text) { warnings.emplace_back(text); };
    return options;
  }
};

TEST(ResourcePath, WritesTargetsAndNames) {
  EXPECT_EQ(kVms.Target(), "/apis/kubevirt.io/v1/virtualmachines");
  EXPECT_EQ(kVms.Named("default", "db-1").Status().Target(), std::string(kDefaultVms) + "/db-1/status");
  EXPECT_EQ((ResourcePath{.version = "v1", .plural = "pods"}.In("kube-system").Target()),
            "/api/v1/namespaces/kube-system/pods");
  EXPECT_EQ(kVms.Named("default", "db-1").Text(), "virtualmachines.kubevirt.io default/db-1");
  EXPECT_EQ((ResourcePath{.version = "v1", .plural = "nodes", .name = "a/../b"}.Target()), "/api/v1/nodes/a%2F..%2Fb")
      << "a name cannot climb out of its collection";
}

TEST(Client, ReadsAnObject) {
  World world;
  world.api.Put(kDefaultVms, Vm("db-1"));
  const auto vm = world.client->Get(kVms.Named("default", "db-1"));
  ASSERT_TRUE(vm) << vm.error().message;
  EXPECT_EQ(vm->root().String({"metadata", "name"}).value(), "db-1");
  EXPECT_THAT(world.seen, ElementsAre(std::pair<std::string, int>("GET", 200)));
  const auto headers = world.api.requests().at(0).headers;
  EXPECT_THAT(headers, ::testing::Contains(std::pair<std::string, std::string>("User-Agent", "whorl-test/1")));
}

struct Answered {
  int status;
  std::string body;
  Code code;
  std::string says;
};

class ClientMapsAnswers : public ::testing::TestWithParam<Answered> {};

TEST_P(ClientMapsAnswers, ToCodeAndMessage) {
  World world;
  world.api.FailNext("GET", Response{GetParam().status, GetParam().body});
  const auto vm = world.client->Get(kVms.Named("default", "db-1"));
  ASSERT_FALSE(vm);
  EXPECT_EQ(vm.error().code, GetParam().code);
  EXPECT_THAT(vm.error().message, AllOf(HasSubstr("GET virtualmachines.kubevirt.io default/db-1: HTTP " +
                                                  std::to_string(GetParam().status)),
                                        HasSubstr(GetParam().says)));
}

INSTANTIATE_TEST_SUITE_P(
    Statuses, ClientMapsAnswers,
    ::testing::Values(
        Answered{401, R"({"kind":"Status","reason":"Unauthorized","message":"Unauthorized"})", Code::kUnauthorized,
                 "renew the expired token"},
        Answered{403, R"({"kind":"Status","reason":"Forbidden","message":"cannot get"})", Code::kUnauthorized,
                 "cannot get; grant it by a Role"},
        Answered{404, R"({"kind":"Status","reason":"NotFound","message":"vm \"db-1\" not found"})", Code::kNotFound,
                 "not found"},
        Answered{404, "404 page not found\n", Code::kNotFound, "are its CRDs installed?"},
        Answered{409, R"({"reason":"Conflict","message":"modified"})", Code::kConflict, "modified"},
        Answered{410, R"({"reason":"Expired","message":"too old"})", Code::kGone, "too old"},
        Answered{422, R"({"reason":"Invalid","message":"spec.x: Required"})", Code::kInvalid, "spec.x: Required"},
        Answered{429, "", Code::kUnavailable, ""}, Answered{500, "<html>\nboom", Code::kUnavailable, "<html> boom"},
        Answered{500, R"({"message":"failed to create typed patch object (x): .spec.y: field not declared in schema"})",
                 Code::kInvalid, "field not declared"},
        Answered{504, "", Code::kTimeout, ""}, Answered{302, "", Code::kInternal, ""}));

TEST(Client, PagesThroughACollection) {
  World world;
  for (int i = 0; i < 7; ++i) world.api.Put(kDefaultVms, Vm("vm-" + std::to_string(i)));
  std::vector<std::string> names;
  const auto version = world.client->List(
      kVms, {.page_size = 3}, [&](JsonView vm) { names.emplace_back(vm.String({"metadata", "name"}).value()); },
      [] { FAIL(); });
  ASSERT_TRUE(version) << version.error().message;
  EXPECT_EQ(*version, "107");
  EXPECT_EQ(names.size(), 7u);
  EXPECT_EQ(world.api.Count("limit=3"), 3);
}

TEST(Client, BeginsAgainWithoutPagesWhenTheyExpireHalfWay) {
  World world;
  for (int i = 0; i < 5; ++i) world.api.Put(kDefaultVms, Vm("vm-" + std::to_string(i)));
  world.api.OnRequest([&](const Request& request) {
    if (request.target.find("continue=") != std::string::npos) world.api.Compact();
  });
  std::vector<std::string> names;
  const auto version = world.client->List(
      kVms, {.page_size = 2}, [&](JsonView vm) { names.emplace_back(vm.String({"metadata", "name"}).value()); },
      [&] { names.clear(); });
  ASSERT_TRUE(version) << version.error().message;
  EXPECT_EQ(names.size(), 5u);
}

TEST(Client, TakesATruncatedListForCorruptAndNotForShort) {
  World world;
  world.api.FailNext("GET", Response{200, R"({"metadata":{"resourceVersion":"7"},"items":[{"metadata":{"na)"});
  const auto version = world.client->List(kVms, {}, [](JsonView) { FAIL(); }, [] {});
  EXPECT_EQ(version.error().code, Code::kCorrupt);
  world.api.FailNext("GET", Response{200, R"({"items":[]})"});
  EXPECT_EQ(world.client->List(kVms, {}, [](JsonView) {}, [] {}).error().code, Code::kCorrupt) << "no resourceVersion";
}

TEST(Client, WaitsAsLongAsTheServerAsksAndTriesAgain) {
  World world;
  world.api.Put(kDefaultVms, Vm("db-1"));
  world.api.FailNext("GET", Response{429, "", Seconds(2)}, 2);
  EXPECT_TRUE(world.client->Get(kVms.Named("default", "db-1")));
  EXPECT_THAT(world.clock.waits(), ElementsAre(Millis(2000), Millis(2000)));
  EXPECT_THAT(world.seen, ElementsAre(std::pair<std::string, int>("GET", 429), std::pair<std::string, int>("GET", 429),
                                      std::pair<std::string, int>("GET", 200)));
}

TEST(Client, DoesNotWaitForEver) {
  World world;
  world.api.FailNext("GET", Response{429, "", Seconds(1)}, 100);
  EXPECT_EQ(world.client->Get(kVms.Named("default", "db-1")).error().code, Code::kUnavailable);
  EXPECT_EQ(world.clock.waits().size(), 3u);
  world.api.FailNext("PATCH", Response{503, "", Seconds(3600)});
  EXPECT_EQ(world.client->MergePatch(kVms.Named("default", "db-1"), Json::object()).error().code, Code::kUnavailable);
  EXPECT_EQ(world.clock.waits().size(), 3u) << "an hour is not waited out";
}

TEST(Client, ReadsTheTokenAgainOnceAfterA401) {
  const fake::TempDir dir;
  const auto file = dir.path() + "/token";
  std::ofstream(file) << "old";
  fake::FakeApi api;
  fake::WaitingClock clock;
  Client client(api.NewTransport(), std::make_unique<TokenSource>("", file, clock), {}, clock);
  api.Put(kDefaultVms, Vm("db-1"));
  ASSERT_TRUE(client.Get(kVms.Named("default", "db-1")));
  std::ofstream(file) << "new";
  api.FailNext("GET", Response{401});
  EXPECT_TRUE(client.Get(kVms.Named("default", "db-1")));
  std::vector<std::string> tokens;
  for (const auto& request : api.requests()) {
    for (const auto& [name, value] : request.headers) {
      if (name == "Authorization") tokens.push_back(value);
    }
  }
  EXPECT_THAT(tokens, ElementsAre("Bearer old", "Bearer old", "Bearer new"));
  api.FailNext("GET", Response{401}, 2);
  EXPECT_EQ(client.Get(kVms.Named("default", "db-1")).error().code, Code::kUnauthorized) << "twice is an answer";
}

TEST(Client, NamesVerbAndObjectWhenTheServerIsAway) {
  World world;
  world.api.FailNext("GET", Error{Code::kUnavailable, "API server https://x: cannot connect"});
  const auto vm = world.client->Get(kVms.Named("default", "db-1"));
  EXPECT_EQ(vm.error().message, "GET virtualmachines.kubevirt.io default/db-1: API server https://x: cannot connect");
  EXPECT_THAT(world.seen, ElementsAre(std::pair<std::string, int>("GET", 0)));
}

TEST(Client, WritesInEachForm) {
  World world;
  const ResourcePath bfps{
      .group = "whorl.dev", .version = "v1alpha1", .plural = "behaviorfingerprints", .ns = "default"};
  const auto bfp = bfps.Named("default", "db-1");
  ASSERT_TRUE(world.client->Create(bfps, Vm("db-1")));
  EXPECT_EQ(world.client->Create(bfps, Vm("db-1")).error().code, Code::kConflict);
  ASSERT_TRUE(world.client->MergePatch(bfp, {{"spec", {{"a", 1}}}}));
  ASSERT_TRUE(world.client->JsonPatch(
      bfp, Json::parse(R"([{"op":"test","path":"/spec/a","value":1},{"op":"replace","path":"/spec/a","value":2}])")));
  EXPECT_EQ(world.client->JsonPatch(bfp, Json::parse(R"([{"op":"test","path":"/spec/a","value":1}])")).error().code,
            Code::kInvalid);
  ASSERT_TRUE(world.client->Apply(bfp.Status(), {{"status", {{"score", 12}}}},
                                  {.field_manager = "whorl-status", .force = true}));
  const auto stored = world.api.Find("/apis/whorl.dev/v1alpha1/namespaces/default/behaviorfingerprints/db-1");
  EXPECT_EQ((*stored)["spec"]["a"], 2);
  EXPECT_EQ((*stored)["status"]["score"], 12);
  const auto apply = world.api.requests().back();
  EXPECT_EQ(apply.content_type, "application/apply-patch+yaml");
  EXPECT_THAT(apply.target, AllOf(HasSubstr("/db-1/status?"), HasSubstr("fieldManager=whorl-status"),
                                  HasSubstr("force=true"), HasSubstr("fieldValidation=Strict")));
  EXPECT_EQ(world.client->Apply(bfp, Json::object(), {}).error().code, Code::kInvalid) << "nobody owns nameless fields";
}

TEST(Client, ADryRunChangesNothing) {
  World world;
  world.api.Put(kDefaultVms, Vm("db-1"));
  ASSERT_TRUE(world.client->MergePatch(kVms.Named("default", "db-1"), {{"spec", {{"a", 1}}}}, {.dry_run = true}));
  EXPECT_FALSE(world.api.Find(std::string(kDefaultVms) + "/db-1")->contains("spec"));
}

TEST(Client, DeletesOnlyTheObjectThatWasMeant) {
  World world;
  world.api.Put(kDefaultVms, Vm("db-1"));
  const auto path = kVms.Named("default", "db-1");
  EXPECT_EQ(world.client->Delete(path, {.uid = "another"}).error().code, Code::kConflict);
  const auto uid = world.api.Find(std::string(kDefaultVms) + "/db-1")->at("metadata").at("uid").get<std::string>();
  EXPECT_TRUE(world.client->Delete(path, {.uid = uid}));
  EXPECT_TRUE(world.client->Delete(path)) << "what is gone is deleted";
}

TEST(Client, TellsAWarningOnce) {
  World world;
  world.api.FailNext("GET", Response{200, "{}", std::nullopt, {"v1 is deprecated"}}, 2);
  ASSERT_TRUE(world.client->Get(kVms.Named("default", "db-1")));
  ASSERT_TRUE(world.client->Get(kVms.Named("default", "db-1")));
  EXPECT_THAT(world.warnings, ElementsAre("v1 is deprecated"));
}

TEST(Client, WritesTextThatIsNotUtf8WithoutThrowing) {
  World world;
  auto vm = Vm("db-1");
  vm["spec"]["text"] = "a\xff z";
  EXPECT_TRUE(world.client->Create(kVms.In("default"), vm));
}

TEST(Client, AsksAWatchToEndAndToSendBookmarks) {
  World world;
  const auto ended = world.client->Watch(kVms, {.resource_version = "100", .server_timeout = Seconds(311)},
                                         [](std::string_view, JsonView) { return true; }, {});
  ASSERT_TRUE(ended) << ended.error().message;
  EXPECT_THAT(world.api.requests().back().target,
              AllOf(HasSubstr("watch=true"), HasSubstr("allowWatchBookmarks=true"), HasSubstr("resourceVersion=100"),
                    HasSubstr("timeoutSeconds=311")));
}

TEST(Client, GivesAnErrorFrameOfAWatchAsError) {
  World world;
  world.api.Compact();
  const auto ended =
      world.client->Watch(kVms, {.resource_version = "1"}, [](std::string_view, JsonView) { return true; }, {});
  EXPECT_EQ(ended.error().code, Code::kGone);
}

}  // namespace
}  // namespace whorl::kube
