"use strict";
(() => {
  const requirements = [...document.querySelectorAll(".requirement")];
  const areas = [...document.querySelectorAll(".area")];
  const texts = new Map(requirements.map((entry) => [entry, entry.textContent.toLowerCase()]));
  const search = document.getElementById("search");
  const boxes = [...document.querySelectorAll("input[name=outcome]")];
  const shown = document.getElementById("shown");
  const nothing = document.getElementById("nothing");
  const cells = [...document.querySelectorAll(".matrix a")];
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
    hideEmptyAreas();
    nothing.hidden = count > 0;
    for (const link of cells) {
      const chosen = link.dataset.area === cell.area && (link.dataset.level || "") === cell.level;
      link.toggleAttribute("aria-current", chosen);
    }
    const where = [cell.area, cell.level].filter(Boolean).join(" ");
    shown.textContent = `${count} of ${requirements.length} shown${where ? `: ${where}` : ""}`;
  }

  function hideEmptyAreas() {
    areas.forEach((area) => (area.hidden = !area.querySelector(".requirement:not([hidden])")));
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
  cells.forEach((link) =>
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
      hideEmptyAreas();
      entry.querySelector("summary").focus({ preventScroll: true });
      entry.scrollIntoView();
    }
  }
  // The same link again changes no hash, and after a reset what it leads to may be shut.
  document.querySelectorAll(".first a").forEach((link) => link.addEventListener("click", () => setTimeout(follow)));

  // What stays on top must not cover what is scrolled to.
  const filters = document.querySelector(".filters");
  const measure = () => document.documentElement.style.setProperty("--stuck", `${filters.offsetHeight}px`);
  window.addEventListener("resize", measure);
  measure();

  // A line of a command ends between its words, not behind a hyphen.
  document.querySelectorAll(".again code, footer code").forEach((command) => {
    const parts = command.textContent.split(/( +)/).map((part, index) => {
      if (index % 2) return part;
      const word = document.createElement("span");
      word.className = "word";
      word.textContent = part;
      return word;
    });
    command.replaceChildren(...parts);
  });

  // Commands can be copied where the browser allows it, which it does from disk and from https.
  if (navigator.clipboard) {
    document.querySelectorAll(".again").forEach((place) => {
      const button = document.createElement("button");
      button.type = "button";
      button.innerHTML = 'Copy<span class="hidden"> the command</span>';
      button.addEventListener("click", async () => {
        const command = place.querySelector("code");
        try {
          await navigator.clipboard.writeText(command.textContent);
          button.textContent = "Copied";
        } catch {
          getSelection().selectAllChildren(command);
          button.textContent = "Selected: copy it by key";
        }
      });
      place.append(button);
    });
  }
  window.addEventListener("hashchange", follow);
  apply();
  follow();
})();
