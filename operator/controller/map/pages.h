#pragma once

#include <string>
#include <vector>

#include "operator/controller/http/server.h"
#include "operator/controller/map/map_keeper.h"

namespace whorl::controller {

// The picture for programs: docs/reference/map.md. Null: not drawn yet, which it says.
std::string MapJson(const FleetPicture* picture);

// GET /map, and /map.html that draws it with what else it needs; nothing is
// fetched from elsewhere. `chart_js`: file of Chart.js; the page does without
// the drawing when it is not there. `keeper` must outlive the pages.
std::vector<HttpServer::Page> MapPages(const MapKeeper& keeper, const std::string& chart_js);

}  // namespace whorl::controller
