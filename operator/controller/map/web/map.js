// Draws what /map says. Names come from the cluster: they are only ever set as
// text, never as markup.
"use strict";

const AGAIN_MS = 60000;
const ROWS = 200;
// Okabe and Ito's palette, told apart by colour-blind eyes too; from the eighth
// cohort on, shapes tell equal colours apart.
const COLOURS = ["#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#8a7d00"];
const SHAPES = ["circle", "rectRot", "triangle", "rect", "star"];
const NOBODY = "#8b949c";

const find = (id) => document.getElementById(id);
const percent = (part) => `${(100 * part).toFixed(1)} %`;
const style = (id, cohorts) => {
  const i = cohorts.findIndex((cohort) => cohort.id === id);
  if (i < 0) return { colour: NOBODY, shape: "crossRot" };
  return { colour: COLOURS[i % COLOURS.length], shape: SHAPES[Math.floor(i / COLOURS.length) % SHAPES.length] };
};

let chart = null;
let shown = null;   // what /map said last
let chosen = null;  // id of the cohort that stands out; 0: VMs like nobody; null: all

function element(tag, text) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  return made;
}

function summary(data) {
  if (!data.drawnAt) return data.why;
  const parts = [`${data.places.length} VMs in ${data.cohorts.length} cohorts, drawn at ${data.drawnAt}`];
  if (data.tooYoung > 0) parts.push(`${data.tooYoung} VMs are too young to be compared`);
  parts.push(`VMs that did not change moved by ${percent(data.displacement)} of the map`);
  if (data.refused) parts.push("a new map was refused because it moved without a cause");
  return `${parts.join("; ")}.`;
}

function groups(data) {
  const all = data.cohorts.map((cohort) => ({ ...cohort, name: `Cohort ${cohort.id}` }));
  const alone = data.places.filter((place) => place.cohort === null).length;
  if (alone > 0) all.push({ id: 0, members: alone, name: "Like nobody", traits: [] });
  return all;
}

function drawMap(data) {
  if (typeof Chart === "undefined") {
    find("map").hidden = true;
    find("blank").hidden = false;
    find("blank").textContent = "Chart.js is not installed beside the controller (--chart-js), so the map is not drawn; the table has everything.";
    return;
  }
  const datasets = groups(data).map((group) => {
    const { colour, shape } = style(group.id, data.cohorts);
    const dim = chosen !== null && chosen !== group.id;
    return {
      label: group.name,
      data: data.places.filter((place) => (place.cohort ?? 0) === group.id),
      pointStyle: shape,
      pointRadius: data.places.length > 3000 ? 2 : data.places.length > 300 ? 3.5 : 5,
      backgroundColor: dim ? `${colour}22` : `${colour}b0`,
      borderColor: dim ? `${colour}22` : colour,
      borderWidth: shape === "crossRot" || shape === "star" ? 1.5 : 0.5,
    };
  });
  // One scale for both directions: the map has no up and no right.
  const reach = 1.06 * Math.max(1, ...data.places.map((place) => Math.max(Math.abs(place.x), Math.abs(place.y))));
  const axis = { min: -reach, max: reach, ticks: { display: false }, grid: { display: false, drawBorder: false } };
  const options = {
    animation: false,
    aspectRatio: 1,
    scales: { x: axis, y: axis },
    plugins: {
      legend: { display: false },
      tooltip: {
        callbacks: {
          label: ({ raw }) => [
            `${raw.namespace}/${raw.name}`,
            raw.cohort === null ? "like nobody" : `cohort ${raw.cohort}, ${raw.distance.toFixed(1)} radii from its middle`,
            `on ${raw.node}${raw.missing > 0 ? `; ${raw.missing} features missing` : ""}`,
          ],
        },
      },
    },
  };
  if (chart) {
    Object.assign(chart, { data: { datasets }, options });
    chart.update();
  } else {
    chart = new Chart(find("map"), { type: "scatter", data: { datasets }, options });
  }
}

function mark(colour, shape) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "-5 -5 10 10");
  const path = document.createElementNS(space, "path");
  const outlines = {
    circle: "M4 0A4 4 0 1 1-4 0A4 4 0 1 1 4 0Z", rectRot: "M0-4.6L4.6 0L0 4.6L-4.6 0Z", triangle: "M0-4L4 3.5H-4Z",
    rect: "M-3.6-3.6H3.6V3.6H-3.6Z", star: "M0-4.5V4.5M-4.5 0H4.5M-3-3L3 3M3-3L-3 3", crossRot: "M-3-3L3 3M3-3L-3 3",
  };
  path.setAttribute("d", outlines[shape]);
  path.setAttribute("fill", colour);
  path.setAttribute("stroke", colour);
  svg.append(path);
  return svg;
}

function traitsText(traits) {
  return traits.map((trait) => `${trait.direction === "above" ? "more" : "less"} ${trait.feature}`).join(", ");
}

function listCohorts(data) {
  find("cohorts").replaceChildren(...groups(data).map((group) => {
    const { colour, shape } = style(group.id, data.cohorts);
    const item = element("li");
    const text = element("span", `${group.name}, ${group.members} VM${group.members === 1 ? "" : "s"}`);
    text.append(element("small", group.id === 0 ? "more than three radii from every cohort" : traitsText(group.traits)));
    item.append(mark(colour, shape), text);
    item.tabIndex = 0;
    item.setAttribute("role", "button");
    item.setAttribute("aria-pressed", String(chosen === group.id));
    const choose = () => {
      chosen = chosen === group.id ? null : group.id;
      show(data);
    };
    item.addEventListener("click", choose);
    item.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") choose();
    });
    return item;
  }));
}

function listVms(data) {
  const wanted = find("find").value.trim().toLowerCase();
  const rows = data.places
    .filter((place) => chosen === null || (place.cohort ?? 0) === chosen)
    .filter((place) => `${place.namespace}/${place.name} ${place.node}`.toLowerCase().includes(wanted))
    .sort((a, b) => b.distance - a.distance);
  find("vms").replaceChildren(...rows.slice(0, ROWS).map((place) => {
    const row = element("tr");
    row.append(element("td", `${place.namespace}/${place.name}`), element("td", place.node), element("td", place.cohort ?? "like nobody"),
      element("td", place.distance.toFixed(2)), element("td", place.displacement === null ? "new" : percent(place.displacement)),
      element("td", place.missing));
    return row;
  }));
  find("more").textContent = rows.length > ROWS ? `The ${ROWS} farthest of ${rows.length}.` : "";
}

function show(data) {
  shown = data;
  find("summary").textContent = summary(data);
  drawMap(data);
  listCohorts(data);
  listVms(data);
}

async function load() {
  try {
    const answer = await fetch("map", { cache: "no-store" });
    if (!answer.ok) throw new Error(`the controller answered ${answer.status}`);
    show(await answer.json());
  } catch (error) {
    find("summary").textContent = `The map could not be loaded: ${error.message}.`;
  }
}

find("find").addEventListener("input", () => shown && listVms(shown));
load();
setInterval(load, AGAIN_MS);
