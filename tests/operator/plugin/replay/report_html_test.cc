#include "operator/plugin/replay/report_html.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <regex>
#include <string>

namespace whorl::plugin {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string kEvil = "</script><img src=x onerror=alert(1)>&'\"";

class ReportHtml : public ::testing::Test {
 protected:
  ReportHtml() {
    whatif::Node node;
    node.name = "node<1>";
    node.step = Millis{300'000};
    node.begin = FromUnixMillis(1'767'225'600'000);
    node.capacity = 2;
    for (const std::string& name : {kEvil, std::string("web")}) {
      whatif::Vm& vm = node.vms.emplace_back();
      vm.name = name;
      vm.size = 2;
      for (int t = 0; t < 96; ++t) {
        vm.used.push_back(t % 12 == 0 ? 1.9f : 0.6f);
        vm.here.push_back(1);
      }
    }
    report_.sources = {"a<b>.csv"};
    report_.policies = {{"p<q>", Policy{}, std::nullopt}};
    report_.assumed = {"An <assumption>."};
    report_.results.push_back(whatif::LiveThrough(node, report_.policies));
    report_.nodes.push_back(std::move(node));
    summary_ = Sum(report_);
    html_ = RenderHtml(report_, summary_);
  }
  // What stands between a tag and its end, for elements that come once.
  std::string Between(const std::string& begin, const std::string& end) const {
    const auto from = html_.find(begin);
    if (from == std::string::npos) return "";
    return html_.substr(from + begin.size(), html_.find(end, from) - from - begin.size());
  }

  Report report_;
  Summary summary_;
  std::string html_;
};

TEST_F(ReportHtml, SaysTheVerdictFirstAndWithoutJavaScript) {
  EXPECT_EQ(Between("<h1>", "</h1>"), EscapeHtml(summary_.verdict.front()));
  EXPECT_LT(html_.find("<h1>"), html_.find("<table>"));
  EXPECT_THAT(Between("<tbody>", "</tbody>"), HasSubstr("VPA p95 + 15 %"));
}

TEST_F(ReportHtml, CarriesTheDataWithNamesThatCannotBecomeMarkup) {
  const std::string text = Between("<script id=\"data\" type=\"application/json\">", "</script>");
  const json data = json::parse(text);
  std::vector<std::string> names;
  for (const auto& vm : data["nodes"][0]["vms"]) {
    names.push_back(vm["name"]);
    EXPECT_EQ(vm["series"]["used"].size(), 96u);
    EXPECT_EQ(vm["series"]["whorl"].size(), 96u);
  }
  EXPECT_THAT(names, ::testing::UnorderedElementsAre(kEvil, "web"));
  EXPECT_EQ(data["nodes"][0]["series"]["demandMost"].size(), 96u);
  EXPECT_THAT(text, Not(HasSubstr("<")));
  EXPECT_THAT(html_, Not(HasSubstr("<img")));
  EXPECT_THAT(html_, Not(HasSubstr("a<b>")));
  EXPECT_THAT(html_, HasSubstr("a&lt;b&gt;.csv"));
  EXPECT_THAT(html_, HasSubstr("p&lt;q&gt;"));
  EXPECT_THAT(html_, HasSubstr("An &lt;assumption&gt;."));
}

TEST_F(ReportHtml, NamesTheWorstVmInTheVerdictEscaped) {
  std::string all;
  for (const std::string& sentence : summary_.verdict) all += sentence;
  ASSERT_THAT(all, HasSubstr(kEvil));  // it is as short as the other and comes first
  EXPECT_THAT(html_, HasSubstr(EscapeHtml(kEvil)));
}

TEST_F(ReportHtml, IsOneFileThatFetchesNothing) {
  EXPECT_THAT(html_, HasSubstr("default-src 'none'"));
  EXPECT_THAT(html_, HasSubstr("Chart.js v3"));  // its licence's notice stays with it
  EXPECT_THAT(html_, Not(HasSubstr("<!--slot:")));
  const std::regex fetches(R"(<(script|link|img|iframe)[^>]*\s(src|href)=)");
  EXPECT_FALSE(std::regex_search(html_.substr(0, html_.find("<script id=")), fetches));
  // Elements close in the order they open: what a page of ours needs of well-formedness.
  std::size_t scripts = 0, ends = 0;
  for (auto at = html_.find("<script"); at != std::string::npos; at = html_.find("<script", at + 1)) ++scripts;
  for (auto at = html_.find("</script>"); at != std::string::npos; at = html_.find("</script>", at + 1)) ++ends;
  EXPECT_EQ(scripts, 3u);
  EXPECT_EQ(ends, 3u);
  EXPECT_TRUE(html_.ends_with("</html>\n"));
}

}  // namespace
}  // namespace whorl::plugin
