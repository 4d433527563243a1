"use strict";
(() => {
  const fault = document.getElementById("error");
  window.addEventListener("error", (event) => {
    fault.hidden = false;
    fault.textContent = "The script of this page has failed: " + event.message;
  });
  document.documentElement.classList.add("scripting");

  // What is shown and how it is sorted stands behind the # of the address, so that it can be passed on.
  const state = new URLSearchParams(location.hash.slice(1));
  const keep = () => location.replace("#" + state);
  const set = (name, value) => {
    if (value) state.set(name, value); else state.delete(name);
  };

  const value = (row, column) => {
    const cell = row.cells[column];
    return "value" in cell.dataset ? Number(cell.dataset.value) : cell.textContent.trim();
  };
  const compare = (a, b) => {
    if (typeof a === "number" && typeof b === "number") return a - b;
    return String(a).localeCompare(String(b), undefined, { numeric: true });
  };
  const sort = (table, heading, isDescending) => {
    const body = table.tBodies[0];
    const column = heading.cellIndex;
    const rows = [...body.rows].map((row, place) => ({ row, place, key: value(row, column) }));
    rows.sort((a, b) => (isDescending ? compare(b.key, a.key) : compare(a.key, b.key)) || a.place - b.place);
    body.append(...rows.map(({ row }) => row));
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", isDescending ? "descending" : "ascending");
  };
  for (const table of document.querySelectorAll("table[id]")) {
    const name = table.id === "steps" ? "sort" : "sort-" + table.id;
    for (const heading of table.tHead.rows[0].cells) {
      const choose = () => {
        const current = heading.getAttribute("aria-sort");
        // Of numbers the largest are looked for.
        const isDescending = current ? current === "ascending" : heading.className === "number" && heading.dataset.key !== "index";
        sort(table, heading, isDescending);
        state.set(name, (isDescending ? "-" : "") + heading.dataset.key);
        keep();
      };
      heading.tabIndex = 0;
      heading.addEventListener("click", choose);
      heading.addEventListener("keydown", (event) => {
        if (event.key === "Enter") choose();
      });
    }
    const wanted = state.get(name) || "";
    const key = wanted.replace(/^-/, "");
    const heading = [...table.tHead.rows[0].cells].find((cell) => cell.dataset.key === key);
    if (heading) sort(table, heading, wanted.startsWith("-"));
  }

  const chips = [...document.querySelectorAll("button.chip")];
  const verdict = document.getElementById("verdict");
  const least = document.getElementById("least");
  const steps = [...document.querySelectorAll("[data-worked]")];
  const filter = () => {
    const groups = new Set((state.get("group") || "").split(" ").filter(Boolean));
    for (const chip of chips) chip.setAttribute("aria-pressed", String(groups.has(chip.dataset.group)));
    verdict.value = state.get("verdict") || "";
    least.value = state.get("least") || "0";
    for (const step of steps) {
      const isInGroup = groups.size === 0 || step.dataset.groups.split(" ").some((group) => groups.has(group));
      const isSo = !verdict.value || step.dataset.verdict === verdict.value;
      step.hidden = !(isInGroup && isSo && Number(step.dataset.worked) >= Number(least.value || 0));
    }
  };
  for (const chip of chips) {
    chip.addEventListener("click", () => {
      const groups = new Set((state.get("group") || "").split(" ").filter(Boolean));
      const group = chip.dataset.group;
      if (!groups.delete(group)) groups.add(group);
      set("group", [...groups].join(" "));
      keep();
      filter();
    });
  }
  for (const choice of [verdict, least]) {
    choice.addEventListener("change", () => {
      set(choice.id, choice.value === "0" ? "" : choice.value);
      keep();
      filter();
    });
  }
  filter();
})();
