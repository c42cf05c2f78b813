#include "operator/plugin/replay/replay.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "core/replay/recording.h"
#include "tests/fake/manual_clock.h"

namespace whorl::plugin {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class ReplayTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("whorl_replay_test." + std::to_string(getpid()));
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  int Run(std::vector<std::string> arguments) {
    out_.str("");
    err_.str("");
    arguments.insert(arguments.begin(), "replay");
    std::istringstream in;
    Shell shell{.out = out_,
                .err = err_,
                .in = in,
                .environment = [](const std::string&) { return std::nullopt; },
                .connect = [](const Access&) -> Result<std::unique_ptr<Cluster>> {
                  return Fail(Code::kInternal, "a replay of files asked for a cluster");
                },
                .wait = [](Seconds) { return false; },
                .clock = clock_};
    return plugin::Run(std::move(arguments), shell);
  }
  std::string Write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return folder_ / name;
  }
  // Two VMs on one node for half a day: one idles and is busy now and then, one is steady.
  std::string Table(const std::string& first = "db-1") {
    std::ostringstream text;
    text << "vm,ts,node,cores,cpu_pct,mem_mb,node_cores\n";
    for (int i = 0; i < 144; ++i) {
      text << first << "," << 1767225600 + i * 300 << ",n1,4," << (i % 24 < 4 ? 70 : 5) << ",900,4\n";
      text << "web," << 1767225600 + i * 300 << ",n1,2," << 60 + i % 5 << ",900,4\n";
    }
    return Write("week.csv", text.str());
  }
  json Json() const { return json::parse(out_.str()); }

  std::filesystem::path folder_;
  std::ostringstream out_, err_;
  fake::ManualClock clock_;
};

TEST_F(ReplayTest, AnswersFromATableWithoutACluster) {
  EXPECT_EQ(Run({Table()}), kOk) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("VPA p95 + 15 %"));
  EXPECT_THAT(out_.str(), HasSubstr("work-conserving shares"));
  EXPECT_THAT(out_.str(), HasSubstr("2 VMs on 1 node"));
  EXPECT_THAT(out_.str(), HasSubstr("not replayed, because only CPU is: mem_mb"));
  EXPECT_THAT(err_.str(), IsEmpty());
}

TEST_F(ReplayTest, JsonCarriesEveryStrategyWithItsCurve) {
  EXPECT_EQ(Run({Table(), "-o", "json"}), kOk) << err_.str();
  const json report = Json();
  EXPECT_EQ(report["strategies"].size(), 10u);
  EXPECT_EQ(report["strategies"][0]["id"], "whorl_soft");
  EXPECT_EQ(report["strategies"][1]["id"], "whorl_hard");
  EXPECT_GT(report["strategies"][1]["curve"].size(), 5u);
  EXPECT_EQ(report["nodes"][0]["name"], "n1");
  EXPECT_EQ(report["nodes"][0]["capacityCores"], 4.0);
  EXPECT_EQ(report["nodes"][0]["vms"].size(), 2u);
  EXPECT_FALSE(report["nodes"][0].contains("series"));
}

TEST_F(ReplayTest, WritesTheReportAsOneHtmlFile) {
  const auto html = (folder_ / "week.html").string();
  EXPECT_EQ(Run({Table(), "--html", html}), kOk) << err_.str();
  std::ifstream in(html);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  EXPECT_THAT(text, ::testing::StartsWith("<!doctype html>"));
  EXPECT_THAT(text, HasSubstr("db-1"));
  EXPECT_EQ(Run({Table(), "--html", "/nonexistent/week.html"}), kFailure);
  EXPECT_THAT(err_.str(), HasSubstr("--html /nonexistent/week.html: No such file"));
}

TEST_F(ReplayTest, ComparesTwoPolicies) {
  const auto policy = [](const char* name, const char* cpu) {
    return std::string("apiVersion: whorl.dev/v1alpha1\nkind: PartitionPolicy\nmetadata: {name: ") + name +
           "}\nspec: {resources: {cpu: {" + cpu + "}}}\n";
  };
  const auto tight = Write("tight.yaml", policy("tight", "partition: Hard, lendablePercent: 0"));
  const auto open = Write("open.yaml", policy("open", "partition: Hard, lendablePercent: 100, floorPercent: 0"));
  // Both have the same share; one wants more than it and the other next to nothing.
  std::ostringstream rows;
  for (int i = 0; i < 144; ++i) {
    for (const auto& [vm, percent] : {std::pair{"busy", 70}, {"idle", 2}})
      rows << vm << "," << 1767225600 + i * 300 << ",n1,4," << percent << ",4\n";
  }
  const auto uneven = Write("uneven.csv", "vm,ts,node,cores,cpu_pct,node_cores\n" + rows.str());
  EXPECT_EQ(Run({uneven, "--policy", tight, "--policy", open, "-o", "json"}), kOk) << err_.str();
  const json report = Json();
  EXPECT_EQ(report["strategies"][0]["label"], "Whorl hard, tight");
  EXPECT_EQ(report["strategies"][2]["label"], "Whorl hard, open");
  EXPECT_NEAR(report["strategies"][0]["unmetShare"], 0.8 / 2.88, 0.01);  // busy wants 2.8 of its 2
  EXPECT_LT(report["strategies"][2]["unmetShare"], 0.01);                // and has the rest from idle
  EXPECT_EQ(Run({Table(), "--policy", tight, "--policy", open, "--policy", open}), kUsage);
  EXPECT_THAT(err_.str(), HasSubstr("two can be compared"));
}

TEST_F(ReplayTest, RefusesAPolicyWithItsFieldAndSaysWhatItIgnores) {
  const auto wrong = Write("p.yaml",
                           "apiVersion: whorl.dev/v1alpha1\nkind: PartitionPolicy\nmetadata: {name: p}\n"
                           "spec: {resources: {cpu: {marginPercent: 900}}}\n");
  EXPECT_EQ(Run({Table(), "--policy", wrong}), kFailure);
  EXPECT_THAT(err_.str(), HasSubstr("spec.resources.cpu.marginPercent is 900"));
  const auto typo = Write("q.yaml",
                          "apiVersion: whorl.dev/v1alpha1\nkind: PartitionPolicy\nmetadata: {name: p}\n"
                          "spec: {resources: {cpu: {marginPercnt: 9}}}\n");
  EXPECT_EQ(Run({Table(), "--policy", typo}), kOk);
  EXPECT_THAT(err_.str(), HasSubstr("warning: policy " + typo + ": spec.resources.cpu.marginPercnt is no field"));
}

TEST_F(ReplayTest, SaysWhatIsWrongWithASource) {
  EXPECT_EQ(Run({(folder_ / "none.csv").string()}), kMissing);
  EXPECT_THAT(err_.str(), HasSubstr("none.csv: cannot be opened"));
  EXPECT_EQ(Run({"week.xlsx"}), kFailure);
  EXPECT_THAT(err_.str(), HasSubstr("give a recording (.whorlrec), a table (.csv, .csv.zst)"));
  EXPECT_EQ(Run({Write("bad.csv", "vm,ts,cores\na,1,2\n")}), kFailure);
  EXPECT_THAT(err_.str(), HasSubstr("no column 'cpu_pct'; there are: vm, ts, cores"));
  EXPECT_EQ(Run({Write("bad.whorlrec", "hello")}), kFailure);
  EXPECT_THAT(err_.str(), HasSubstr("it is no recording of whorl-controller"));
  EXPECT_EQ(Run({}), kUsage);
}

TEST_F(ReplayTest, RefusesTimesThatAreNone) {
  EXPECT_EQ(Run({"https://p.test", "--from", "yesterday"}), kFailure);
  EXPECT_THAT(err_.str(), HasSubstr("--from: \"yesterday\" is no time"));
  EXPECT_EQ(Run({"https://p.test", "--from", "1h", "--to", "2h"}), kFailure);
  EXPECT_THAT(err_.str(), HasSubstr("--from must be earlier than --to"));
}

TEST_F(ReplayTest, CountsWhatATableLacksByName) {
  const auto table = Write("gaps.csv",
                           "vm,ts,cores,cpu_pct\n"
                           "a,0,2,10\na,300,2,oops\na,600,2,10\na,300,2,10\na,1800,2,10\na,2100,2,10\na,2400,2,10\n"
                           "b,1200,2,10\nb,1500,2,10\nb,1800,2,10\n"
                           "c,600,2,10\n");
  EXPECT_EQ(Run({table}), kOk) << err_.str();
  for (const char* said :
       {"1 cell that is no number was masked.", "1 times a VM appeared", "1 times a VM was gone",
        "1 gaps in VMs' records", "1 samples were older than the one before", "Nobody recorded which VM ran where",
        "Nobody recorded the nodes' capacity", "Nobody recorded requests"}) {
    std::string flat = out_.str();
    for (auto at = flat.find("\n    "); at != flat.npos; at = flat.find("\n    ")) flat.replace(at, 5, " ");
    EXPECT_THAT(flat, HasSubstr(said));
  }
}

TEST_F(ReplayTest, NamesCannotSteerATerminal) {
  EXPECT_EQ(Run({Table("evil\033[2J")}), kOk);
  EXPECT_THAT(out_.str(), Not(HasSubstr("\033")));
}

// Twenty minutes of two VMs as a controller records them.
std::string Recording(bool damage) {
  std::string bytes;
  Recorder recorder([&](std::string_view record) { bytes.append(record); });
  RecordedEngine engine;
  engine.RecordTo(&recorder);
  engine.SetCpuCapacity(MilliCores{2000});
  std::vector<VmHandle> vms;
  for (const char* id : {"uid-a", "uid-b"}) {
    VmSpec spec;
    spec.id = id;
    spec.vcpus = 2;
    vms.push_back(*engine.Enrol(spec));
  }
  std::array<double, 2> used_us{};
  Frame frame;
  for (int t = 0; t < 1200; ++t) {
    frame.Clear();
    frame.sequence = static_cast<std::uint64_t>(t + 1);
    const Time now = FromUnixMillis(1'767'225'600'000 + t * 1000);
    for (std::size_t i = 0; i < vms.size(); ++i) {
      used_us[i] += i == 0 ? 300'000 : 900'000;
      VmSample& sample = frame.samples.emplace_back();
      sample.vm = vms[i];
      sample.sampled_at = now;
      sample.valid.Set(Feature::kCpuUsage);
      sample.raw[static_cast<std::size_t>(Feature::kCpuUsage)] = used_us[i];
    }
    if (damage && t == 600) engine.RecordTo(nullptr);
    static_cast<void>(engine.Tick(now, frame, Authority::kFull));
    if (damage && t == 600) engine.RecordTo(&recorder);
  }
  return bytes;
}

TEST_F(ReplayTest, LivesThroughARecordingAndSaysWhetherEveryDecisionIsTheSame) {
  const auto path = Write("node-7-1767225600000.whorlrec", Recording(false));
  EXPECT_EQ(Run({path}), kOk) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("all 1200 decisions came out byte for byte as they were recorded"));
  EXPECT_EQ(Run({path, "-o", "json"}), kOk) << err_.str();
  const json report = Json();
  EXPECT_EQ(report["nodes"][0]["name"], "node-7");
  EXPECT_EQ(report["nodes"][0]["stepMs"], 1000);
  EXPECT_EQ(report["nodes"][0]["capacityCores"], 2.0);
  EXPECT_EQ(report["recordings"][0]["different"], 0);
  EXPECT_EQ(report["policies"][0]["name"], "as recorded");
  std::set<std::string> names;
  for (const auto& vm : report["nodes"][0]["vms"]) {
    names.insert(vm["name"]);
    EXPECT_GT(vm["demandCoreHours"], 0);
  }
  EXPECT_EQ(names, (std::set<std::string>{"uid-a", "uid-b"}));
}

TEST_F(ReplayTest, ARecordingThatComesOutOtherwiseIsAFailure) {
  const auto path = Write("node-7-1.whorlrec", Recording(true));
  EXPECT_EQ(Run({path}), kFailure);
  EXPECT_THAT(out_.str(), HasSubstr("decisions came out otherwise than they were recorded"));
}

}  // namespace
}  // namespace whorl::plugin
