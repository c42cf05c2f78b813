// The client against a real kube-apiserver and etcd, over both transports.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <future>
#include <set>
#include <thread>

#include "operator/kube/client.h"
#include "operator/kube/events.h"
#include "operator/kube/json.h"
#include "operator/kube/lease.h"
#include "operator/kube/reflector.h"
#include "tests/fake/temp_dir.h"
#include "tests/operator/kube/real_api_server.h"

namespace whorl::kube {
namespace {

using fake::RealApiServer;
using std::chrono::steady_clock;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;

const ResourcePath kConfigMaps{.version = "v1", .plural = "configmaps"};
const ResourcePath kNamespaces{.version = "v1", .plural = "namespaces"};
const ResourcePath kThings{.group = "test.whorl.dev", .version = "v1", .plural = "things"};

Json Thing(const std::string& ns, const std::string& name, int size) {
  auto object = ObjectHead("test.whorl.dev/v1", "Thing", ns, name);
  object["spec"] = {{"size", size}};
  return object;
}

// Polls for what the server does in its own time.
template <typename Done>
bool Within(Seconds limit, const Done& done) {
  const auto deadline = steady_clock::now() + limit;
  while (!done()) {
    if (steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

// One server for all tests of this program; each test has a namespace.
class RealApi : public ::testing::Environment {
 public:
  static RealApiServer* server;
  static std::string missing;

  void SetUp() override {
    const auto tools = RealApiServer::FindTools();
    if (!tools) {
      missing = "no kube-apiserver and etcd in the cache: `./dev up` builds them, or name their folder in WHORL_TOOLS";
      if (std::getenv("WHORL_REQUIRE_APISERVER") != nullptr) FAIL() << missing;
      return;
    }
    own_ = std::make_unique<RealApiServer>(*tools);
    server = own_.get();
    MakeThings();
  }
  void TearDown() override {
    server = nullptr;
    own_.reset();
  }

 private:
  static void MakeThings() {
    SystemClock clock;
    const auto client = std::move(*Client::Connect(server->Config(), {}, clock));
    auto crd = ObjectHead("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", "things.test.whorl.dev");
    crd["spec"] = Json::parse(R"({"group":"test.whorl.dev","scope":"Namespaced",
      "names":{"plural":"things","singular":"thing","kind":"Thing"},
      "versions":[{"name":"v1","served":true,"storage":true,"subresources":{"status":{}},
        "schema":{"openAPIV3Schema":{"type":"object","properties":{
          "spec":{"type":"object","properties":{"size":{"type":"integer"},"color":{"type":"string"}}},
          "status":{"type":"object","properties":{"score":{"type":"integer"}}}}}}}]})");
    const ResourcePath crds{.group = "apiextensions.k8s.io", .version = "v1", .plural = "customresourcedefinitions"};
    auto made = client->Apply(crds.Named("", "things.test.whorl.dev"), crd, {.field_manager = "test", .force = true});
    ASSERT_TRUE(made) << made.error().message;
    // Until it is established the server does not know the kind; we say so.
    ASSERT_TRUE(Within(Seconds(20), [&] {
      const auto listed = client->List(kThings, {}, [](JsonView) {}, [] {});
      if (!listed) {
        EXPECT_EQ(listed.error().code, Code::kNotFound) << listed.error().message;
      }
      return listed.has_value();
    }));
  }

  std::unique_ptr<RealApiServer> own_;
};
RealApiServer* RealApi::server = nullptr;
std::string RealApi::missing;
const auto* const kEnvironment = ::testing::AddGlobalTestEnvironment(new RealApi);

struct Kind {
  const char* name;
  Result<std::unique_ptr<Transport>> (*make)(const ClusterConfig&);
};

class RealApiTest : public ::testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    if (RealApi::server == nullptr) GTEST_SKIP() << RealApi::missing;
    static int number = 0;
    ns_ = "test-" + std::to_string(++number);
    client_ = Connect(server().Config());
    ASSERT_TRUE(client_->Create(kNamespaces, ObjectHead("v1", "Namespace", "", ns_)));
  }
  RealApiServer& server() { return *RealApi::server; }
  std::unique_ptr<Client> Connect(const ClusterConfig& config, ClientOptions options = {}) {
    auto transport = GetParam().make(config);
    EXPECT_TRUE(transport) << transport.error().message;
    return std::make_unique<Client>(std::move(*transport),
                                    std::make_unique<TokenSource>(config.token, config.token_file, clock_),
                                    std::move(options), clock_);
  }
  ResourcePath Thing1(const std::string& name = "db-1") { return kThings.Named(ns_, name); }

  SystemClock clock_;
  std::string ns_;
  std::unique_ptr<Client> client_;
};

INSTANTIATE_TEST_SUITE_P(Both, RealApiTest,
                         ::testing::Values(Kind{"Cpprest", MakeCpprestTransport}, Kind{"Curl", MakeCurlTransport}),
                         [](const auto& tested) { return std::string(tested.param.name); });

// --- who we are ---------------------------------------------------------------

TEST_P(RealApiTest, KnowsItsVersion) {
  const auto version = client_->GetRaw("/version");
  ASSERT_TRUE(version) << version.error().message;
  EXPECT_THAT(*version, HasSubstr("gitVersion"));
}

TEST_P(RealApiTest, ReadsAKubeconfigFile) {
  const auto config = LoadKubeconfig(server().KubeconfigFile());
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_TRUE(Connect(*config)->GetRaw("/readyz"));
}

TEST_P(RealApiTest, TakesAClientCertificate) {
  const auto me = server().authority().Issue("somebody", "system:masters", {});
  auto config = server().Config("");
  config.client_certificate.text = me.certificate;
  config.client_key.text = me.key;
  const auto listed = Connect(config)->List(kNamespaces, {}, [](JsonView) {}, [] {});
  EXPECT_TRUE(listed) << listed.error().message;
}

TEST_P(RealApiTest, RefusesAServerOfAnotherAuthorityBeforeShowingItsToken) {
  auto config = server().Config();
  config.ca.text = fake::Authority("another").certificate();
  const auto answer = Connect(config)->GetRaw("/version");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kUnauthorized);
  EXPECT_THAT(answer.error().message, AllOf(HasSubstr(server().url()), HasSubstr("its certificate is not accepted"),
                                            HasSubstr("certificate-authority")));
}

TEST_P(RealApiTest, ChecksTheServersName) {
  auto config = server().Config();
  config.tls_server_name = "kubernetes.default.svc";
  EXPECT_TRUE(Connect(config)->GetRaw("/version"));
  config.tls_server_name = "kubernetes.elsewhere";
  EXPECT_EQ(Connect(config)->GetRaw("/version").error().code, Code::kUnauthorized);
}

TEST_P(RealApiTest, SaysThatTheTokenIsNotAccepted) {
  for (const auto& token : {std::string("nonsense"), server().ServiceAccountToken("default", "default", "u", -60)}) {
    const auto answer = Connect(server().Config(token))->List(kConfigMaps, {}, [](JsonView) {}, [] {});
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, Code::kUnauthorized);
    EXPECT_THAT(answer.error().message, AllOf(HasSubstr("HTTP 401"), HasSubstr("renew the expired token")));
  }
}

TEST_P(RealApiTest, PicksUpARotatedTokenAfterA401) {
  const fake::TempDir dir;
  auto account = client_->Create(ResourcePath{.version = "v1", .plural = "serviceaccounts", .ns = ns_},
                                 ObjectHead("v1", "ServiceAccount", ns_, "whorl"));
  ASSERT_TRUE(account) << account.error().message;
  const std::string uid(account->root().String({"metadata", "uid"}).value());
  const auto file = dir.path() + "/token";
  std::ofstream(file) << server().ServiceAccountToken(ns_, "whorl", uid, -60);
  auto config = server().Config("");
  config.token_file = file;
  std::vector<int> statuses;
  ClientOptions options;
  options.on_request = [&](std::string_view, int status) {
    statuses.push_back(status);
    std::ofstream(file) << server().ServiceAccountToken(ns_, "whorl", uid, 3600);  // the kubelet comes by
  };
  const auto answer = Connect(config, options)->GetRaw("/version");
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_THAT(statuses, ::testing::ElementsAre(401, 200));
}

TEST_P(RealApiTest, SaysWhatIsNotAllowed) {
  const auto answer = Connect(server().Config(RealApiServer::kNobody))->List(kConfigMaps, {}, [](JsonView) {}, [] {});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kUnauthorized);
  EXPECT_THAT(
      answer.error().message,
      AllOf(HasSubstr("HTTP 403"), HasSubstr("\"nobody\" cannot list resource \"configmaps\""), HasSubstr("grant it")));
}

TEST_P(RealApiTest, TellsAMissingKindFromAMissingObject) {
  const ResourcePath vms{.group = "kubevirt.io", .version = "v1", .plural = "virtualmachines"};
  const auto kind = client_->List(vms, {}, [](JsonView) {}, [] {});
  EXPECT_EQ(kind.error().code, Code::kNotFound);
  EXPECT_THAT(kind.error().message, HasSubstr("are its CRDs installed?"));
  const auto object = client_->Get(Thing1());
  EXPECT_EQ(object.error().code, Code::kNotFound);
  EXPECT_THAT(object.error().message, Not(HasSubstr("CRDs")));
}

// --- reading and writing --------------------------------------------------------

TEST_P(RealApiTest, AnswersComeAtOnce) {
  ASSERT_TRUE(client_->Create(kThings.In(ns_), Thing(ns_, "db-1", 0)));
  const auto start = steady_clock::now();
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(client_->MergePatch(Thing1(), {{"spec", {{"size", i}}}}));
    ASSERT_TRUE(client_->Get(Thing1()));
  }
  // Head and body sent apart wait 40 ms for each other without TCP_NODELAY.
  const auto each = std::chrono::duration_cast<std::chrono::microseconds>(steady_clock::now() - start).count() / 40;
  RecordProperty("microseconds_each", static_cast<int>(each));
  EXPECT_LT(each, 20'000);
}

TEST_P(RealApiTest, PagesLists) {
  for (int i = 0; i < 7; ++i) ASSERT_TRUE(client_->Create(kThings.In(ns_), Thing(ns_, "t-" + std::to_string(i), i)));
  std::set<std::string> names;
  int requests = 0;
  ClientOptions options;
  options.on_request = [&](std::string_view, int) { ++requests; };
  const auto version = Connect(server().Config(), options)
                           ->List(
                               kThings.In(ns_), {.page_size = 3},
                               [&](JsonView o) { names.emplace(o.String({"metadata", "name"}).value()); }, [] {});
  ASSERT_TRUE(version) << version.error().message;
  EXPECT_EQ(names.size(), 7u);
  EXPECT_EQ(requests, 3);
}

TEST_P(RealApiTest, PatchesInEachForm) {
  ASSERT_TRUE(client_->Create(kThings.In(ns_), Thing(ns_, "db-1", 1)));
  const auto annotated =
      client_->MergePatch(Thing1(), AnnotationsPatch({{"whorl.dev/score", "12"}, {"whorl.dev/state", "Normal"}}));
  ASSERT_TRUE(annotated) << annotated.error().message;
  ASSERT_TRUE(client_->MergePatch(Thing1(), AnnotationsPatch({{"whorl.dev/state", std::nullopt}})));
  const auto tested =
      Json::parse(R"([{"op":"test","path":"/spec/size","value":1},{"op":"replace","path":"/spec/size","value":2}])");
  ASSERT_TRUE(client_->JsonPatch(Thing1(), tested));
  EXPECT_EQ(client_->JsonPatch(Thing1(), tested).error().code, Code::kInvalid)
      << "the test inside fails the second time";
  const auto thing = client_->Get(Thing1());
  ASSERT_TRUE(thing);
  EXPECT_EQ(thing->root().String({"metadata", "annotations", "whorl.dev/score"}).value(), "12");
  EXPECT_EQ(thing->root().String({"metadata", "annotations", "whorl.dev/state"}).error().code, Code::kNotFound);
  EXPECT_EQ(thing->root().Int({"spec", "size"}).value(), 2);
}

TEST_P(RealApiTest, AppliesWithOwnershipAndToStatus) {
  auto ours = Thing(ns_, "db-1", 1);
  ASSERT_TRUE(client_->Apply(Thing1(), ours, {.field_manager = "whorl-controller"}));
  auto theirs = Thing(ns_, "db-1", 2);
  const auto conflict = client_->Apply(Thing1(), theirs, {.field_manager = "somebody"});
  EXPECT_EQ(conflict.error().code, Code::kConflict);
  EXPECT_THAT(conflict.error().message, HasSubstr(".spec.size"));
  ASSERT_TRUE(client_->Apply(Thing1(), theirs, {.field_manager = "somebody", .force = true}));
  auto status = ObjectHead("test.whorl.dev/v1", "Thing", ns_, "db-1");
  status["status"] = {{"score", 82}};
  const auto applied = client_->Apply(Thing1().Status(), status, {.field_manager = "whorl-status", .force = true});
  ASSERT_TRUE(applied) << applied.error().message;
  EXPECT_EQ(applied->root().Int({"status", "score"}).value(), 82);
  EXPECT_EQ(applied->root().Int({"spec", "size"}).value(), 2);
}

TEST_P(RealApiTest, LetsNoMisspeltFieldThrough) {
  auto thing = Thing(ns_, "db-1", 1);
  thing["spec"]["sizze"] = 3;
  for (const auto& written : {client_->Create(kThings.In(ns_), thing).error(),
                              client_->Apply(Thing1(), thing, {.field_manager = "whorl"}).error()}) {
    EXPECT_EQ(written.code, Code::kInvalid) << written.message;
    EXPECT_THAT(written.message, HasSubstr("sizze"));
  }
  thing = Thing(ns_, "db-1", 1);
  thing["spec"]["size"] = "big";
  EXPECT_EQ(client_->Create(kThings.In(ns_), thing).error().code, Code::kInvalid);
}

TEST_P(RealApiTest, ProvesAWriteWithoutWriting) {
  ASSERT_TRUE(client_->Create(kThings.In(ns_), Thing(ns_, "db-1", 1), {.dry_run = true}));
  EXPECT_EQ(client_->Get(Thing1()).error().code, Code::kNotFound);
}

TEST_P(RealApiTest, DeletesOnlyTheObjectThatWasMeant) {
  const auto made = client_->Create(kThings.In(ns_), Thing(ns_, "db-1", 1));
  ASSERT_TRUE(made);
  EXPECT_EQ(client_->Delete(Thing1(), {.uid = "11111111-2222-3333-4444-555555555555"}).error().code, Code::kConflict);
  const auto deleted =
      client_->Delete(Thing1(), {.uid = std::string(made->root().String({"metadata", "uid"}).value())});
  EXPECT_TRUE(deleted) << deleted.error().message;
  EXPECT_EQ(client_->Get(Thing1()).error().code, Code::kNotFound);
  EXPECT_TRUE(client_->Delete(Thing1()));
}

TEST_P(RealApiTest, NoticesAWriteInBetween) {
  const auto made = client_->Create(kThings.In(ns_), Thing(ns_, "db-1", 1));
  ASSERT_TRUE(client_->MergePatch(Thing1(), {{"spec", {{"size", 2}}}}));
  EXPECT_EQ(client_->Replace(Thing1(), made->root().ToJson()).error().code, Code::kConflict);
}

// --- watching ---------------------------------------------------------------

TEST_P(RealApiTest, AWatchEndsInGoodOrderWithABookmark) {
  const auto from = client_->List(kThings.In(ns_), {}, [](JsonView) {}, [] {});
  ASSERT_TRUE(from);
  // Another kind's write moves the server on; a bookmark tells us how far.
  ASSERT_TRUE(client_->Create(kConfigMaps.In(ns_), ObjectHead("v1", "ConfigMap", ns_, "other")));
  std::vector<std::string> types;
  const auto ended =
      client_->Watch(kThings.In(ns_), {.resource_version = *from, .server_timeout = Seconds(6)},
                     [&](std::string_view type, JsonView) { return types.emplace_back(type), true; }, {});
  ASSERT_TRUE(ended) << ended.error().message;
  EXPECT_THAT(types, Contains("BOOKMARK"));
}

TEST_P(RealApiTest, AWatchFromTooLongAgoIsGone) {
  const auto ended = client_->Watch(kThings, {.resource_version = "1", .server_timeout = Seconds(5)},
                                    [](std::string_view, JsonView) { return true; }, {});
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, Code::kGone) << ended.error().message;
}

TEST_P(RealApiTest, AServerThatFreezesIsNoticed) {
  const auto from = client_->List(kThings.In(ns_), {}, [](JsonView) {}, [] {});
  ASSERT_TRUE(from);
  ASSERT_TRUE(client_->Create(kThings.In(ns_), Thing(ns_, "db-1", 1)));
  const auto start = steady_clock::now();
  const auto ended = client_->Watch(kThings.In(ns_), {.resource_version = *from, .idle_timeout = Millis(700)},
                                    [&](std::string_view, JsonView) { return server().Freeze(), true; }, {});
  server().Thaw();
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, Code::kTimeout) << ended.error().message;
  EXPECT_LT(steady_clock::now() - start, std::chrono::seconds(10));
}

struct Size {
  std::int64_t size;
};

class Watched {
 public:
  Watched(Client& client, ResourcePath path, WaitingClock& clock)
      : things_(client, std::move(path), Decode, Options(*this), clock) {
    things_.OnChange([this](ChangeKind kind, const ObjectKey& key) {
      const std::scoped_lock lock(mu_);
      told_.push_back((kind == ChangeKind::kAdded ? "+" : kind == ChangeKind::kDeleted ? "-" : "~") + key.name);
    });
    things_.Start();
  }
  ~Watched() { things_.Stop(); }

  std::optional<std::int64_t> Size(const std::string& ns, const std::string& name) const {
    const auto thing = things_.store().Find({ns, name});
    return thing ? std::optional(thing->size) : std::nullopt;
  }
  std::vector<std::string> told() const {
    const std::scoped_lock lock(mu_);
    return told_;
  }
  std::vector<std::string> troubles() const {
    const std::scoped_lock lock(mu_);
    return troubles_;
  }
  const Reflector<kube::Size>& reflector() const { return things_; }

 private:
  static Result<kube::Size> Decode(JsonView object) {
    const auto size = object.Int({"spec", "size"});
    if (!size) return Fail(size.error());
    return kube::Size{*size};
  }
  static ReflectorOptions Options(Watched& self) {
    ReflectorOptions options;
    options.min_backoff = Millis(100);
    options.on_trouble = [&self](const Error& e) {
      const std::scoped_lock lock(self.mu_);
      self.troubles_.push_back(e.message);
    };
    return options;
  }

  mutable std::mutex mu_;
  std::vector<std::string> told_;
  std::vector<std::string> troubles_;
  Reflector<kube::Size> things_;
};

TEST_P(RealApiTest, AReflectorFollowsTheServer) {
  ASSERT_TRUE(client_->Create(kThings.In(ns_), Thing(ns_, "a", 1)));
  Watched watched(*client_, kThings.In(ns_), clock_);
  ASSERT_TRUE(Within(Seconds(10), [&] { return watched.Size(ns_, "a") == 1; }));
  ASSERT_TRUE(client_->Create(kThings.In(ns_), Thing(ns_, "b", 1)));
  ASSERT_TRUE(client_->MergePatch(Thing1("a"), {{"spec", {{"size", 2}}}}));
  ASSERT_TRUE(client_->Delete(Thing1("b")));
  ASSERT_TRUE(Within(Seconds(10), [&] { return watched.told().size() >= 4; }));
  EXPECT_THAT(watched.told(), ::testing::ElementsAre("+a", "+b", "~a", "-b"));
  EXPECT_EQ(watched.Size(ns_, "a"), 2);
  EXPECT_LT(watched.reflector().AgeOfLastContact().value(), Millis(10'000));
}

TEST_P(RealApiTest, AReflectorOutlivesTheServersRestart) {
  ASSERT_TRUE(client_->Create(kThings.In(ns_), Thing(ns_, "a", 1)));
  Watched watched(*client_, kThings.In(ns_), clock_);
  ASSERT_TRUE(Within(Seconds(10), [&] { return watched.Size(ns_, "a") == 1; }));
  server().KillServer();
  ASSERT_TRUE(Within(Seconds(10), [&] { return !watched.troubles().empty(); }));
  EXPECT_EQ(watched.Size(ns_, "a"), 1) << "what was known stays readable";
  const auto away = client_->Get(Thing1("a"));
  ASSERT_FALSE(away);
  EXPECT_THAT(away.error().message, HasSubstr("cannot connect"));
  server().StartServer();
  ASSERT_TRUE(
      Within(Seconds(30), [&] { return client_->MergePatch(Thing1("a"), {{"spec", {{"size", 2}}}}).has_value(); }));
  EXPECT_TRUE(Within(Seconds(40), [&] { return watched.Size(ns_, "a") == 2; }));
}

TEST_P(RealApiTest, AReflectorStopsAtOnce) {
  auto watched = std::make_unique<Watched>(*client_, kThings.In(ns_), clock_);
  ASSERT_TRUE(Within(Seconds(10), [&] { return watched->reflector().HasSynced(); }));
  const auto start = steady_clock::now();
  watched.reset();
  EXPECT_LT(steady_clock::now() - start, std::chrono::seconds(2));
}

// --- events and leases ---------------------------------------------------------

std::string Output(const std::string& command) {
  std::string text;
  FILE* pipe = ::popen(command.c_str(), "r");
  char block[4096];
  while (const auto got = std::fread(block, 1, sizeof block, pipe)) text.append(block, got);
  ::pclose(pipe);
  return text;
}

TEST_P(RealApiTest, EventsStandInDescribe) {
  const auto made = client_->Create(kThings.In(ns_), Thing(ns_, "db-1", 1));
  ASSERT_TRUE(made);
  Event event{.regarding = {"test.whorl.dev/v1", "Thing", ns_, "db-1",
                            std::string(made->root().String({"metadata", "uid"}).value())},
              .related = ObjectRef{"whorl.dev/v1alpha1", "BehaviorFingerprint", ns_, "db-1", "f"},
              .type = EventType::kWarning,
              .reason = "BehaviorDeviating",
              .action = "Score",
              .note = "score 82 over 50 for 30 s: \xc2\xb5s of run delay"};
  EventRecorderOptions options;
  options.instance = "whorl-controller-abc";
  options.on_trouble = [](const Error& e) { ADD_FAILURE() << e.message; };
  EventRecorder recorder(*client_, clock_, options);
  recorder.Record(event);
  recorder.Record(event);
  recorder.Drain();
  EXPECT_EQ(recorder.counters().created, 1u);
  EXPECT_EQ(recorder.counters().patched, 1u);
  // kubectl describe looks them up like this, in the old group.
  std::vector<Json> seen;
  const ResourcePath old_events{.version = "v1", .plural = "events", .ns = ns_};
  const auto listed = client_->List(
      old_events,
      {.field_selector = "involvedObject.name=db-1,involvedObject.kind=Thing,involvedObject.namespace=" + ns_ +
                         ",involvedObject.uid=" + event.regarding.uid},
      [&](JsonView o) { seen.push_back(o.ToJson()); }, [] {});
  ASSERT_TRUE(listed) << listed.error().message;
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_EQ(seen[0]["series"]["count"], 2);
  EXPECT_EQ(seen[0]["reason"], "BehaviorDeviating");
  const auto tools = RealApiServer::FindTools().value();
  if (::access((tools + "/kubectl").c_str(), X_OK) == 0) {
    const auto text = Output(tools + "/kubectl --kubeconfig " + server().KubeconfigFile() + " -n " + ns_ +
                             " describe thing db-1 2>&1");
    EXPECT_THAT(text, AllOf(HasSubstr("BehaviorDeviating"), HasSubstr("score 82 over 50"), HasSubstr("Warning")));
  }
}

TEST_P(RealApiTest, LeadersFollowEachOther) {
  LeaderElectorOptions options;
  options.ns = ns_;
  options.name = "whorl-controller";
  options.lease_duration = Seconds(3);
  options.renew_deadline = Seconds(2);
  options.retry_period = Seconds(1);
  options.identity = "a";
  options.on_trouble = [](const Error& e) { ADD_FAILURE() << e.message; };
  const auto a_client = Connect(server().Config()), b_client = Connect(server().Config());
  auto a = std::make_unique<LeaderElector>(*a_client, clock_, options);
  options.identity = "b";
  LeaderElector b(*b_client, clock_, options);
  a->Start();
  ASSERT_TRUE(Within(Seconds(10), [&] { return a->IsLeader(); }));
  b.Start();
  ASSERT_TRUE(Within(Seconds(10), [&] { return b.leader() == "a"; }));
  EXPECT_FALSE(b.IsLeader());
  a->Stop();
  EXPECT_FALSE(a->IsLeader());
  ASSERT_TRUE(Within(Seconds(3), [&] { return b.IsLeader(); })) << "it was given back";
  EXPECT_EQ(b.transitions(), 1);
  b.Stop();
}

}  // namespace
}  // namespace whorl::kube
