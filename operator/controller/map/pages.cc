#include "operator/controller/map/pages.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include "crd/text.h"
#include "operator/controller/map/web.h"

namespace whorl::controller {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kTraits = 3;
constexpr float kLeastTrait = 0.5f;  // deviations of the fleet; less is no trait

// Four digits are more than an eye can use.
double Rounded(float x) { return std::round(static_cast<double>(x) * 1e4) / 1e4; }

// What tells a cohort from the fleet: the levels farthest from the fleet's.
Json Traits(const CohortModel& cohort, const FleetSpace& space) {
  std::vector<std::pair<float, std::size_t>> off;
  for (std::size_t f = 0; f < kFeatureCount; ++f) {
    if (!cohort.known.Has(static_cast<Feature>(f))) continue;
    const float z = (cohort.level[f] - space.mean[f]) / space.divisor[f];
    if (std::abs(z) >= kLeastTrait) off.emplace_back(z, f);
  }
  std::sort(off.begin(), off.end(), [](const auto& a, const auto& b) {
    return std::abs(a.first) != std::abs(b.first) ? std::abs(a.first) > std::abs(b.first) : a.second < b.second;
  });
  off.resize(std::min(off.size(), kTraits));
  Json out = Json::array();
  for (const auto& [z, f] : off) {
    out.push_back({{"feature", std::string(kFeatures[f].name)},
                   {"direction", z > 0 ? "above" : "below"},
                   {"deviations", Rounded(std::abs(z))},
                   {"level", Rounded(Unscale(static_cast<Feature>(f), cohort.level[f]))},
                   {"unit", std::string(kFeatures[f].unit)}});
  }
  return out;
}

Json PlaceOf(const FleetPicture& picture, std::size_t i) {
  const MapPlace& place = picture.map.places[i];
  const CohortMember& member = picture.cohorts.members[i];
  const FleetName& who = picture.names[i];
  Json out{{"uid", who.uid},
           {"namespace", who.ns},
           {"name", who.name},
           {"node", who.node},
           {"x", Rounded(place.at.x)},
           {"y", Rounded(place.at.y)},
           {"cohort", member.cohort == 0 ? Json(nullptr) : Json(member.cohort)},
           {"distance", Rounded(member.distance)},
           {"displacement", place.displacement ? Json(Rounded(*place.displacement)) : Json(nullptr)},
           {"missing", place.missing}};
  return out;
}

std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

}  // namespace

std::string MapJson(const FleetPicture* picture) {
  Json out;
  out["drawnAt"] = nullptr;
  out["cohorts"] = out["places"] = Json::array();
  if (!picture) {
    out["why"] =
        "No map yet: the replica that leads draws the first one two minutes after its start, of VMs that have been "
        "watched for a minute.";
    return out.dump() + "\n";
  }
  const BehaviourMap& map = picture->map;
  out["drawnAt"] = crd::TimeText(picture->drawn_at);
  out["tooYoung"] = picture->too_young;
  out["displacement"] = Rounded(map.displacement);
  out["changed"] = Rounded(map.changed);
  out["refused"] = map.refused;
  out["explained"] = Rounded(map.explained);
  out["divergence"] = Rounded(map.divergence);
  out["silhouette"] = Rounded(picture->cohorts.silhouette);
  for (const CohortModel& cohort : picture->cohorts.models) {
    out["cohorts"].push_back({{"id", cohort.id}, {"members", cohort.members}, {"traits", Traits(cohort, map.space)}});
  }
  for (std::size_t i = 0; i < map.places.size(); ++i) out["places"].push_back(PlaceOf(*picture, i));
  return out.dump() + "\n";
}

std::vector<HttpServer::Page> MapPages(const MapKeeper& keeper, const std::string& chart_js) {
  const auto fixed = [](std::string_view text) { return [text] { return std::string(text); }; };
  return {
      {"/map", "application/json", [&keeper] { return MapJson(keeper.Current().get()); }},
      {"/map.html", "text/html; charset=utf-8", fixed(kMapHtml)},
      {"/map.css", "text/css; charset=utf-8", fixed(kMapCss)},
      {"/map.js", "text/javascript; charset=utf-8", fixed(kMapJs)},
      {"/chart.js", "text/javascript; charset=utf-8", [text = ReadFile(chart_js)] { return text; }},
  };
}

}  // namespace whorl::controller
