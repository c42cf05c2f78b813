#pragma once

#include <string>
#include <vector>

#include "core/engine/assessment.h"
#include "core/remedy/ladder.h"
#include "crd/events.h"
#include "crd/remedy_view.h"
#include "operator/controller/enrol/resolve.h"

namespace whorl::controller {

// What people read of the remediation ladder. All pure.

crd::EventReason ReasonOf(const remedy::Step& step);
// What was seen, against which threshold, what is done from -> to, until when,
// and how to answer or stop it.
std::string NoteOf(const remedy::Step& step, const remedy::LadderPolicy& policy, const Subject& subject);
// Where the VM stands; `history` is kept from before. `a`: what comes next
// depends on what it does now.
crd::RemedyView ViewOf(const remedy::Ladder& ladder, const remedy::LadderPolicy& policy, const Assessment& a,
                       const Subject& subject, std::vector<crd::RemedyEntry> history);
// "250m", "2 cores", "10000 kbit/s in each direction".
std::string AmountText(remedy::Rung rung, Nature nature, std::int64_t amount, const remedy::LadderPolicy& policy);

}  // namespace whorl::controller
