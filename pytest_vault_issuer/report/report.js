"use strict";
(() => {
  const requirements = [...document.querySelectorAll(".requirement")];
  const texts = new Map(requirements.map((entry) => [entry, entry.textContent.toLowerCase()]));
  const search = document.getElementById("search");
  const boxes = [...document.querySelectorAll("input[name=outcome]")];
  const shown = document.getElementById("shown");
  const cell = { area: "", level: "" };

  function apply() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const outcomes = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    let count = 0;
    for (const entry of requirements) {
      const visible =
        outcomes.has(entry.dataset.outcome) &&
        (!cell.area || entry.dataset.area === cell.area) &&
        (!cell.level || entry.dataset.level === cell.level) &&
        words.every((word) => texts.get(entry).includes(word));
      entry.hidden = !visible;
      count += visible ? 1 : 0;
    }
    const where = [cell.area, cell.level].filter(Boolean).join(" ");
    shown.textContent = `${count} of ${requirements.length} shown${where ? `: ${where}` : ""}`;
  }

  function reset() {
    search.value = "";
    cell.area = cell.level = "";
    boxes.forEach((box) => (box.checked = true));
    apply();
  }

  search.addEventListener("input", apply);
  boxes.forEach((box) => box.addEventListener("change", apply));
  document.getElementById("reset").addEventListener("click", reset);
  document.querySelectorAll(".matrix a").forEach((link) =>
    link.addEventListener("click", (event) => {
      event.preventDefault();
      cell.area = link.dataset.area;
      cell.level = link.dataset.level || "";
      apply();
      document.getElementById("requirements").scrollIntoView();
    })
  );
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement !== search) {
      event.preventDefault();
      search.focus();
    } else if (event.key === "Escape") {
      reset();
    }
  });
  // A link to one requirement shows it, whatever is filtered.
  function follow() {
    const entry = document.getElementById(location.hash.slice(1));
    if (entry && entry.matches(".requirement")) {
      entry.open = true;
      entry.hidden = false;
      entry.scrollIntoView();
    }
  }
  window.addEventListener("hashchange", follow);
  apply();
  follow();
})();
